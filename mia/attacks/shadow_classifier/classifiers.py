"""The classifiers, unfitted, each confined to one thread; and what a fitted one says of a row.

Takes options; gives scikit-learn estimators. scikit-learn-intelex, where installed, stands in for the support vector
machine alone: nothing is patched.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from mia.attacks import options as settings


@dataclass(frozen=True, order=True)
class Pair:
    """C and gamma of a support vector machine; in order, the smoother one first."""

    c: float
    gamma: float


def make_classifier(options: settings.ShadowClassifierOptions, pair: Pair | None, seed: int) -> Any:
    """Return an unfitted estimator.

    Args:
        options: They decide which.
        pair: C and gamma, for a support vector machine.
        seed: For estimators that draw at random.
    """
    match options:
        case settings.ShadowSvmOptions():
            assert pair is not None, "a support vector machine needs C and gamma"
            classifier, fixed = _svm()
            return classifier(C=pair.c, gamma=pair.gamma, kernel="rbf", **fixed)
        case settings.ShadowMlpOptions():
            return _scaled(_mlp(options, seed), options)
        case settings.ShadowForestOptions():
            return _forest(options, seed)
        case settings.ShadowLogisticOptions():
            return _scaled(_logistic(options), options)
        case settings.ShadowBoostingOptions():
            return _boosting(options, seed)
    raise AssertionError(f"no classifier for {type(options).__name__}")


def make_svm_of_kernel(pair: Pair) -> Any:
    """Return an unfitted support vector machine that takes kernel values in place of features."""
    from sklearn.svm import SVC

    return SVC(C=pair.c, kernel="precomputed")


def decide(classifier: Any, features: Float[np.ndarray, "R F"]) -> Float[np.ndarray, "R"]:
    """Return how far each row lies on the members' side; 0 is the boundary.

    The decision function where the classifier has one, else the probability of a member less one half.
    """
    if hasattr(classifier, "decision_function"):
        return np.asarray(classifier.decision_function(features), np.float64).ravel()
    return np.asarray(classifier.predict_proba(features)[:, 1] - 0.5, np.float64)


def estimate_seconds(options: settings.ShadowClassifierOptions, num_rows: int) -> float:
    """Return roughly how long one fit takes: only for deciding whether worker processes pay."""
    match options:
        case settings.ShadowSvmOptions():
            return 1e-8 * num_rows**2
        case settings.ShadowMlpOptions() | settings.ShadowForestOptions():
            return 1e-4 * num_rows
        case _:
            return 1e-5 * num_rows


def svm_library() -> str:
    """Return the package that supplies the support vector machine."""
    return _svm()[0].__module__.partition(".")[0]


@cache
def _svm() -> tuple[Any, dict[str, Any]]:
    """Return the class, and the arguments that keep it to one thread, which makes its results repeatable."""
    try:
        from sklearnex.svm import SVC

        return SVC, {"n_jobs": 1}
    except ImportError:
        from sklearn.svm import SVC

        return SVC, {}


def _mlp(options: settings.ShadowMlpOptions, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(
        hidden_layer_sizes=tuple(options.hidden),
        activation="relu",
        max_iter=options.epochs,
        learning_rate_init=options.learning_rate,
        random_state=seed,
    )


def _forest(options: settings.ShadowForestOptions, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(options.trees, min_samples_leaf=options.min_leaf, n_jobs=1, random_state=seed)


def _logistic(options: settings.ShadowLogisticOptions) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=options.c, max_iter=1000)


def _boosting(options: settings.ShadowBoostingOptions, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=options.rounds,
        learning_rate=options.learning_rate,
        max_leaf_nodes=options.max_leaves,
        early_stopping=False,
        random_state=seed,
    )


def _scaled(classifier: Any, options: settings.ShadowClassifierOptions) -> Any:
    """Put standardisation before a classifier that sees logits, whose size is arbitrary; probabilities stay."""
    if options.features != "logits":
        return classifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), classifier)
