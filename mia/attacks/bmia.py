"""BMIA: what one shadow says a record's answer would be like, by a Bayesian view of its last layer.

The idea is that of Liu et al. 2025; the posterior is in closed form here, and is set against what models really do.

Takes signals, the shadows to look into and the records themselves; gives log P(OUT answer <= phi) under a Gaussian of
each record's own. Its variance grows with what the posterior of the shadow's last layer leaves open; how much, and how
far one model's phi foretells another's, is fitted on records that neither the shadow nor the model attacked has seen.
Each record is judged by one shadow, the first that never saw it: more shadows than that take change nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int8

from mia.attacks.laplace import Posterior, fit_posterior
from mia.attacks.per_record import STAND_INS, Needs, compare
from mia.attacks.shared_statistics import describe_floor, shared_statistics
from mia.attacks.spec import attack
from mia.attacks.statistics import true_class
from mia.attacks.ties import settle
from mia.checks import RequestError
from mia.machine import one_blas_thread
from mia.records import IN, OUT, LastLayer, Scores, Signals

FEWEST = 30
"""Records that neither model has seen, to learn how they go together."""
ROUNDS = 4  # of weighting
ONE_IN_SIX = -0.1727537790234499
"""log P(z <= 1) of a standard Gaussian: the threshold where there is no second shadow to learn one from."""

PerRecord = Float[np.ndarray, "N"]
Membership = Int8[np.ndarray, "K N"]


@dataclass
class BmiaOptions:
    """How unusual the answer would be, by the Laplace posterior of one shadow's last layer (Liu et al. 2025)."""


@attack(
    "bmia",
    options=BmiaOptions,
    needs=("shadows", "out_models", "classes", "features", "models", "known_nonmembers"),
    citation="Liu, Jiang, Zhou, Wei: Efficient MIAs by Bayesian neural network, arXiv 2503.07482",
    label="BMIA",
)
def bmia(
    signals: Signals, options: BmiaOptions, seed: int, progress: Callable[[int, int], None] | None = None
) -> Scores:
    """Score by log P(OUT answer <= phi) under N(a + b phi of the shadow, c + d variance of the posterior)."""
    del options
    from scipy.special import log_ndtr

    guides: dict[int, _Guide] = {}
    lacking: list[str] = []
    asked_so_far, steps = 0, 2 + min(STAND_INS, signals.num_shadows)

    def score(row: int, membership: Membership) -> PerRecord:
        nonlocal asked_so_far
        z = np.full(len(signals.labels), np.nan)
        is_out = membership == OUT
        first = np.where(is_out.any(axis=0), is_out.argmax(axis=0), -1)
        asked = signals.is_candidate if not row else signals.shadow_own[row - 1]
        for shadow in np.unique(first[(first >= 0) & asked]):
            guide = guides.setdefault(int(shadow), _Guide(signals, int(shadow)))
            mine = (first == shadow) & asked
            found = guide.judge(row, mine)
            if found is not None:
                z[mine] = found
            elif not row:
                lacking.append(f"shadow {shadow + 1}")
        asked_so_far += 1
        if progress is not None:
            progress(min(asked_so_far, steps), steps)
        return settle(log_ndtr(z))

    with one_blas_thread():
        scores = compare(signals, score, Needs(0, 1), seed, fallback=ONE_IN_SIX)
    if lacking and np.isnan(scores.score).all():
        raise RequestError(
            f"attack=bmia needs {FEWEST} records that neither the target nor {lacking[0]} was trained on, beside "
            "those in question: choose a smaller split.size"
        )
    shared = shared_statistics(signals)
    used = [guide for guide in guides.values() if 0 in guide.relations]
    details: dict[str, str | float] = {**scores.details, "shadows": float(len(used))}
    if used:
        details["prior_precision"] = float(np.mean([guide.prior for guide in used]))
        details["slope"] = float(np.mean([guide.relations[0].slope for guide in used]))
    said = describe_floor(signals, shared)
    num_out = np.minimum(scores.num_out, 1)
    return replace(scores, details=details, num_out=num_out, warnings=(*scores.warnings, *([said] if said else [])))


@dataclass(frozen=True)
class _Relation:
    """What phi of one model is like, given that of a shadow, where neither has seen the record."""

    start: float
    slope: float
    constant: float  # of the variance
    factor: float  # of the posterior's variance

    def z(self, phi: PerRecord, of_shadow: PerRecord, variance: PerRecord) -> PerRecord:
        spread = np.sqrt(self.constant + self.factor * variance)
        return (phi - self.start - self.slope * of_shadow) / np.where(spread > 0, spread, 1)


class _Guide:
    """One shadow, by which records are judged that it never saw."""

    def __init__(self, signals: Signals, shadow: int) -> None:
        assert signals.features is not None, "it was checked that there are features"
        assert signals.models is not None, "it was checked that there are models"
        self.signals, self.shadow = signals, shadow
        self.features, self.models = signals.features, signals.models
        self.relations: dict[int, _Relation] = {}

    def judge(self, row: int, asked: Bool[np.ndarray, "N"]) -> Float[np.ndarray, "n"] | None:
        """Return z of the records asked for a model attacked; None where too few records tell what to expect."""
        if row not in self.relations:
            relation = self._relate(row)
            if relation is None:
                return None
            self.relations[row] = relation
        phi = shared_statistics(self.signals).phi
        return self.relations[row].z(phi[row, asked], phi[self.shadow + 1, asked], self.variance[asked])

    def _relate(self, row: int) -> _Relation | None:
        """Fit on records that neither was trained on and that are not in question."""
        signals = self.signals
        phi = shared_statistics(signals).phi
        unseen = ~signals.is_candidate & (signals.shadow_membership[self.shadow] == OUT)
        if row:
            unseen &= signals.shadow_membership[row - 1] == OUT
        parts = [(phi[row, unseen], phi[self.shadow + 1, unseen], self.variance[unseen])]
        if signals.population_outputs is not None:
            parts.append((self._of_population(row), self._of_population(self.shadow + 1), self.population_variance))
        attacked, own, variance = (np.concatenate(one) for one in zip(*parts, strict=True))
        return fit_relation(attacked, own, variance) if len(attacked) >= FEWEST else None

    def _of_population(self, row: int) -> Float[np.ndarray, "Z"]:
        signals = self.signals
        assert signals.population_outputs is not None
        assert signals.population_labels is not None
        floor = shared_statistics(signals).floor
        return true_class(
            signals.population_outputs[row - 1], signals.population_labels, signals.is_probability, floor
        )[0]

    @cached_property
    def variance(self) -> PerRecord:
        """Of phi of every record, by the posterior of the shadow's last layer."""
        return self._posterior.variance(self._layer, self.signals.labels)

    @cached_property
    def population_variance(self) -> Float[np.ndarray, "Z"]:
        """The same of the population."""
        assert self.signals.population_labels is not None
        layer = self.models.last_layer(self.shadow + 1, self.features.of_population())
        return self._posterior.variance(layer, self.signals.population_labels)

    @property
    def prior(self) -> float:
        """The prior's precision."""
        return self._posterior.prior

    @cached_property
    def _layer(self) -> LastLayer:
        x = self.features.of_records(np.arange(len(self.signals.labels)))
        return self.models.last_layer(self.shadow + 1, x)

    @cached_property
    def _posterior(self) -> Posterior:
        trained_on = self.signals.shadow_membership[self.shadow] == IN
        return fit_posterior(replace(self._layer, inputs=self._layer.inputs[trained_on]))


def fit_relation(attacked: PerRecord, own: PerRecord, variance: PerRecord) -> _Relation:
    """Return a line with residuals of variance c + d v, neither below 0, by least squares weighted again and again."""
    from scipy.optimize import nnls

    unit = float(variance.mean()) or 1.0
    weight, parts = np.ones(len(own)), np.array([1.0, 0.0])
    line = np.stack([np.ones(len(own)), own], axis=1)
    start = slope = 0.0
    for _ in range(ROUNDS):
        root = np.sqrt(weight)
        start, slope = np.linalg.lstsq(line * root[:, None], attacked * root, rcond=None)[0]
        squares = np.square(attacked - start - slope * own)
        columns = np.stack([np.ones(len(own)), variance / unit], axis=1)
        parts = nnls(columns * weight[:, None], squares * weight)[0]
        expected = columns @ parts
        if not expected.min() > 0:
            break
        weight = expected.mean() / expected
    return _Relation(float(start), float(slope), float(parts[0]), float(parts[1] / unit))
