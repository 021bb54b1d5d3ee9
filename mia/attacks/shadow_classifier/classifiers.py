"""The classifiers, each confined to one thread, and one fit of them, as a worker does it.

Takes options and arrays; gives scikit-learn estimators, and plain values of fitted ones: a fit is on all rows but one
fold, to be judged by it, or on all rows, to score candidates. Keeps nothing. scikit-learn-intelex, where installed,
stands in for the support vector machine alone: nothing is patched.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks import shadow_classifier as settings

KERNEL_ROWS = 6_000
"""Rows up to which a search computes the kernel once for all C, 8 bytes for each pair of rows."""
BLOCK = 64
"""Rows of a kernel computed together, so that they stay in the cache."""


@dataclass(frozen=True, order=True)
class Pair:
    """C and gamma of a support vector machine; in order, the smoother one first."""

    c: float
    gamma: float


@dataclass(frozen=True)
class Recipe:
    """Which classifier to fit."""

    options: settings.ShadowClassifierOptions
    pair: Pair | None
    seed: int


@dataclass(frozen=True)
class Scored:
    """What a final fit gave."""

    score: Float[np.ndarray, "Q"]
    has_converged: bool
    placebo: Float[np.ndarray, "P"]  # of other questions, by the same classifier
    held_out: Float[np.ndarray, "R"]  # of its own rows, each by a classifier fitted on the other folds


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


def fit_and_decide(
    recipe: Recipe,
    features: Float[np.ndarray, "R F"],
    is_member: Bool[np.ndarray, "R"],
    questions: Float[np.ndarray, "Q F"],
    placebo: Float[np.ndarray, "P F"] | None = None,
    fold: Int[np.ndarray, "R"] | None = None,
) -> Scored:
    """Fit on the rows and return what the classifier says of the questions, and of its own rows fold by fold.

    Rows that are all of one kind give that kind's answer everywhere.

    Args:
        recipe: Which classifier.
        features: Of the rows.
        is_member: Of the rows.
        questions: What is asked.
        placebo: What is asked beside that.
        fold: Of each row: its score comes from a classifier that was fitted on the rows of all others. None: no row's
            score is wanted.
    """
    beside = questions[:0] if placebo is None else placebo
    (score, beside), has_converged = _fit(_made(recipe), features, is_member, questions, beside)
    held_out = np.full(len(features), np.nan)
    for number in () if fold is None else np.unique(fold):
        mine = fold == number
        (held_out[mine],), _ = _fit(_made(recipe), features[~mine], is_member[~mine], features[mine])
    return Scored(score, has_converged, beside, held_out)


def _made(recipe: Recipe) -> Any:
    return make_classifier(recipe.options, recipe.pair, recipe.seed)


def fold_accuracies(
    options: settings.ShadowClassifierOptions,
    pairs: Sequence[Pair],
    features: Float[np.ndarray, "R F"],
    is_member: Bool[np.ndarray, "R"],
    is_held_out: Bool[np.ndarray, "R"],
) -> list[float]:
    """Return the accuracy on the rows held out of support vector machines fitted on the others.

    Up to `KERNEL_ROWS` rows the kernel is computed once for all C, which is several times as fast.

    Args:
        options: Of the attack.
        pairs: C and gamma of each machine; one gamma for all.
        features: All rows.
        is_member: Of all rows.
        is_held_out: Rows to judge by; NaN is returned where there are none.
    """
    if not is_held_out.any():
        return [float("nan")] * len(pairs)
    known, asked = features[~is_held_out], features[is_held_out]
    if len(features) <= KERNEL_ROWS:
        known, asked = rbf_kernel(known, known, pairs[0].gamma), rbf_kernel(asked, known, pairs[0].gamma)
        machines = [make_svm_of_kernel(pair) for pair in pairs]
    else:
        machines = [make_classifier(options, pair, seed=0) for pair in pairs]
    scored = [_fit(machine, known, is_member[~is_held_out], asked, ask=decide) for machine in machines]
    return [float(np.mean((score > 0) == is_member[is_held_out])) for (score,), _ in scored]


def rbf_kernel(x: Float[np.ndarray, "R F"], y: Float[np.ndarray, "S F"], gamma: float) -> Float[np.ndarray, "R S"]:
    """Return exp(-gamma * squared distance) for every pair of rows."""
    x_part, y_part = gamma * np.sum(x * x, axis=1, keepdims=True), gamma * np.sum(y * y, axis=1)
    y_scaled = 2 * gamma * y.T
    kernel = np.empty((len(x), len(y)))
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK] @ y_scaled
        block -= x_part[start : start + BLOCK]
        block -= y_part
        np.exp(np.minimum(block, 0, out=block), out=kernel[start : start + BLOCK])
    return kernel


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
    """Put standardisation before a classifier that sees logits or losses, of any size; probabilities stay."""
    if not options.is_unbounded:
        return classifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), classifier)


def _fit(
    classifier: Any,
    features: np.ndarray,
    is_member: Bool[np.ndarray, "R"],
    *questions: Float[np.ndarray, "_ F"],
    ask: Callable[[Any, np.ndarray], np.ndarray] | None = None,
) -> tuple[list[Float[np.ndarray, "Q"]], bool]:
    """Return what the classifier says of each set of questions, and whether its fit converged.

    `ask`: How to ask; None: so that equal questions get equal answers to the last bit, which takes as long as a small
    fit.
    """
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning

    if is_member.all() or not is_member.any():
        return [np.full(len(asked), 1.0 if is_member.all() else -1.0) for asked in questions], True
    is_ours = config_context(skip_parameter_validation=True)  # what our options hold is checked once, not every fit
    with is_ours, _thread_pools().limit(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(features, is_member.astype(np.int64))
        decided = ask or _decide_once_each
        scores = [decided(classifier, asked) if len(asked) else np.empty(0) for asked in questions]
    return scores, not caught


def _decide_once_each(classifier: Any, questions: Float[np.ndarray, "Q F"]) -> Float[np.ndarray, "Q"]:
    """Ask about equal rows once, so that they get the same score to the last bit wherever they stand."""
    distinct, which = np.unique(questions, axis=0, return_inverse=True)
    if len(distinct) == len(questions):
        return decide(classifier, questions)
    return decide(classifier, distinct)[which.ravel()]


@cache
def _thread_pools() -> Any:
    """Return a handle on the numerical libraries' threads; finding them takes longer than a small fit."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
