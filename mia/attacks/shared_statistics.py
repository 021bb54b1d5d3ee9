"""Numbers per model and record that several attacks share, worked out once per `Signals`.

Takes signals; gives phi, log p_y and p_y of every model on every record and p_y on the population, and the floor under
probabilities that are exactly 0. Row 0 is the target, row k shadow k, so that a shadow can stand in for the target.
Knows nothing of membership or scores.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.statistics import TINY, smallest_positive, true_class
from mia.checks import RequestError
from mia.machine import usable_cores
from mia.records import Signals

KEY = "statistics"
FLOOR_KEY = "floor"
CHUNK = 8192
"""Records whose answers by one model are worked on at a time: they stay in the processor's cache."""


@dataclass(frozen=True)
class Views:
    """What models said about changed copies of some records."""

    records: Int[np.ndarray, "R"]  # positions along the record axis, ascending
    phi: Float[np.ndarray, "V M R"]


@dataclass(frozen=True)
class SharedStatistics:
    """Shared statistics of one `Signals`; rows are models, the target first."""

    phi: Float[np.ndarray, "M N"]  # log p_y - log of the sum of the other p
    log_confidence: Float[np.ndarray, "M N"]  # log p_y
    confidence: Float[np.ndarray, "M N"]  # p_y, at least the floor, so that no ratio is 0 / 0
    population_confidence: Float[np.ndarray, "M Z"] | None  # the same; None where the signals have no population
    floor: float  # what a given probability below it counts as
    views: dict[tuple[int, int], Views] = field(default_factory=dict)  # by queries and shift

    def first(self, num_shadows: int) -> "SharedStatistics":
        """Return the statistics of the target and the first shadows alone; nothing is copied."""
        rows, population = num_shadows + 1, self.population_confidence
        return SharedStatistics(
            self.phi[:rows],
            self.log_confidence[:rows],
            self.confidence[:rows],
            None if population is None else population[:rows],
            self.floor,
            {asked: Views(views.records, views.phi[:, :rows]) for asked, views in self.views.items()},
        )


def for_target(base: Signals, signals: Signals, rows: Sequence[int]) -> Signals:
    """Return `signals` with what is known of `base`, whose models they are in another order, perhaps fewer.

    Args:
        base: Signals of all models.
        signals: The same records, another of the models as the target; no population.
        rows: The target's row in `base` (0: its target, k: its shadow k), then the shadows'.
    """
    known, rows = shared_statistics(base), list(rows)
    signals.shared[FLOOR_KEY] = known.floor
    signals.shared[KEY] = SharedStatistics(
        known.phi[rows], known.log_confidence[rows], known.confidence[rows], None, known.floor
    )
    return signals


def reorder_shadows(signals: Signals, order: Sequence[int] | Int[np.ndarray, "K"]) -> Signals:
    """Return the signals with the shadows in another order, and what is known of them; the same where it is theirs."""
    order = np.asarray(order)
    if np.array_equal(order, np.arange(signals.num_shadows)):
        return signals
    known, population = shared_statistics(signals), signals.population_outputs
    moved = replace(
        signals,
        shadow_outputs=signals.shadow_outputs[order],
        shadow_membership=signals.shadow_membership[order],
        shadow_own=signals.shadow_own[order],
        population_outputs=None if population is None else population[[*order, -1]],
        oracle=None,
        models=None,
    )
    rows = [0, *(order + 1)]
    beside = known.population_confidence
    moved.shared[FLOOR_KEY] = floor_of(signals)
    moved.shared[KEY] = SharedStatistics(
        known.phi[rows],
        known.log_confidence[rows],
        known.confidence[rows],
        None if beside is None else beside[rows],
        known.floor,
    )
    return moved


def check_floor(key: str, floor: float | str) -> None:
    """Check a floor that a person gives.

    Raises:
        RequestError: it is neither `auto` nor a probability.
    """
    if floor != "auto" and not (isinstance(floor, int | float) and 0 < floor < 0.5):
        raise RequestError(f"{key}={floor!r} must be auto or a number between 0 and 0.5, both excluded")


def floor_of(signals: Signals) -> float:
    """Return half the smallest probability above 0 in all answers: for a forest of T trees that vote, 1 / (2 T).

    So much, or so little, an answer of exactly 0 may stand for. Of logits, none of which is a probability of 0, the
    smallest normal number.
    """
    if FLOOR_KEY not in signals.shared:
        signals.shared[FLOOR_KEY] = _find_floor(signals) if signals.is_probability else TINY
    return signals.shared[FLOOR_KEY]


def shared_statistics(signals: Signals, floor: float | str = "auto") -> SharedStatistics:
    """Return the statistics of `signals`, which keeps them and frees them with itself.

    Args:
        signals: What the models say.
        floor: What a given probability of 0 counts as; `auto`: `floor_of` the signals.
    """
    if isinstance(floor, str) or not signals.is_probability:
        floor = floor_of(signals)
    key = KEY if floor == floor_of(signals) else f"{KEY}/{floor!r}"
    if key not in signals.shared:
        signals.shared[key] = _work_out(signals, floor)
    return signals.shared[key]


def describe_floor(signals: Signals, statistics: SharedStatistics) -> str:
    """Return a line that says what answers of exactly 0 and 1 were taken for; empty where there is none."""
    if not signals.is_probability:
        return ""
    least = np.log(statistics.floor) + 1e-9  # rounding aside
    log_p, phi = statistics.log_confidence, statistics.phi
    at_floor = np.count_nonzero(log_p <= least) + np.count_nonzero(log_p - phi <= least)
    if not at_floor:
        return ""
    own = " (half the smallest above 0)" if statistics.floor == floor_of(signals) else ""
    return (
        f"{at_floor / log_p.size:.1%} of the answers give the true class a probability of exactly 0 or 1: the 0 counts "
        f"as {statistics.floor:.3g}{own}, attack.<name>.floor=NUMBER sets another"
    )


def _find_floor(signals: Signals) -> float:
    outputs = [signals.target_outputs, *signals.shadow_outputs]
    if signals.population_outputs is not None:
        outputs += list(signals.population_outputs)
    with ThreadPoolExecutor(usable_cores()) as pool:
        return max(min(pool.map(smallest_positive, outputs)) / 2, TINY)


def _work_out(signals: Signals, floor: float) -> SharedStatistics:
    outputs = [signals.target_outputs, *signals.shadow_outputs]
    phi, log_confidence, confidence = _of_models(outputs, signals.labels, signals.is_probability, floor)
    population = None
    if signals.population_outputs is not None and signals.population_labels is not None:
        outputs = [signals.population_outputs[-1], *signals.population_outputs[:-1]]
        population = _of_models(outputs, signals.population_labels, signals.is_probability, floor)[2]
    return SharedStatistics(phi, log_confidence, confidence, population, floor)


def _of_models(
    outputs: Sequence[Float[np.ndarray, "N C"]], labels: Int[np.ndarray, "N"], is_probability: bool, floor: float
) -> Float[np.ndarray, "3 M N"]:
    found = np.empty((3, len(outputs), len(labels)))

    def fill(row: int) -> None:
        for start in range(0, len(labels), CHUNK):
            part = slice(start, start + CHUNK)
            found[:, row, part] = true_class(outputs[row][part], labels[part], is_probability, floor)

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(fill, range(len(outputs))))  # NumPy lets go of the interpreter in its loops
    np.maximum(found[2], floor, out=found[2])
    return found
