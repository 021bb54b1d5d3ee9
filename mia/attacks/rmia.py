"""RMIA: how many population records a record's likelihood ratio dominates (Zarifzadeh et al. 2024).

Takes signals; gives, per record x, the share of population records z with LR(x, z) >= gamma, where LR(x, z) =
(p(x | target) / p(x)) / (p(z | target) / p(z)) and p is the probability of the true class. Shares are counted in the
sorted ratios of z: no record-by-population matrix is built.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int8

from mia.attacks.masked_statistics import masked_mean
from mia.attacks.per_record import Needs, compare
from mia.attacks.shared_statistics import shared_statistics
from mia.attacks.spec import attack
from mia.attacks.ties import PRECISION
from mia.checks import fraction, positive
from mia.records import IN, OUT, Scores, Signals

FEWEST_OTHERS = 100
"""Records outside the question that make a population; with fewer, the candidates themselves are it."""

Membership = Int8[np.ndarray, "K N"]
PerRecord = Float[np.ndarray, "N"]
Marginal = Callable[[PerRecord, PerRecord], PerRecord]
"""From the means over IN and OUT shadows (NaN: there are none) to p(x)."""
CITATION = "Zarifzadeh, Liu, Shokri: Low-cost high-power membership inference attacks, ICML 2024"


@dataclass
class RmiaOnlineOptions:
    """Share of population records that the record's likelihood ratio dominates (Zarifzadeh et al. 2024)."""

    gamma: float = 1.0  # by what factor

    def __post_init__(self) -> None:
        positive("attack.rmia_online.gamma", self.gamma)


@dataclass
class RmiaOfflineOptions:
    """The same, with the IN models' mean guessed from the OUT models' (Zarifzadeh et al. 2024, appendix B)."""

    gamma: float = 1.0  # by what factor
    a: float = 0.3  # mean over IN models is taken as a x mean over OUT models + 1 - a

    def __post_init__(self) -> None:
        positive("attack.rmia_offline.gamma", self.gamma)
        fraction("attack.rmia_offline.a", self.a)


@attack(
    "rmia_online",
    options=RmiaOnlineOptions,
    needs=("shadows", "in_models", "out_models"),
    citation=CITATION,
    label="RMIA online",
    instead="rmia_offline",
)
def online(signals: Signals, options: RmiaOnlineOptions, seed: int) -> Scores:
    """Score with p(x) = the mean of the IN mean and the OUT mean; p(z) = the OUT mean where no shadow has seen z."""
    return _dominate(
        signals,
        options.gamma,
        seed,
        Needs(1, 1),
        lambda mean_in, mean_out: (mean_in + mean_out) / 2,
        lambda mean_in, mean_out: np.where(np.isnan(mean_in), mean_out, (mean_in + mean_out) / 2),
    )


@attack(
    "rmia_offline",
    options=RmiaOfflineOptions,
    needs=("shadows", "out_models"),
    citation=CITATION,
    label="RMIA offline",
)
def offline(signals: Signals, options: RmiaOfflineOptions, seed: int) -> Scores:
    """Score with p(x) = ((1 + a) OUT mean + 1 - a) / 2, for z as for x (appendix B)."""

    def marginal(_: PerRecord, mean_out: PerRecord) -> PerRecord:
        return ((1 + options.a) * mean_out + 1 - options.a) / 2

    return _dominate(signals, options.gamma, seed, Needs(0, 1), marginal, marginal)


def _dominate(
    signals: Signals,
    gamma: float,
    seed: int,
    needs: Needs,
    *marginals: Marginal,  # of records and of the population
) -> Scores:
    of_record, of_population = marginals
    shared, population = shared_statistics(signals), _population(signals)

    def score(row: int, membership: Membership) -> PerRecord:
        means = _means(shared.confidence[1:], membership, needs.models_in > 0)
        ratio = shared.confidence[row] / of_record(*means)
        if shared.population_confidence is not None:
            p = shared.population_confidence
            mean_out = np.delete(p, (0, row), axis=0).mean(0)
            return dominated(ratio, p[row] / of_population(np.full(len(mean_out), np.nan), mean_out), gamma)
        chosen = population
        if row and not population[signals.candidates].any():  # as the target, a stand-in has not seen its population
            chosen = population & (signals.shadow_membership[row - 1] == OUT)
        return dominated(ratio, (shared.confidence[row] / of_population(*means))[chosen], gamma)

    scores = compare(signals, score, needs, seed)
    if not population[signals.candidates].any():
        return scores
    warning = "no population records, the candidates themselves stand in for them"
    return replace(scores, warnings=(*scores.warnings, warning))


def dominated(ratio: PerRecord, ratio_z: Float[np.ndarray, "Z"], gamma: float) -> PerRecord:
    """Return the share of population records z with ratio / ratio_z >= gamma, rounding aside; z of NaN do not count."""
    ordered = np.sort(ratio_z[~np.isnan(ratio_z)])
    if not len(ordered):
        return np.full(len(ratio), np.nan)
    share = np.searchsorted(ordered, ratio / gamma * (1 + PRECISION), side="right") / len(ordered)
    return np.where(np.isnan(ratio), np.nan, share)


def _means(p: Float[np.ndarray, "K N"], membership: Membership, inside: bool) -> tuple[PerRecord, PerRecord]:
    mean_out = masked_mean(p, membership == OUT)
    return (masked_mean(p, membership == IN) if inside else np.full(len(mean_out), np.nan)), mean_out


def _population(signals: Signals) -> Bool[np.ndarray, "N"]:
    """Return which of the signals' own records make the population; none where it comes beside them."""
    if signals.population_outputs is not None:
        return np.zeros(len(signals.labels), bool)
    others = ~signals.is_candidate
    return others if np.count_nonzero(others) >= FEWEST_OTHERS else signals.is_candidate
