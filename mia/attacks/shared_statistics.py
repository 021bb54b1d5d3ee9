"""Numbers per model and record that several attacks share, worked out once per `Signals`.

Takes signals; gives phi, log p_y and p_y of every model on every record and p_y on the population.
Row 0 is the target, row k shadow k, so that a shadow can stand in for the target. Knows nothing of scores.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.statistics import true_class
from mia.machine import usable_cores
from mia.records import Signals

TINY = np.finfo(np.float64).tiny
KEY = "statistics"


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
    confidence: Float[np.ndarray, "M N"]  # p_y, at least the smallest normal number, so that no ratio is 0 / 0
    population_confidence: Float[np.ndarray, "M Z"] | None  # the same; None where the signals have no population
    views: dict[tuple[int, int], Views] = field(default_factory=dict)  # by queries and shift

    def first(self, num_shadows: int) -> "SharedStatistics":
        """Return the statistics of the target and the first shadows alone; nothing is copied."""
        rows, population = num_shadows + 1, self.population_confidence
        return SharedStatistics(
            self.phi[:rows],
            self.log_confidence[:rows],
            self.confidence[:rows],
            None if population is None else population[:rows],
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
    signals.shared[KEY] = SharedStatistics(known.phi[rows], known.log_confidence[rows], known.confidence[rows], None)
    return signals


def shared_statistics(signals: Signals) -> SharedStatistics:
    """Return the statistics of `signals`, which keeps them and frees them with itself."""
    if KEY not in signals.shared:
        signals.shared[KEY] = _work_out(signals)
    return signals.shared[KEY]


def _work_out(signals: Signals) -> SharedStatistics:
    outputs = [signals.target_outputs, *signals.shadow_outputs]
    phi, log_confidence, confidence = _of_models(outputs, signals.labels, signals.is_probability)
    population = None
    if signals.population_outputs is not None and signals.population_labels is not None:
        outputs = [signals.population_outputs[-1], *signals.population_outputs[:-1]]
        population = _of_models(outputs, signals.population_labels, signals.is_probability)[2]
    return SharedStatistics(phi, log_confidence, confidence, population)


def _of_models(
    outputs: Sequence[Float[np.ndarray, "N C"]], labels: Int[np.ndarray, "N"], is_probability: bool
) -> Float[np.ndarray, "3 M N"]:
    found = np.empty((3, len(outputs), len(labels)))

    def fill(row: int) -> None:
        found[:, row] = true_class(outputs[row], labels, is_probability)

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(fill, range(len(outputs))))  # NumPy lets go of the interpreter in its loops
    np.maximum(found[2], TINY, out=found[2])
    return found
