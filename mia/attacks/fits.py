"""A distribution of phi per record, fitted to its IN or its OUT shadows: Gaussians, or Student's t once moderated.

Takes phi and who is used; gives locations and spreads, above 0 where anything tells how far from the shadows' one
answer is far. Attacks make scores of them.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.masked_statistics import count_models, masked_mean, masked_median, masked_std, pooled_std
from mia.attacks.moderated import Prior, fit_prior, student_log_density
from mia.attacks.ties import difference

NO_SPREAD = 1e-9
"""A standard deviation below this, relative to the values, is none: they agree to the last digit."""

PerRecord = Float[np.ndarray, "N"]


@dataclass(frozen=True)
class Fit:
    """A Gaussian per record, fitted to some shadows, and where the attacked model's answer lies in it."""

    location: PerRecord
    spread: PerRecord  # standard deviation, above 0 once `_stand_in_for_none` has been through it
    pooled: float  # of all records
    phi: PerRecord  # of the model attacked
    count: Int[np.ndarray, "N"] | None = None  # shadows behind it, where it is to be moderated
    freedom: PerRecord | None = None  # of Student's t, once it is moderated
    prior: Prior | None = None  # by which

    @property
    def is_flat(self) -> Bool[np.ndarray, "N"]:
        """Whether the shadows behind it agree."""
        return self.spread <= NO_SPREAD * (1 + np.abs(self.location))

    @property
    def z(self) -> PerRecord:
        """Standard deviations that the answer lies above the location."""
        return difference(self.phi, self.location) / self.spread

    @property
    def size(self) -> PerRecord:
        """Of what z was made of."""
        return (np.abs(self.phi) + np.abs(self.location)) / self.spread

    @property
    def log_density(self) -> PerRecord:
        """Of the answer."""
        if self.freedom is not None:
            return student_log_density(self.z, self.freedom) - np.log(self.spread)
        return -0.5 * self.z**2 - np.log(self.spread) - 0.5 * np.log(2 * np.pi)

    @property
    def log_density_size(self) -> PerRecord:
        """Of what the log density was made of."""
        return 1 + np.abs(self.log_density) + np.abs(self.z) * self.size


Fits = dict[int, Fit]
"""By kind of shadow, IN and OUT or OUT alone."""


def fit_each(
    phi: Float[np.ndarray, "M N"], row: int, is_used: Bool[np.ndarray, "K N"], location: str, variance: str
) -> Fit:
    """Fit a Gaussian per record; NaN where there are too few models to. Moderation comes later."""
    mean = masked_mean(phi[1:], is_used)
    centre = mean if location == "mean" else masked_median(phi[1:], is_used)
    pooled = pooled_std(phi[1:], is_used, centre)
    if variance == "global":
        return Fit(centre, np.full(len(centre), pooled), pooled, phi[row])
    fit = Fit(centre, masked_std(phi[1:], is_used, mean), pooled, phi[row])
    return replace(fit, count=count_models(is_used)) if variance == "moderated" else fit


def moderate(fits: Fits, of_target: Fits) -> Fits:
    """Return what Student's t says of a new answer, by deviations that all records of a side have a part in.

    Where all shadows of a side agree, or a stand-in has too few behind it, the target's prior, or else that of the
    other side, takes its place; without any, the fits stay as they are: flat.
    """
    priors = {kind: _prior_of(fit) or of_target[kind].prior for kind, fit in fits.items()}
    known = [prior for prior in priors.values() if prior is not None]
    if not known:
        return fits
    found = {}
    for kind, fit in fits.items():
        assert fit.count is not None, "what is moderated has counts"
        prior, own = priors[kind] or known[0], np.maximum(fit.count - 1.0, 0.0)
        sample = np.nan_to_num(fit.spread**2) * fit.count / np.maximum(own, 1)
        spread = np.sqrt(prior.moderate(sample, own) * (1 + 1 / np.maximum(fit.count, 1)))
        found[kind] = replace(fit, spread=spread, freedom=own + prior.freedom, prior=prior)
    return found


def _prior_of(fit: Fit) -> Prior | None:
    """Return what the deviations of a side say of each other; those of shadows that all agree say nothing."""
    assert fit.count is not None, "what is moderated has counts"
    some = (fit.count > 1) & ~fit.is_flat
    own = fit.count[some] - 1.0
    return fit_prior(fit.spread[some] ** 2 * fit.count[some] / own, own)


def lend_spread(fits: Fits, of_target: Fits) -> Fits:
    """Return a stand-in's fits with the target's one spread, where too few shadows are left behind it for its own."""
    lent = {kind: of_target[kind].pooled if np.isnan(fit.pooled) else fit.pooled for kind, fit in fits.items()}
    return {
        kind: replace(fit, pooled=lent[kind], spread=np.full(len(fit.location), lent[kind]))
        for kind, fit in fits.items()
    }


def all_agree(fits: Fits, is_alone: bool) -> Bool[np.ndarray, "N"]:
    """Return the records of which no likelihood can be told: nothing says how far from the shadows' one answer is far.

    With a deviation of their own alone, those whose shadows all agree, IN and OUT ones alike; with one that all records
    have a part in, all or none of them.
    """
    flat = np.all([fit.is_flat for fit in fits.values()], axis=0)
    if not is_alone:
        return flat
    locations = [fit.location for fit in fits.values()]
    return flat & (np.ptp(locations, axis=0) <= NO_SPREAD * (1 + np.abs(locations[0])))


def stand_in_for_none(fits: Fits) -> Fits:
    """Return fits that all have a spread: that of all records, of the other kind's if need be, stands in for none."""
    usable = [fit.pooled for fit in fits.values() if fit.pooled > NO_SPREAD]
    spreads = {kind: fit.pooled if fit.pooled > NO_SPREAD else max(usable, default=1.0) for kind, fit in fits.items()}
    return {
        kind: replace(fit, spread=np.where(fit.is_flat | (fit.spread == 0), spreads[kind], fit.spread))
        for kind, fit in fits.items()
    }
