"""The receiver operating characteristic: takes scores without NaN and memberships, gives counts and rates; exact ties.

One point per distinct score, so that records which the attack cannot tell apart are never ordered by accident.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.metrics.clusters import Trials, effective_trials, group_codes
from mia.metrics.rates import clopper_pearson

FPR_LIMITS = {"1pct": 0.01, "0.1pct": 0.001, "0.01pct": 0.0001}
"""False-positive rates at which an attack is judged, by the unit in the metric's name: 0.1pct is one in a thousand."""


@dataclass(frozen=True)
class Roc:
    """How many members and non-members score at least each threshold; the first point predicts nobody a member."""

    thresholds: Float[np.ndarray, "P"]  # falling; the first is infinite
    true_positives: Int[np.ndarray, "P"]
    false_positives: Int[np.ndarray, "P"]

    @property
    def num_members(self) -> int:
        """Members scored."""
        return int(self.true_positives[-1])

    @property
    def num_nonmembers(self) -> int:
        """Non-members scored."""
        return int(self.false_positives[-1])

    @property
    def tpr(self) -> Float[np.ndarray, "P"]:
        """Share of members scoring at least each threshold."""
        return self.true_positives / max(self.num_members, 1)

    @property
    def fpr(self) -> Float[np.ndarray, "P"]:
        """Share of non-members scoring at least each threshold."""
        return self.false_positives / max(self.num_nonmembers, 1)


def roc(score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"]) -> Roc:
    """Return the ROC of scores (high = member, none of them NaN), one point per distinct score.

    Args:
        score: one per record; infinities are scores like any other.
        is_member: whether the record was in the training set.
    """
    assert not np.isnan(score).any(), "NaN scores must be left out before"
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    is_last_of_tie = np.append(falling[1:] != falling[:-1], True) if len(falling) else np.zeros(0, bool)
    ends = np.flatnonzero(is_last_of_tie)
    true_positives = np.cumsum(is_member[order])[ends]
    return Roc(
        thresholds=np.concatenate([[np.inf], falling[ends]]),
        true_positives=np.concatenate([[0], true_positives]).astype(np.int64),
        false_positives=np.concatenate([[0], ends + 1 - true_positives]).astype(np.int64),
    )


def tpr_at_low_fpr(
    curve: Roc, members: tuple[Float[np.ndarray, "m"], Shaped[np.ndarray, "m"]] | None = None
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the true-positive rate at each of `FPR_LIMITS`, and a line for each limit that the data cannot resolve.

    The largest rate among the thresholds whose false-positive rate does not exceed the limit, without interpolation,
    with its Clopper-Pearson interval (the threshold taken as given) and the false-positive rate actually reached.
    Left out where even one false positive would exceed the limit: non-members x limit < 1.

    Args:
        curve: the ROC.
        members: the members' scores and whose records they are, where the intervals have to take that into account.
    """
    metrics: dict[str, float] = {}
    warnings = []
    for unit, limit in FPR_LIMITS.items():
        allowed = math.floor(curve.num_nonmembers * limit * (1 + 1e-12))  # 3 of 300 is 1%, whatever rounding says
        if allowed < 1:
            percent = unit.removesuffix("pct")
            count = curve.num_nonmembers
            warnings.append(f"tpr_at_{unit}_fpr left out: {count:,} non-members x {percent}% is less than one record")
            continue
        point = int(np.searchsorted(curve.false_positives, allowed, side="right")) - 1
        hits = Trials(int(curve.true_positives[point]), curve.num_members)
        if members is not None:
            hits = effective_trials(members[0] >= curve.thresholds[point], group_codes(members[1]))
        metrics |= clopper_pearson(*hits).named(f"tpr_at_{unit}_fpr")
        metrics[f"fpr_reached_at_{unit}"] = float(curve.fpr[point])
    return metrics, tuple(warnings)


def hindsight_balanced_accuracy(curve: Roc) -> float:
    """Return the best balanced accuracy of any threshold, chosen with the membership known: an upper bound.

    The number that papers on LiRA and RMIA call balanced accuracy; no attacker could choose that threshold.
    """
    return float((1 + np.max(curve.tpr - curve.fpr)) / 2)
