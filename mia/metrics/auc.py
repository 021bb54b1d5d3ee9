"""The area under the ROC, with intervals: takes scores without NaN and memberships; O(n log n), no resampling.

The area is the chance that a random member scores above a random non-member, ties counting half (Mann-Whitney).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import expit, logit

from mia.metrics.clusters import covariance_of_means, fewest_trials, group_codes
from mia.metrics.rates import CONFIDENCE, Estimate, normal_quantile, squares_and_add, student_quantile

MANY = 100
"""Members, and non-members, from which the normal quantile serves; with fewer (or groups) it is Student's."""


class Placements(NamedTuple):
    """Where each record stands among the records of the other kind."""

    of_members: Float[np.ndarray, "m"]  # share of non-members below each member, ties half
    of_nonmembers: Float[np.ndarray, "n"]  # share of members above each non-member, ties half

    @property
    def auc(self) -> float:
        """The area under the ROC."""
        return float(np.mean(self.of_members))


class _Groups(NamedTuple):
    """Whose record each member and each non-member is."""

    of_members: Int[np.ndarray, "m"]
    of_nonmembers: Int[np.ndarray, "n"]


@dataclass(frozen=True)
class Area:
    """An area under the ROC and how well it is known."""

    value: float
    variance: float  # DeLong's; robust to groups where there are some
    freedom: float  # degrees of freedom of that variance; infinite where it may pass for known
    num_members: float  # what they are worth at least, where records are grouped
    num_nonmembers: float
    is_unseen: bool  # whether a variance could not show: it vanishes, or it does on a side that has few records

    @property
    def is_extreme(self) -> bool:
        """Whether the variance is nothing to go by, or rests on less than one record's worth of pairs."""
        smallest = min(self.num_members, self.num_nonmembers)
        return self.is_unseen or min(self.value, 1 - self.value) * smallest < 1

    def estimate(self, confidence: float = CONFIDENCE) -> Estimate:
        """Return the area with its interval, as `auc` describes it."""
        value = self.value
        low, high = _score_interval(self, confidence) if self.is_extreme else (value, value)
        if self.variance > 0 and 0 < value < 1:
            half = self.quantile(confidence) * np.sqrt(self.variance) / (value * (1 - value))
            low, high = min(low, expit(logit(value) - half)), max(high, expit(logit(value) + half))
        return Estimate(value, float(low), float(high))

    def quantile(self, confidence: float) -> float:
        """Return how many standard errors the interval reaches."""
        return normal_quantile(confidence) if np.isinf(self.freedom) else student_quantile(confidence, self.freedom)


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


def auc(
    score: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    confidence: float = CONFIDENCE,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> Estimate:
    """Return the area under the ROC with its interval; needs a member and a non-member.

    The interval is DeLong's (1988; fast form of Sun and Xu 2014), symmetric on the logit scale so that it stays within
    [0, 1] and keeps its coverage near the ends. With fewer than 100 members or non-members the standard error is
    multiplied by Student's quantile, at the degrees of freedom of Welch and Satterthwaite: with ten records on a side
    the normal one covers 92 to 93 of 100. Where DeLong's variance is nothing to go by - it vanishes, on a side of few
    records at least, or less than one record's worth of pairs is out of order, as for a perfect attack - the interval
    also takes in Newcombe's score interval (2006, Statistics in Medicine 25:559, method 5), which is never of zero
    width and covers too much.

    Args:
        score: high = member; no NaN.
        is_member: the truth.
        confidence: of the interval.
        groups: whose record each is. The variance then is that between groups (Obuchowski 1997, Biometrics 53:567).
    """
    return area(score, is_member, groups).estimate(confidence)


def area(
    score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], groups: Shaped[np.ndarray, "Q"] | None = None
) -> Area:
    """Return the area under the ROC with what its intervals rest on; needs a member and a non-member."""
    return _area(placements(score, is_member), _groups(groups, is_member))


def auc_difference(
    score_a: Float[np.ndarray, "Q"],
    score_b: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    confidence: float = CONFIDENCE,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> Estimate:
    """Return the difference a - b of two areas over the same records, with DeLong's interval for paired curves.

    Where either area leaves DeLong's variance nothing to go by, the interval is that of two independent areas, which
    covers too much. Few records and groups are treated as by `auc`.
    """
    a, b = placements(score_a, is_member), placements(score_b, is_member)
    codes = _groups(groups, is_member)
    area_a, area_b = _area(a, codes), _area(b, codes)
    if area_a.is_extreme or area_b.is_extreme:
        return squares_and_add(area_a.estimate(confidence), area_b.estimate(confidence))
    variance = area_a.variance + area_b.variance - 2 * _covariance(a, b, codes)
    freest = area_a if area_a.freedom < area_b.freedom else area_b
    half = freest.quantile(confidence) * np.sqrt(max(variance, 0.0))
    value = a.auc - b.auc
    return Estimate(value, float(max(value - half, -1.0)), float(min(value + half, 1.0)))


def _groups(groups: Shaped[np.ndarray, "Q"] | None, is_member: np.ndarray) -> _Groups | None:
    if groups is None:
        return None
    codes = group_codes(groups)
    return _Groups(codes[is_member], codes[~is_member])


def _area(placed: Placements, groups: _Groups | None) -> Area:
    sizes = (float(len(placed.of_members)), float(len(placed.of_nonmembers)))
    freedom = np.inf
    if groups is not None:
        freedom = _freedom(placed, groups)
        sizes = (fewest_trials(groups.of_members), fewest_trials(groups.of_nonmembers))
    elif min(sizes) < MANY:
        freedom = _freedom(placed, None)
    variance = _covariance(placed, placed, groups)
    is_unseen = any(np.ptp(values) < 1e-9 and size < MANY for values, size in zip(placed, sizes, strict=True))
    return Area(placed.auc, variance, freedom, *sizes, is_unseen or variance < 1e-25)


def _covariance(a: Placements, b: Placements, groups: _Groups | None) -> float:
    """DeLong's covariance of two areas; 0 where a side has one record only, which says nothing about its spread."""
    if groups is None:
        return covariance_of_means(a.of_members, b.of_members) + covariance_of_means(a.of_nonmembers, b.of_nonmembers)
    own = covariance_of_means(a.of_members, b.of_members, groups.of_members)
    own += covariance_of_means(a.of_nonmembers, b.of_nonmembers, groups.of_nonmembers)
    return own + _across(a, b, groups) + _across(b, a, groups)


def _across(a: Placements, b: Placements, groups: _Groups) -> float:
    """Covariance of the members' part of one area and the non-members' of the other, in groups that have both."""
    number = int(max(groups.of_members.max(), groups.of_nonmembers.max())) + 1
    of_members = np.bincount(groups.of_members, a.of_members - a.of_members.mean(), number)
    of_nonmembers = np.bincount(groups.of_nonmembers, b.of_nonmembers - b.of_nonmembers.mean(), number)
    return float(np.dot(of_members, of_nonmembers) / len(a.of_members) / len(b.of_nonmembers))


def _freedom(placed: Placements, groups: _Groups | None) -> float:
    """Degrees of freedom of a sum of two variances (Welch and Satterthwaite); infinite where both vanish."""
    parts = []
    for side, values in enumerate(placed):
        codes = None if groups is None else groups[side]
        number = len(values) if codes is None else len(np.unique(codes))
        parts.append((covariance_of_means(values, values, codes), max(number - 1, 1)))
    total = sum(variance for variance, _ in parts)
    weighted = sum(variance**2 / freedom for variance, freedom in parts)
    return total**2 / weighted if weighted > 0 else np.inf


def _score_interval(found: Area, confidence: float) -> tuple[float, float]:
    """Newcombe's method 5: the areas whose own standard error puts them `z` of it away from the one observed."""
    from scipy.optimize import brentq

    value, z = found.value, normal_quantile(confidence)
    num_members, num_nonmembers = found.num_members, found.num_nonmembers

    def excess(area: float) -> float:
        spread = 1 + ((num_members + num_nonmembers) / 2 - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        return (area - value) ** 2 - z * z * area * (1 - area) * spread / (num_members * num_nonmembers)

    def limit(inner: float, end: float) -> float:
        """Where the excess vanishes; the value itself where the confidence is so low that it vanishes nowhere."""
        return value if excess(inner) >= 0 else float(brentq(excess, *sorted((inner, end))))

    low = 0.0 if value == 0 else limit(min(value, 1 - 1e-12), 0.0)
    high = 1.0 if value == 1 else limit(max(value, 1e-12), 1.0)
    return low, high
