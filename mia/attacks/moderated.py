"""Variances of a few values, moderated by those of all records: empirical Bayes, and what it predicts (Smyth 2004).

Takes variances with their degrees of freedom; gives the prior that all of them together tell, and Student's t densities
and tails. Knows nothing of models or membership.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

PerRecord = Float[np.ndarray, "N"]
TINY = 1e-290
"""A tail below this is worked out from its logarithm."""
STEPS = 60
"""Of Newton's method, which takes under ten."""
CITATION = (
    "Smyth: Linear models and empirical Bayes methods for assessing differential expression in microarray experiments, "
    "SAGMB 2004"
)


@dataclass(frozen=True)
class Prior:
    """What the variances of all records say of any one: a scaled inverse chi-square distribution."""

    freedom: float  # degrees of freedom d0; infinite where records differ no more than chance lets them
    variance: float  # s0 squared

    def moderate(self, variance: PerRecord, freedom: PerRecord) -> PerRecord:
        """Return (d0 s0^2 + d s^2) / (d0 + d); the prior's variance where there is no degree of freedom."""
        own = np.where(freedom > 0, variance, 0.0)
        if np.isinf(self.freedom):
            return np.full(len(own), self.variance)
        return (self.freedom * self.variance + freedom * own) / (self.freedom + freedom)


def fit_prior(variance: PerRecord, freedom: PerRecord) -> Prior | None:
    """Return the prior by the moments of the log variances (Smyth 2004, section 6.2); None where there are none.

    Args:
        variance: Sample variances (divided by n - 1), above 0.
        freedom: Degrees of freedom of each, n - 1, above 0.
    """
    from scipy.special import digamma, polygamma

    if not len(variance):
        return None
    centred = np.log(variance) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = 0.0
    if len(variance) > 1:
        excess = float(np.var(centred, ddof=1) - np.mean(polygamma(1, freedom / 2)))
    if excess <= 0:
        return Prior(np.inf, float(np.exp(centred.mean())))
    half = inverse_trigamma(excess)
    return Prior(2 * half, float(np.exp(centred.mean() + digamma(half) - np.log(half))))


def inverse_trigamma(value: float) -> float:
    """Return x > 0 with trigamma(x) = value > 0, by Newton's method on the reciprocal (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if value > 1e7:
        return 1 / np.sqrt(value)
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(STEPS):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step < 1e-12 * x:
            break
    return x


def student_log_density(z: PerRecord, freedom: PerRecord) -> PerRecord:
    """Return the log density of Student's t at `z`; of a standard Gaussian where the freedom is infinite."""
    from scipy.special import gammaln

    with np.errstate(invalid="ignore"):
        finite = np.where(np.isinf(freedom), 1.0, freedom)
        found = (
            gammaln((finite + 1) / 2)
            - gammaln(finite / 2)
            - 0.5 * np.log(np.pi * finite)
            - (finite + 1) / 2 * np.log1p(z * z / finite)
        )
    return np.where(np.isinf(freedom), -0.5 * z * z - 0.5 * np.log(2 * np.pi), found)


def student_log_tail(z: PerRecord, freedom: PerRecord) -> PerRecord:
    """Return log P(T <= z) of Student's t; of a standard Gaussian where the freedom is infinite.

    Tails too thin for double precision by the first two terms of their asymptotic series.
    """
    from scipy.special import log_ndtr, stdtr

    z = np.asarray(z, np.float64)
    freedom = np.broadcast_to(freedom, z.shape)
    is_gaussian = np.isinf(freedom)
    finite = np.where(is_gaussian, 1.0, freedom)
    rest = stdtr(finite, -np.abs(z))
    found = np.where(z > 0, np.log1p(-rest), np.log(np.maximum(rest, TINY)))
    is_thin = (rest < TINY) & (z < 0) & ~is_gaussian
    x, nu = -z[is_thin], freedom[is_thin]
    rate = (nu + 1) * x / (nu + x * x)  # that the log density falls at
    found[is_thin] = student_log_density(x, nu) - np.log(rate) - np.log1p(1 / (rate * x))
    return np.where(is_gaussian, log_ndtr(z), found)
