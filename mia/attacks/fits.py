"""A distribution of phi per record, fitted to its IN or its OUT shadows: Gaussians, or Student's t once moderated.

Takes phi and who is used; gives locations and spreads, above 0 where anything tells how far from the shadows' one
answer is far. Attacks make scores of them.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from mia.attacks.masked_statistics import Moments, masked_median, masked_moments, pooled_std
from mia.attacks.memory import remembered
from mia.attacks.moderated import Prior, fit_prior, student_log_density
from mia.attacks.ties import difference
from mia.records import Signals

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
    known: "Known | None" = None  # of the shadows behind it, where it is to be moderated
    freedom: PerRecord | None = None  # of Student's t, once it is moderated
    prior: Prior | None = None  # by which

    @cached_property
    def is_flat(self) -> Bool[np.ndarray, "N"]:
        """Whether the shadows behind it agree."""
        return _agree(self.spread, self.location)

    @cached_property
    def z(self) -> PerRecord:
        """Standard deviations that the answer lies above the location."""
        return difference(self.phi, self.location) / self.spread

    @property
    def size(self) -> PerRecord:
        """Of what z was made of."""
        return (np.abs(self.phi) + np.abs(self.location)) / self.spread

    @cached_property
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


@dataclass(frozen=True)
class Known:
    """What the shadows of a side say of each record, whatever the model attacked says."""

    moments: Moments
    location: PerRecord
    pooled: float  # standard deviation of all distances from the locations

    @cached_property
    def prior(self) -> Prior | None:
        """What the deviations of a side say of each other; those of shadows that all agree say nothing."""
        spread, count = self.moments.std, self.moments.count
        some = (count > 1) & ~_agree(spread, self.location)
        own = count[some] - 1.0
        return fit_prior(spread[some] ** 2 * count[some] / own, own)


class Answers:
    """Phi of all models on some records, and what was found of them: the same for all attacks that compare phi."""

    def __init__(
        self,
        signals: Signals,
        phi: Float[np.ndarray, "M R"],
        name: str,
        records: Int[np.ndarray, "R"] | None = None,
    ) -> None:
        """Take answers.

        Args:
            signals: Where what is found is kept.
            phi: Row 0 is the target's.
            name: Tells these answers from others of the same signals.
            records: Positions along the record axis; None: all.
        """
        self.signals, self.phi, self.name, self.records = signals, phi, name, records

    def fit(self, row: int, membership: Int8[np.ndarray, "K N"], kind: int, location: str, variance: str) -> Fit:
        """Fit a Gaussian per record to the shadows of a kind; NaN where there are too few. Moderation comes later."""
        known = remembered(
            self.signals,
            f"{location} of {self.name}, {kind} behind {row}",
            membership,
            lambda: self._find(membership, kind, location),
        )
        if variance == "global":
            return Fit(known.location, np.full(len(known.location), known.pooled), known.pooled, self.phi[row])
        fit = Fit(known.location, known.moments.std, known.pooled, self.phi[row])
        return replace(fit, known=known) if variance == "moderated" else fit

    def _find(self, membership: Int8[np.ndarray, "K N"], kind: int, location: str) -> Known:
        is_used = (membership if self.records is None else membership[:, self.records]) == kind
        moments = masked_moments(self.phi[1:], is_used)
        if location == "mean":
            return Known(moments, moments.mean, moments.pooled)
        centre = masked_median(self.phi[1:], is_used)
        return Known(moments, centre, pooled_std(self.phi[1:], is_used, centre))


def moderate(fits: Fits, of_target: Fits) -> Fits:
    """Return what Student's t says of a new answer, by deviations that all records of a side have a part in.

    Where all shadows of a side agree, or a stand-in has too few behind it, the target's prior, or else that of the
    other side, takes its place; without any, the fits stay as they are: flat.
    """
    own_priors = {kind: fit.known.prior if fit.known is not None else None for kind, fit in fits.items()}
    priors = {kind: own or of_target[kind].prior for kind, own in own_priors.items()}
    known = [prior for prior in priors.values() if prior is not None]
    if not known:
        return fits
    found = {}
    for kind, fit in fits.items():
        assert fit.known is not None, "what is moderated has counts"
        count = fit.known.moments.count
        prior, own = priors[kind] or known[0], np.maximum(count - 1.0, 0.0)
        sample = np.nan_to_num(fit.spread**2) * count / np.maximum(own, 1)
        spread = np.sqrt(prior.moderate(sample, own) * (1 + 1 / np.maximum(count, 1)))
        found[kind] = replace(fit, spread=spread, freedom=own + prior.freedom, prior=prior)
    return found


def _agree(spread: PerRecord, location: PerRecord) -> Bool[np.ndarray, "N"]:
    return spread <= NO_SPREAD * (1 + np.abs(location))


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
