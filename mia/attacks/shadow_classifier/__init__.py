"""Classifiers fitted on what shadows say about their own records, in and out (Shokri et al. 2017).

Takes signals; gives a score per candidate record: how far the classifier puts it on the members' side. Sees nothing
of the target but its answers; scikit-learn is imported when an attack runs, not before. A record is predicted a member
where its score is above 0; `Scores.details` holds what was chosen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mia.attacks.spec import attack
from mia.checks import RequestError, at_least, one_of, positive
from mia.records import Scores, Signals

NEEDS = ("shadows", "classes")
SHOKRI = "Shokri, Stronati, Song, Shmatikov: Membership inference attacks against machine learning models, S&P 2017"
FEATURES = ("probabilities", "top_k", "logits", "sorted", "true_class", "loss", "calibrated_loss")
"""Probabilities by class; the largest few; logits; all probabilities, sorted (Salem et al. 2019); that of the true
class; its loss; the loss less its mean over shadows that never saw the record (He et al. 2024)."""
UNBOUNDED = ("logits", "loss", "calibrated_loss")
Progress = Callable[[int, int], None]
"""Called with the fits done and their total."""


@dataclass
class ShadowClassifierOptions:
    """What every classifier fitted on the shadows' own records has: what it sees, and of how many rows."""

    features: Any = "probabilities"  # one of FEATURES, or a list of several
    top_k: int = 3  # of features=top_k
    per_class: bool = True  # a model per true class; false: one for all, which sees the true class's value too
    max_rows: int = 40_000  # a model is fitted on at most so many: whole shadows, as many as fit; 0: on all

    @property
    def kinds(self) -> tuple[str, ...]:
        """The features, each once, in the order given."""
        given = [self.features] if isinstance(self.features, str) else list(self.features)
        return tuple(dict.fromkeys(map(str, given)))

    @property
    def is_unbounded(self) -> bool:
        """Whether some feature has no scale of its own."""
        return any(kind in UNBOUNDED for kind in self.kinds)

    @property
    def has_losses(self) -> bool:
        """Whether losses are among the features."""
        return any("loss" in kind for kind in self.kinds)

    def check(self, name: str) -> None:
        """Check what all have, for the attack `name`."""
        if not isinstance(self.features, str | list | tuple) or not self.kinds:
            raise RequestError(
                f"attack.{name}.features={self.features!r} must be one or several of {', '.join(FEATURES)}"
            )
        for kind in self.kinds:
            one_of(f"attack.{name}.features", kind, FEATURES)
        at_least(f"attack.{name}.top_k", self.top_k, 1)
        at_least(f"attack.{name}.max_rows", self.max_rows, 0)
        if 0 < self.max_rows < 100:
            raise RequestError(f"attack.{name}.max_rows={self.max_rows} must be 0 (all rows) or at least 100")


@dataclass
class ShadowSvmOptions(ShadowClassifierOptions):
    """A support vector machine with an RBF kernel; C and gamma by cross-validation that never splits a shadow."""

    grid: str = "study"  # C and gamma to choose from: study (0.1 to 10, 0.001 to 0.1) or wide (to 1000 and 100)
    search: str = "auto"  # full: every pair on all rows; halving; auto: halving where a class has over 6,000 rows
    folds: int = 5

    def __post_init__(self) -> None:
        self.check("shadow_svm")
        one_of("attack.shadow_svm.grid", self.grid, ("study", "wide"))
        one_of("attack.shadow_svm.search", self.search, ("full", "halving", "auto"))
        at_least("attack.shadow_svm.folds", self.folds, 2)


@dataclass
class ShadowMlpOptions(ShadowClassifierOptions):
    """Hidden layers of ReLU units; one of 64 in the paper."""

    hidden: list[int] = field(default_factory=lambda: [64])
    epochs: int = 200  # at most; fewer where the loss no longer falls
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        self.check("shadow_mlp")
        if not self.hidden:
            raise RequestError("attack.shadow_mlp.hidden=[] must name at least one layer, such as [64]")
        for width in self.hidden:
            at_least("attack.shadow_mlp.hidden", width, 1)
        at_least("attack.shadow_mlp.epochs", self.epochs, 1)
        positive("attack.shadow_mlp.learning_rate", self.learning_rate)


@dataclass
class ShadowForestOptions(ShadowClassifierOptions):
    """A random forest."""

    trees: int = 100
    min_leaf: int = 5  # rows in a leaf, at least

    def __post_init__(self) -> None:
        self.check("shadow_forest")
        at_least("attack.shadow_forest.trees", self.trees, 1)
        at_least("attack.shadow_forest.min_leaf", self.min_leaf, 1)


@dataclass
class ShadowLogisticOptions(ShadowClassifierOptions):
    """A logistic regression."""

    c: float = 1.0  # inverse strength of its L2 penalty

    def __post_init__(self) -> None:
        self.check("shadow_logistic")
        positive("attack.shadow_logistic.c", self.c)


@dataclass
class ShadowBoostingOptions(ShadowClassifierOptions):
    """Gradient-boosted trees on binned features."""

    rounds: int = 100
    learning_rate: float = 0.1
    max_leaves: int = 31

    def __post_init__(self) -> None:
        self.check("shadow_boosting")
        at_least("attack.shadow_boosting.rounds", self.rounds, 1)
        positive("attack.shadow_boosting.learning_rate", self.learning_rate)
        at_least("attack.shadow_boosting.max_leaves", self.max_leaves, 2)


@attack("shadow_svm", options=ShadowSvmOptions, needs=NEEDS, citation=SHOKRI, label="shadow SVM")
def shadow_svm(signals: Signals, options: ShadowSvmOptions, seed: int, progress: Progress | None = None) -> Scores:
    """Score by a support vector machine's decision function."""
    return _fit("shadow_svm", signals, options, seed, progress)


@attack("shadow_mlp", options=ShadowMlpOptions, needs=NEEDS, citation=SHOKRI, label="shadow MLP")
def shadow_mlp(signals: Signals, options: ShadowMlpOptions, seed: int, progress: Progress | None = None) -> Scores:
    """Score by a small network's probability of a member, less one half."""
    return _fit("shadow_mlp", signals, options, seed, progress)


@attack("shadow_forest", options=ShadowForestOptions, needs=NEEDS, citation=SHOKRI, label="shadow forest")
def shadow_forest(
    signals: Signals, options: ShadowForestOptions, seed: int, progress: Progress | None = None
) -> Scores:
    """Score by a random forest's probability of a member, less one half."""
    return _fit("shadow_forest", signals, options, seed, progress)


@attack(
    "shadow_logistic",
    options=ShadowLogisticOptions,
    needs=NEEDS,
    citation=SHOKRI,
    label="shadow regression",
)
def shadow_logistic(
    signals: Signals, options: ShadowLogisticOptions, seed: int, progress: Progress | None = None
) -> Scores:
    """Score by a logistic regression's decision function."""
    return _fit("shadow_logistic", signals, options, seed, progress)


@attack(
    "shadow_boosting",
    options=ShadowBoostingOptions,
    needs=NEEDS,
    citation=SHOKRI,
    label="shadow boosting",
)
def shadow_boosting(
    signals: Signals, options: ShadowBoostingOptions, seed: int, progress: Progress | None = None
) -> Scores:
    """Score by boosted trees' decision function."""
    return _fit("shadow_boosting", signals, options, seed, progress)


def _fit(name: str, signals: Signals, options: ShadowClassifierOptions, seed: int, progress: Progress | None) -> Scores:
    from mia.attacks.shadow_classifier.stage import fit_and_score

    return fit_and_score(name, signals, options, seed, progress)
