"""What is kept of models while they train: the losses of each target on every record, epoch by epoch.

Takes a split and the pools that the models are trained for; gives a watch for the training, and reads back what it
left. Training itself knows nothing of it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from mia.experiment.options import ExperimentOptions
from mia.store import Pool

if TYPE_CHECKING:
    from mia.train.watch import Shown, Watch

TRACE = "trace"


def wants_trace(options: ExperimentOptions, row: int) -> bool:
    """Whether the losses of this model on every record are to be kept: it is a target, and somebody asked."""
    return options.train.trace and row < options.split.num_targets


def read_trace(pool: Pool, row: int) -> Float[np.ndarray, "E N"] | None:
    """Return a model's loss on every record after each epoch; None where it was not kept."""
    found = pool.beside(row, TRACE)
    return found["loss"] if found and set(found) == {"loss"} else None


class Epochs:
    """Collects what a training shows, and saves it beside the models that are trained."""

    def __init__(
        self, options: ExperimentOptions, models: Mapping[int, Pool], rows: Sequence[int], asked: Int[np.ndarray, "N"]
    ) -> None:
        """Collect nothing yet.

        Args:
            options: The experiment's.
            models: Where each model belongs, by its row in the split.
            rows: Of the models that are trained, in the order of the training call.
            asked: The records whose loss is traced, as the training counts them.
        """
        self.options, self.models, self.rows, self.asked = options, models, rows, asked
        self._trace: dict[int, Float[np.ndarray, "E N"]] = {}

    def watch(self) -> "Watch | None":
        """Return what the training is to show; None where nothing is kept."""
        from mia.train.watch import Watch

        if not any(wants_trace(self.options, row) for row in self.rows):
            return None
        return Watch(self._epochs, self._show)

    def save(self, row: int) -> None:
        """Write what was collected of a model beside it; the model itself is saved afterwards.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        if row in self._trace:
            self.models[row].save_beside(row, TRACE, {"loss": self._trace.pop(row)})

    def _epochs(self, position: int) -> range:
        last = self.options.train.epochs if wants_trace(self.options, self.rows[position]) else 0
        return range(1, last + 1)

    def _show(self, shown: "Shown") -> None:
        row = self.rows[shown.position]
        empty = np.full((self.options.train.epochs, len(self.asked)), np.nan, np.float32)
        self._trace.setdefault(row, empty)[shown.epoch - 1] = shown.losses(self.asked)
