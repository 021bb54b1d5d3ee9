"""Intervals for proportions: takes counts, gives (low, high) or (estimate, low, high); never sees scores."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import betaincinv, ndtri, stdtrit

CONFIDENCE = 0.95
Counts = float | np.floating | np.integer | np.ndarray  # one number, or an array; whole, or effective where grouped


class Estimate(NamedTuple):
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """Return the estimate as flat metrics: `name`, `name_low`, `name_high`."""
        return {name: float(self.value), f"{name}_low": float(self.low), f"{name}_high": float(self.high)}


def normal_quantile(confidence: float) -> float:
    """Return z such that a standard normal lies in [-z, z] with this probability."""
    return float(ndtri(0.5 + confidence / 2))


def student_quantile(confidence: float, freedom: float) -> float:
    """Return t such that Student's t with so many degrees of freedom lies in [-t, t] with this probability."""
    return float(stdtrit(freedom, 0.5 + confidence / 2))


def lower_limit(successes: Counts, trials: Counts, error: float) -> Float[np.ndarray, "..."]:
    """Return the exact one-sided lower limit of a proportion, above the truth with probability `error` at most.

    Zero successes give 0. Clopper and Pearson (1934).
    """
    successes, trials = np.asarray(successes), np.asarray(trials)
    some = np.where(successes > 0, successes, 1)
    limit = betaincinv(some, trials - some + 1.0, error)
    return np.where(successes > 0, limit, 0.0)


def upper_limit(successes: Counts, trials: Counts, error: float) -> Float[np.ndarray, "..."]:
    """Return the exact one-sided upper limit of a proportion, below the truth with probability `error` at most."""
    return np.asarray(1 - lower_limit(np.asarray(trials) - np.asarray(successes), trials, error))


def clopper_pearson(successes: float, trials: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a proportion with its exact interval, whose coverage is never below `confidence`; needs trials > 0."""
    error = (1 - confidence) / 2
    low, high = lower_limit(successes, trials, error), upper_limit(successes, trials, error)
    return Estimate(successes / trials, float(low), float(high))


def wilson(successes: float, trials: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a proportion with Wilson's score interval (1927); needs trials > 0."""
    z, share = normal_quantile(confidence), successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    # A count of none or all ends exactly at 0 or 1; rounding would miss it by a hair.
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == trials else float(centre + half)
    return Estimate(share, low, high)


def difference(
    successes_a: float, trials_a: float, successes_b: float, trials_b: float, confidence: float = CONFIDENCE
) -> Estimate:
    """Return the difference a - b of two independent proportions with Newcombe's hybrid score interval.

    Newcombe (1998), Statistics in Medicine 17:873, method 10: the distances to the Wilson limits add as squares.
    """
    a, b = wilson(successes_a, trials_a, confidence), wilson(successes_b, trials_b, confidence)
    return squares_and_add(a, b)


def paired_difference(both: int, only_a: int, only_b: int, neither: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return the difference a - b of two proportions over the same trials, from the two-by-two table of outcomes.

    Newcombe (1998), Statistics in Medicine 17:2635, method 10: as for independent proportions, with the correlation of
    the pairs (continuity-corrected where positive).
    """
    trials = both + only_a + only_b + neither
    a, b = wilson(both + only_a, trials, confidence), wilson(both + only_b, trials, confidence)
    margins = float(both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    product = float(both) * neither - float(only_a) * only_b
    if product > 0:
        product = max(product - trials / 2, 0.0)
    return squares_and_add(a, b, correlation=product / np.sqrt(margins) if margins > 0 else 0.0)


def squares_and_add(a: Estimate, b: Estimate, correlation: float = 0.0) -> Estimate:
    """Return the difference a - b of two estimates: the distances to their own limits add as squares, or correlated."""

    def distance(first: float, second: float) -> float:
        return float(np.sqrt(max(first**2 - 2 * correlation * first * second + second**2, 0.0)))

    value = a.value - b.value
    low = value - distance(a.value - a.low, b.high - b.value)
    high = value + distance(a.high - a.value, b.value - b.low)
    return Estimate(value, max(low, -1.0), min(high, 1.0))
