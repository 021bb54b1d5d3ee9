"""What every metric is called and how it is read: names, words, headings, which end is bad, what guessing achieves.

Takes contract names (`target/test_accuracy`, `attack/<name>/auc`), gives words. The console, tables, figures and the
README ask here and list no metric by name. A new metric is one line of `METRICS`.
"""

from dataclasses import dataclass
from typing import Literal

FAILED = "CONTROL FAILED"
"""In every warning that no reader may miss: what leakage is shown beside it is not leakage alone."""
Kind = Literal["utility", "leakage", "control", "privacy"]


@dataclass(frozen=True)
class Metric:
    """One metric as people read it."""

    name: str  # without `attack/<name>/`: "auc"; of the target in full: "target/test_accuracy"
    words: str
    kind: Kind
    heading: str = ""  # narrow, for a terminal; a new line may break it; empty: not shown there
    worse: int = 0  # +1: higher is worse for whose data it is; -1: lower is worse; 0: neither
    chance: float | None = None  # what guessing achieves
    has_interval: bool = True  # `<name>_low` and `<name>_high` stand beside it
    is_percent: bool = False  # small rates, read as percentages
    is_main: bool = False  # stands in a sweep's first table
    is_over_size: bool = False  # a rate over `split.size` records, whose interval follows from that number


METRICS = (
    Metric(
        "target/train_accuracy",
        "train accuracy",
        "utility",
        "train",
        is_over_size=True,
        has_interval=False,
        is_main=True,
    ),
    Metric(
        "target/test_accuracy",
        "test accuracy",
        "utility",
        "test",
        worse=-1,
        is_over_size=True,
        has_interval=False,
        is_main=True,
    ),
    Metric("target/generalization_gap", "train - test gap", "utility", has_interval=False),
    Metric("shadow/train_accuracy", "shadow train accuracy", "utility", has_interval=False),
    Metric("shadow/test_accuracy", "shadow test accuracy", "utility", has_interval=False),
    Metric("accuracy", "attack accuracy", "leakage", "acc.", worse=1, chance=0.5, is_main=True),
    Metric("balanced_accuracy", "balanced accuracy", "leakage", "bal.\nacc.", worse=1, chance=0.5),
    Metric("precision", "precision", "leakage", "prec.", worse=1, chance=0.5, is_main=True),
    Metric("recall", "recall", "leakage", "recall", worse=1, is_main=True),
    Metric("auc", "AUC", "leakage", "AUC", worse=1, chance=0.5, is_main=True),
    Metric("advantage", "advantage", "leakage", worse=1, chance=0.0),
    Metric(
        "tpr_at_1pct_fpr",
        "TPR at 1% FPR",
        "leakage",
        "TPR at\n1% FPR",
        worse=1,
        chance=0.01,
        is_percent=True,
        is_main=True,
    ),
    Metric(
        "tpr_at_0.1pct_fpr",
        "TPR at 0.1% FPR",
        "leakage",
        "TPR at\n0.1%",
        worse=1,
        chance=0.001,
        is_percent=True,
        is_main=True,
    ),
    Metric("tpr_at_0.01pct_fpr", "TPR at 0.01% FPR", "leakage", worse=1, chance=0.0001, is_percent=True),
    Metric("tpr_at_learnt_1pct_fpr", "TPR, learnt for 1% FPR", "leakage", worse=1, chance=0.01, is_percent=True),
    Metric("tpr_at_learnt_0.1pct_fpr", "TPR, learnt for 0.1% FPR", "leakage", worse=1, chance=0.001, is_percent=True),
    Metric("fpr_at_learnt_1pct_fpr", "FPR really had, learnt for 1%", "control", chance=0.01, is_percent=True),
    Metric("fpr_at_learnt_0.1pct_fpr", "FPR really had, learnt for 0.1%", "control", chance=0.001, is_percent=True),
    Metric("share_used", "share of the records that was used", "control"),
    Metric("group_auc", "AUC over groups", "leakage", worse=1, chance=0.5),
    Metric("group_tpr_at_1pct_fpr", "TPR over groups at 1% FPR", "leakage", worse=1, chance=0.01, is_percent=True),
    Metric("epsilon_one_run", "epsilon, one run", "privacy", worse=1, has_interval=False),
    Metric("epsilon_one_run_fdp", "epsilon, one run (f-DP)", "privacy", worse=1, has_interval=False),
    Metric("epsilon_clopper_pearson", "epsilon, Clopper-Pearson", "privacy", worse=1, has_interval=False),
    Metric("bayesian_epsilon", "epsilon, credible interval", "privacy", worse=1),
    Metric("mu_gdp", "mu (GDP)", "privacy", worse=1, has_interval=False),
    Metric("placebo_auc", "AUC, target that cannot know", "control", "plac.\nAUC", chance=0.5),
    Metric("null_auc", "AUC, membership permuted", "control", "null\nAUC", chance=0.5),
    Metric("privacy/epsilon", "epsilon", "privacy", worse=1, has_interval=False, is_main=True),
    Metric("privacy/epsilon_lower_bound", "epsilon, lower bound", "privacy", worse=1, has_interval=False),
)
"""In the order of tables."""

_BY_NAME = {one.name: one for one in METRICS}
_PARTS = ("_low", "_high", "_sd")


def metric_of(name: str) -> Metric | None:
    """Return what is known of a metric, given its contract name with or without `attack/<name>/`; None if nothing."""
    return _BY_NAME.get(_tail(name))


def metric_words(name: str) -> str:
    """Return a metric's name in words; an `attack/<name>/` prefix is dropped, and what is unknown is spelt out."""
    tail = _tail(name)
    return _BY_NAME[tail].words if tail in _BY_NAME else tail.replace("_", " ")


def of_kind(*kinds: Kind) -> tuple[Metric, ...]:
    """Return the metrics of these kinds, in the order of tables."""
    return tuple(one for one in METRICS if one.kind in kinds)


def is_part(name: str) -> bool:
    """Whether a stored number belongs to another one: the end of its interval, or its deviation."""
    return name.endswith(_PARTS)


def _tail(name: str) -> str:
    return name.split("/", 2)[-1] if name.startswith("attack/") else name
