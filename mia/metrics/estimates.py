"""Estimates of many runs: means over seeds, paired differences, the best of many; each with its 95% interval.

Takes numbers, gives estimates. Reads nothing and draws nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mia.metrics.rates import CONFIDENCE, normal_quantile, squares_and_add, student_quantile
from mia.metrics.rates import Estimate as Interval


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval; over seeds, that of the mean, and beside it the deviation of one seed."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    deviation: float = math.nan  # between seeds; NaN for one run
    count: int = 0  # runs behind it

    @property
    def is_known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)


def of_metrics(metrics: Mapping[str, Any], name: str) -> Estimate:
    """Return a metric of one run with the ends of its interval, where it has one."""
    value = float(metrics.get(name, math.nan))
    low, high = (float(metrics.get(f"{name}{end}", value)) for end in ("_low", "_high"))
    return Estimate(value, low, high, count=1)


def of_mean(values: Sequence[float], *, is_share: bool = True) -> Estimate:
    """Return the mean over seeds with Student's interval of the mean, and the deviation between seeds.

    Args:
        values: one per seed.
        is_share: the value lies in [0, 1] (or, where it is negative somewhere, in [-1, 1]), and so do the ends.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean, mean, mean, count=len(values))
    deviation = float(np.std(values, ddof=1))
    half = student_quantile(CONFIDENCE, len(values) - 1) * deviation / math.sqrt(len(values))
    low, high = mean - half, mean + half
    if is_share and max(np.abs(values)) <= 1:
        low, high = max(low, -1.0 if min(values) < 0 else 0.0), min(high, 1.0)
    return Estimate(mean, low, high, deviation, len(values))


def mean_of_intervals(found: Sequence[Interval]) -> Estimate:
    """Return the mean of independent estimates; the distances to their own ends add as squares, each side by itself.

    What it says is of these very models: the deviation between seeds stands beside it.
    """
    values = np.array([one.value for one in found])
    below = math.hypot(*[one.value - one.low for one in found]) / len(found)
    above = math.hypot(*[one.high - one.value for one in found]) / len(found)
    mean = float(values.mean())
    deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Estimate(mean, mean - below, mean + above, deviation, len(values))


def best_difference(best: Estimate, plain: Estimate, candidates: int) -> Interval:
    """Return the lowest of several candidates less the baseline, both taken as uncertain.

    The intervals are widened to those of confidence 1 - 5% / candidates (Bonferroni): the lowest of many lies low by
    luck as well. Taking both as independent is cautious, since they are of the same records.
    """
    wider = normal_quantile(1 - (1 - CONFIDENCE) / max(candidates, 1)) / normal_quantile(CONFIDENCE)

    def widened(one: Estimate) -> Interval:
        return Interval(
            one.value, one.value - wider * (one.value - one.low), one.value + wider * (one.high - one.value)
        )

    return squares_and_add(widened(best), widened(plain))
