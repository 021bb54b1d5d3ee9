"""The receiver operating characteristic: takes scores without NaN and memberships, gives counts and rates; exact ties.

One point per distinct score, so that records which the attack cannot tell apart are never ordered by accident.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import bdtrik

from mia.metrics.clusters import Trials, effective_trials, group_codes
from mia.metrics.rates import CONFIDENCE, Estimate, clopper_pearson

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


class Owned(NamedTuple):
    """The records behind a curve, where those of a group are not independent of one another."""

    score: Float[np.ndarray, "Q"]
    is_member: Bool[np.ndarray, "Q"]
    groups: Shaped[np.ndarray, "Q"]


def tpr_at_low_fpr(
    curve: Roc, owned: Owned | None = None, confidence: float = CONFIDENCE
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the true-positive rate at each of `FPR_LIMITS`, and a line for each limit that the data cannot resolve.

    The largest rate among the thresholds whose false-positive rate does not exceed the limit, without interpolation,
    and the false-positive rate actually reached. Left out where even one false positive would exceed the limit:
    non-members x limit < 1.

    The interval is one for the rate at the threshold whose false-positive rate truly is the limit, which few
    non-members tell: with the threshold taken as given, an interval covers 20 to 60 of 100. The distance to the exact
    limits of the rate, and that to the rates at the order statistics between which the true threshold lies with this
    confidence, add as squares. It covers 94 to 97 of 100 where fifty false positives are allowed, and more with fewer.

    Args:
        curve: the ROC.
        owned: the records, where intervals have to take into account whose they are.
        confidence: of the intervals.
    """
    metrics: dict[str, float] = {}
    warnings = []
    for unit, limit in FPR_LIMITS.items():
        allowed = _allowed(curve, limit)
        if allowed < 1:
            percent = unit.removesuffix("pct")
            count = curve.num_nonmembers
            warnings.append(f"tpr_at_{unit}_fpr left out: {count:,} non-members x {percent}% is less than one record")
            continue
        point = _last_point(curve, allowed)
        metrics |= _with_threshold_unknown(curve, point, limit, owned, confidence).named(f"tpr_at_{unit}_fpr")
        metrics[f"fpr_reached_at_{unit}"] = float(curve.fpr[point])
    return metrics, tuple(warnings)


def _allowed(curve: Roc, limit: float) -> int:
    return math.floor(curve.num_nonmembers * limit * (1 + 1e-12))  # 3 of 300 is 1%, whatever rounding says


def _last_point(curve: Roc, false_positives: float) -> int:
    """The lowest threshold with no more false positives."""
    return int(np.searchsorted(curve.false_positives, false_positives, side="right")) - 1


def _with_threshold_unknown(curve: Roc, point: int, limit: float, owned: Owned | None, confidence: float) -> Estimate:
    threshold, members, nonmembers = curve.thresholds[point], curve.num_members, curve.num_nonmembers
    hits, independent = Trials(int(curve.true_positives[point]), members), float(nonmembers)
    if owned is not None:
        is_predicted, codes = owned.score >= threshold, group_codes(owned.groups)
        hits = effective_trials(is_predicted[owned.is_member], codes[owned.is_member], confidence)
        independent = effective_trials(is_predicted[~owned.is_member], codes[~owned.is_member], confidence).trials
    known = clopper_pearson(*hits, confidence)
    # How many of the non-members lie above the true threshold: between these numbers, whatever their distribution.
    fewest, most = (
        float(np.ceil(bdtrik(share, independent, limit))) * nonmembers / independent
        for share in ((1 - confidence) / 2, (1 + confidence) / 2)
    )
    first = int(np.searchsorted(curve.false_positives, math.floor(fewest), side="left")) if fewest >= 1 else 0
    low, high = curve.true_positives[[first, _last_point(curve, math.ceil(most))]] / members
    value = int(curve.true_positives[point]) / members
    return Estimate(
        value,
        float(max(value - np.hypot(value - known.low, max(value - low, 0)), 0.0)),
        float(min(value + np.hypot(known.high - value, max(high - value, 0)), 1.0)),
    )


def hindsight_balanced_accuracy(curve: Roc) -> float:
    """Return the best balanced accuracy of any threshold, chosen with the membership known: an upper bound.

    The number that papers on LiRA and RMIA call balanced accuracy; no attacker could choose that threshold.
    """
    return float((1 + np.max(curve.tpr - curve.fpr)) / 2)


# --- for people who look at it ----------------------------------------------------------------------------------------


def thinned_roc(
    score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], points: int = 240
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P"]]:
    """Return false and true positive rates at both ends and at about `points` log-spaced thresholds of the exact curve.

    Records of equal score are counted together; no score may be NaN.
    """
    curve = roc(score, is_member)
    if not curve.num_members or not curve.num_nonmembers:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    fpr, tpr = curve.fpr, curve.tpr
    if len(fpr) <= points:
        return fpr, tpr
    wanted = np.geomspace(0.5 / curve.num_nonmembers, 1, points)
    kept = np.unique([0, *(np.searchsorted(fpr, wanted, side="right") - 1), len(fpr) - 1])
    return fpr[kept], tpr[kept]


def left_edge(num_nonmembers: int) -> float:
    """Return where a logarithmic axis begins: half of the smallest rate that so many non-members can show."""
    return 0.5 / max(num_nonmembers, 5)


def drawn_rate(fpr: Float[np.ndarray, "P"], is_member: Bool[np.ndarray, "Q"]) -> Float[np.ndarray, "P"]:
    """Return false-positive rates for a logarithmic axis: what lies at zero is drawn at its left edge."""
    return np.maximum(fpr, left_edge(int((~is_member).sum())))


def exposed(
    score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], rate: float = 0.01
) -> Bool[np.ndarray, "Q"]:
    """Return which members score above all but a share of the non-members; neither ties with them count, nor NaN."""
    others = np.sort(score[~is_member & ~np.isnan(score)])[::-1]
    allowed = math.floor(len(others) * rate * (1 + 1e-12))
    threshold = others[allowed] if allowed < len(others) else -np.inf
    return is_member & (np.nan_to_num(score, nan=-np.inf) > threshold)
