"""How leakage falls with data: takes rates at several sizes, gives the slope on doubly logarithmic scales.

log(TPR - FPR) falls about as -1/2 log(examples per class) in the literature (Tobaben et al. 2024).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from mia.metrics.rates import CONFIDENCE, Estimate, student_quantile


@dataclass(frozen=True)
class PowerLaw:
    """TPR - FPR = exp(intercept) * examples^slope."""

    slope: Estimate
    intercept: float
    num_left_out: int  # points at or below chance, whose logarithm does not exist

    def gain(self, examples: Real[np.ndarray, "X"]) -> Float[np.ndarray, "X"]:
        """Return TPR - FPR at numbers of examples, on the line."""
        return np.asarray(np.exp(self.intercept) * np.asarray(examples, dtype=np.float64) ** self.slope.value)


def fit_power_law(
    examples: Real[np.ndarray, "P"],
    tpr: Float[np.ndarray, "P"],
    fpr: Float[np.ndarray, "P"],
    *,
    members: Real[np.ndarray, "P"] | None = None,
    nonmembers: Real[np.ndarray, "P"] | None = None,
    confidence: float = CONFIDENCE,
) -> PowerLaw | None:
    """Return the slope of log(TPR - FPR) against log(examples), with its interval; None with fewer than three sizes.

    Least squares, with Student's interval at two degrees of freedom less than there are points. Given how many members
    and non-members the rates come from, points are weighted by the inverse of their binomial variance. Points without
    leakage (TPR <= FPR) have no logarithm and are left out, which flattens the slope: they are counted, and where there
    are any the slope is one of the settings that leak.

    Args:
        examples: per class, at each point.
        tpr: true-positive rates.
        fpr: false-positive rates, as they really were.
        members: behind each true-positive rate.
        nonmembers: behind each false-positive rate.
        confidence: of the interval.
    """
    examples, tpr, fpr = (np.asarray(values, dtype=np.float64) for values in (examples, tpr, fpr))
    gain = tpr - fpr
    use = (gain > 0) & (examples > 0)
    x, y = np.log(examples[use]), np.log(gain[use])
    if len(np.unique(x)) < 3:  # of two, a line through their means fits all too well
        return None
    weight = np.ones(len(x))
    if members is not None and nonmembers is not None:
        variance = _variance(tpr, members) + _variance(fpr, nonmembers)
        weight = gain[use] ** 2 / variance[use]
    weight = weight / weight.sum()
    centre = float(weight @ x)
    spread = float(weight @ (x - centre) ** 2)
    slope = float(weight @ ((x - centre) * y)) / spread
    intercept = float(weight @ y) - slope * centre
    freedom = len(x) - 2
    residual = float(weight @ (y - intercept - slope * x) ** 2) / freedom
    half = student_quantile(confidence, freedom) * np.sqrt(residual / spread)
    estimate = Estimate(slope, float(slope - half), float(slope + half))
    return PowerLaw(estimate, intercept, int(np.count_nonzero(~use)))


def _variance(rate: np.ndarray, trials: Real[np.ndarray, "P"]) -> np.ndarray:
    """Of a rate, smoothed so that none is certain."""
    trials = np.asarray(trials, dtype=np.float64)
    share = (rate * trials + 0.5) / (trials + 1)
    return np.asarray(share * (1 - share) / trials)
