"""The area under the ROC, with intervals: takes scores without NaN and memberships; O(n log n), no resampling.

The area is the chance that a random member scores above a random non-member, ties counting half (Mann-Whitney).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.special import expit, logit

from mia.metrics.rates import CONFIDENCE, Estimate, normal_quantile, squares_and_add


class Placements(NamedTuple):
    """Where each record stands among the records of the other kind."""

    of_members: Float[np.ndarray, "m"]  # share of non-members below each member, ties half
    of_nonmembers: Float[np.ndarray, "n"]  # share of members above each non-member, ties half

    @property
    def auc(self) -> float:
        """The area under the ROC."""
        return float(np.mean(self.of_members))


def placements(score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"]) -> Placements:
    """Return the placement of every record, from one sort."""
    order = np.argsort(score)
    rising, member = score[order], is_member[order]
    is_first_of_tie = np.append(True, rising[1:] != rising[:-1])
    tie = np.cumsum(is_first_of_tie) - 1
    ends = np.append(np.flatnonzero(is_first_of_tie), len(score))

    def share_below(others: np.ndarray) -> np.ndarray:
        """Share of `others` below each record in rising order, those equal counting half."""
        counts = np.append(0, np.cumsum(others))
        at_ties = counts[ends]
        return ((at_ties[:-1] + at_ties[1:]) / (2 * counts[-1]))[tie]

    placed = np.empty(len(score))
    placed[order] = np.where(member, share_below(~member), 1 - share_below(member))
    return Placements(placed[is_member], placed[~is_member])


def auc(score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], confidence: float = CONFIDENCE) -> Estimate:
    """Return the area under the ROC with its interval; needs a member and a non-member.

    The interval is DeLong's (1988; fast form of Sun and Xu 2014), symmetric on the logit scale so that it stays within
    [0, 1] and keeps its coverage near the ends. Where DeLong's variance is nothing to go by - it vanishes, or less than
    one record's worth of pairs is out of order, as for a perfect attack - the interval also takes in Newcombe's score
    interval (2006, Statistics in Medicine 25:559, method 5), which is never of zero width.
    """
    return _with_interval(placements(score, is_member), confidence)


def auc_difference(
    score_a: Float[np.ndarray, "Q"],
    score_b: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the difference a - b of two areas over the same records, with DeLong's interval for paired curves.

    Where either area leaves DeLong's variance nothing to go by, the interval is that of two independent areas.
    """
    a, b = placements(score_a, is_member), placements(score_b, is_member)
    if _is_extreme(a) or _is_extreme(b):
        return squares_and_add(_with_interval(a, confidence), _with_interval(b, confidence))
    variance = _covariance(a, a) + _covariance(b, b) - 2 * _covariance(a, b)
    half = normal_quantile(confidence) * np.sqrt(max(variance, 0.0))
    value = a.auc - b.auc
    return Estimate(value, float(max(value - half, -1.0)), float(min(value + half, 1.0)))


def _with_interval(placed: Placements, confidence: float) -> Estimate:
    value, variance = placed.auc, _covariance(placed, placed)
    low, high = _score_interval(placed, confidence) if _is_extreme(placed) else (value, value)
    if variance > 0 and 0 < value < 1:
        half = normal_quantile(confidence) * np.sqrt(variance) / (value * (1 - value))
        low, high = min(low, expit(logit(value) - half)), max(high, expit(logit(value) + half))
    return Estimate(value, float(low), float(high))


def _is_extreme(placed: Placements) -> bool:
    """Whether DeLong's variance vanishes (but for rounding), or rests on less than one record's worth of pairs."""
    smallest = min(len(placed.of_members), len(placed.of_nonmembers))
    return _covariance(placed, placed) < 1e-25 or min(placed.auc, 1 - placed.auc) * smallest < 1


def _covariance(a: Placements, b: Placements) -> float:
    """DeLong's covariance of two areas; 0 where a side has one record only, which says nothing about its spread."""

    def of_mean(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.dot(x - x.mean(), y - y.mean()) / (len(x) - 1) / len(x)) if len(x) > 1 else 0.0

    return of_mean(a.of_members, b.of_members) + of_mean(a.of_nonmembers, b.of_nonmembers)


def _score_interval(placed: Placements, confidence: float) -> tuple[float, float]:
    """Newcombe's method 5: the areas whose own standard error puts them `z` of it away from the one observed."""
    value, z = placed.auc, normal_quantile(confidence)
    num_members, num_nonmembers = len(placed.of_members), len(placed.of_nonmembers)

    def excess(area: float) -> float:
        spread = 1 + ((num_members + num_nonmembers) / 2 - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        return (area - value) ** 2 - z * z * area * (1 - area) * spread / (num_members * num_nonmembers)

    low = 0.0 if value == 0 else brentq(excess, 0.0, min(value, 1 - 1e-12))
    high = 1.0 if value == 1 else brentq(excess, max(value, 1e-12), 1.0)
    return low, high
