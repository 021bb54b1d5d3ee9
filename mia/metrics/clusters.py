"""Records that belong together: takes outcomes and groups, gives the sizes and variances that intervals may rely on.

The records of one person are not independent trials: a thousand records of ten people say little more than ten. Sums
over groups take the place of single records in every variance.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.metrics.rates import CONFIDENCE, normal_quantile, student_quantile

CAUTION = 2.0
"""Groups that count as always alike, beside those in which the rarer outcome was seen."""


class Trials(NamedTuple):
    """Successes among trials, as intervals for proportions take them; not whole numbers where records are grouped."""

    successes: float
    trials: float


def group_codes(groups: Shaped[np.ndarray, "Q"]) -> Int[np.ndarray, "Q"]:
    """Return whole numbers from 0 in place of the names of groups."""
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def covariance_of_means(
    a: Float[np.ndarray, "n"], b: Float[np.ndarray, "n"], codes: Int[np.ndarray, "n"] | None = None
) -> float:
    """Return the covariance of the means of two quantities of the same records; 0 where there is one record or group.

    With groups it is the sum of the products of each group's sums, times G / (G - 1): the sandwich estimate that holds
    whatever the correlation inside the groups.
    """
    if codes is None:
        if len(a) < 2:
            return 0.0
        products = (a - a.mean()) * (b - b.mean())  # no dot: the library wakes all its threads for vectors this short
        return float(products.sum() / (len(a) - 1) / len(a))
    number = len(np.unique(codes))
    if number < 2:
        return 0.0
    sums_a, sums_b = (np.bincount(codes, x - x.mean()) for x in (a, b))
    return float(np.dot(sums_a, sums_b) * number / (number - 1) / len(a) ** 2)


def fewest_trials(codes: Int[np.ndarray, "n"]) -> float:
    """Return how many independent records the records are worth if those of a group are always alike (Kish 1965)."""
    sizes = np.bincount(codes)
    return float(sizes.sum() ** 2 / np.square(sizes, dtype=np.float64).sum()) if len(codes) else 0.0


def effective_trials(
    is_hit: Bool[np.ndarray, "n"], codes: Int[np.ndarray, "n"] | None, confidence: float = CONFIDENCE
) -> Trials:
    """Return the successes and trials of a proportion over records, cut down to what the groups are worth.

    The number of trials is the one whose binomial variance is the variance between groups, corrected for the few
    groups that this is estimated from (Korn and Graubard 1998, Survey Methodology 24:193). Where the rarer outcome
    occurs in few groups that estimate is poor, and too small where luck made it rare: `CAUTION` groups' worth of
    records that are always alike in a group are mixed in. There are never more trials than records.

    Args:
        is_hit: the outcomes.
        codes: whose record each is, from 0; None: each is a trial of its own.
        confidence: of the interval to be made of the answer.
    """
    number = len(is_hit)
    hits = float(is_hit.sum())
    if codes is None or not number:
        return Trials(hits, float(number))
    share, least = hits / number, fewest_trials(codes)
    events = min(len(np.unique(codes[is_hit])), len(np.unique(codes[~is_hit])))
    num_groups = len(np.unique(codes))
    if not events or num_groups < 2:
        return Trials(share * least, least)
    about = is_hit - share
    seen, most = covariance_of_means(about, about, codes), share * (1 - share) / least
    variance = (events * seen + CAUTION * most) / (events + CAUTION)
    correction = normal_quantile(confidence) / student_quantile(confidence, num_groups - 1)
    trials = min(share * (1 - share) / variance * correction**2, float(number))
    return Trials(share * trials, trials)
