"""RMIA: how many population records a record's likelihood ratio dominates (Zarifzadeh et al. 2024).

Takes signals; gives, per record x, the share of population records z with LR(x, z) >= gamma, where LR(x, z) =
(p(x | target) / p(x)) / (p(z | target) / p(z)) and p is the probability of the true class. Shares are counted in the
sorted ratios of z: no record-by-population matrix is built.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int8

from mia.attacks.masked_statistics import masked_mean
from mia.attacks.memory import remembered
from mia.attacks.per_record import Needs, Score, areas_of_stand_ins, compare
from mia.attacks.shared_statistics import shared_statistics
from mia.attacks.spec import attack
from mia.attacks.statistics import MOST_LOG
from mia.attacks.ties import PRECISION
from mia.checks import RequestError, positive
from mia.records import IN, OUT, Scores, Signals

FEWEST_OTHERS = 100
"""Records outside the question that make a population; with fewer, the candidates themselves are it."""

A_OF_PAPER = 0.3
A_GRID = (0.3, 0.2, 0.4, 0.1, 0.5, 0.0, 0.6, 0.7, 0.8, 0.9, 1.0)
"""To choose from; of several as good, the first, nearest to the paper's."""
SAME_AREA = 1e-9

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
    a: Any = A_OF_PAPER  # mean over IN models is taken as a x mean over OUT models + 1 - a; auto: chosen by shadows

    def __post_init__(self) -> None:
        positive("attack.rmia_offline.gamma", self.gamma)
        if self.a == "auto":
            return
        if isinstance(self.a, bool) or not isinstance(self.a, int | float) or not 0 <= self.a <= 1:
            raise RequestError(f"attack.rmia_offline.a={self.a!r} must be auto or a number from 0 to 1")


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
        _Answers(signals, uses_in=True),
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
    needs, answers = Needs(0, 1), _Answers(signals, uses_in=False)
    if options.a != "auto":
        return _dominate(answers, options.gamma, seed, needs, *_line(options.a))
    ways = [answers.scorer(options.gamma, *_line(a)) for a in A_GRID]
    areas = areas_of_stand_ins(signals, ways, seed, answers.mean_on_own())
    a = A_OF_PAPER if areas is None else A_GRID[int(np.argmax(areas >= areas.max() - SAME_AREA))]
    scores = _dominate(answers, options.gamma, seed, needs, *_line(a))
    why = () if areas is not None else (f"no shadow to choose attack.rmia_offline.a by: it is {a}, as in the paper",)
    return replace(scores, details={**scores.details, "a": a}, warnings=(*scores.warnings, *why))


def _line(a: float) -> tuple[Marginal, Marginal]:
    def marginal(_: PerRecord, mean_out: PerRecord) -> PerRecord:
        return ((1 + a) * mean_out + 1 - a) / 2

    return marginal, marginal


class _Answers:
    """What models say of the records and of the population, ready to be compared."""

    def __init__(self, signals: Signals, *, uses_in: bool) -> None:
        self.signals, self.uses_in = signals, uses_in
        self.shared, self.population = shared_statistics(signals), _population(signals)

    @property
    def is_its_own_population(self) -> bool:
        """Whether the candidates themselves are the population, for lack of others."""
        return bool(self.population[self.signals.candidates].any())

    def mean_on_own(self) -> Float[np.ndarray, "K"]:
        """Return each shadow's mean of p_y over its own records."""
        return np.array(
            [
                p[own].sum() / max(own.sum(), 1)
                for p, own in zip(self.shared.confidence[1:], self.signals.shadow_own, strict=True)
            ]
        )

    def scorer(self, gamma: float, of_record: Marginal, of_population: Marginal) -> Score:
        """Return the function that scores every record, for a model attacked and the membership behind it."""

        def score(row: int, membership: Membership) -> PerRecord:
            means, p = self._means_of(row, membership), self.shared.population_confidence
            ratio = self.shared.confidence[row] / of_record(*means)
            if p is not None:
                mean_out = np.delete(p, (0, row), axis=0).mean(0)
                return dominated(ratio, p[row] / of_population(np.full(len(mean_out), np.nan), mean_out), gamma)
            chosen = self.population
            if row and not self.is_its_own_population:  # as the target, a stand-in has not seen its population
                chosen = chosen & (self.signals.shadow_membership[row - 1] == OUT)
            return dominated(ratio, (self.shared.confidence[row] / of_population(*means))[chosen], gamma)

        return score

    def _means_of(self, row: int, membership: Membership) -> tuple[PerRecord, PerRecord]:
        """Return the means over IN and OUT shadows; behind a model are nearly always the same ones."""

        def mean(kind: int) -> PerRecord:
            key = f"mean confidence of {kind} behind {row}"
            return remembered(
                self.signals, key, membership, lambda: masked_mean(self.shared.confidence[1:], membership == kind)
            )

        return mean(IN) if self.uses_in else np.full(membership.shape[1], np.nan), mean(OUT)


def _dominate(
    answers: _Answers, gamma: float, seed: int, needs: Needs, of_record: Marginal, of_population: Marginal
) -> Scores:
    scores = compare(answers.signals, answers.scorer(gamma, of_record, of_population), needs, seed)
    warnings = [*scores.warnings, *_beyond_exp(answers.signals)]
    if answers.is_its_own_population:
        warnings.append("no population records, the candidates themselves stand in for them")
    return replace(scores, warnings=tuple(warnings))


def _beyond_exp(signals: Signals) -> list[str]:
    """Return a line where losses alone are known, and are so large that their likelihoods cannot be told apart."""
    losses = signals.target_outputs[signals.candidates]
    count = int((np.abs(losses) > MOST_LOG).sum()) if signals.num_classes == 1 else 0
    line = (
        f"{count:,} of {len(losses):,} losses lie beyond {MOST_LOG:g}: exp(-loss), which RMIA compares, cannot be "
        "told apart; give mean losses, per token or value, in place of sums"
    )
    return [line] if count else []


def dominated(ratio: PerRecord, ratio_z: Float[np.ndarray, "Z"], gamma: float) -> PerRecord:
    """Return the share of population records z with ratio / ratio_z >= gamma, rounding aside; z of NaN do not count."""
    ordered = np.sort(ratio_z[~np.isnan(ratio_z)])
    if not len(ordered):
        return np.full(len(ratio), np.nan)
    share = np.searchsorted(ordered, ratio / gamma * (1 + PRECISION), side="right") / len(ordered)
    return np.where(np.isnan(ratio), np.nan, share)


def _population(signals: Signals) -> Bool[np.ndarray, "N"]:
    """Return which of the signals' own records make the population; none where it comes beside them."""
    if signals.population_outputs is not None:
        return np.zeros(len(signals.labels), bool)
    others = ~signals.is_candidate
    return others if np.count_nonzero(others) >= FEWEST_OTHERS else signals.is_candidate
