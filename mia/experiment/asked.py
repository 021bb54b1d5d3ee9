"""The models as stored, to be asked: about records of the data set, whose answers are kept, and about any others.

Takes options, records and an ensemble; gives logits, before any output defence. Trains nothing.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, Shaped

from mia.experiment.options import ExperimentOptions
from mia.experiment.pools import Ensemble
from mia.records import Dataset

if TYPE_CHECKING:
    from mia.train.predict import Predictor


class AskedModels:
    """The models of an ensemble; a record's logits are the same to the last bit, whenever and with whatever else."""

    def __init__(self, options: ExperimentOptions, data: Dataset, ensemble: Ensemble, num_real: int) -> None:
        """Load nothing yet.

        Args:
            options: The experiment's.
            data: All records; the attacker's own ones, if there are any, are the last.
            ensemble: The models.
            num_real: Records of the data set proper: the target's pool knows no others.
        """
        self._options, self._data, self._ensemble, self._num_real = options, data, ensemble, num_real
        self._last: tuple[int, Predictor] | None = None

    def logits(self, row: int, *records: Int[np.ndarray, "_"]) -> list[Float[np.ndarray, "_ C"]]:
        """Return the logits of model `row` on each of several sets of records.

        Raises:
            StorageError: the model cannot be read.
        """
        if not records:
            return []
        together = np.concatenate(records)
        is_known = together < (self._num_real if row == 0 else len(self._data.x))
        logits = self._ensemble.rows[row].ask(row, together[is_known], lambda asked: self._answer(row, asked))
        if not is_known.all():
            others, known = self._answer(row, together[~is_known]), logits
            logits = np.empty((len(together), others.shape[1]), np.float32)
            logits[is_known], logits[~is_known] = known, others
        return np.split(logits, np.cumsum([len(part) for part in records])[:-1])

    def ask(self, row: int, x: Shaped[np.ndarray, "B *features"]) -> Float[np.ndarray, "B C"]:
        """Return the logits of model `row` on features that need not be in the data set."""
        return self._predictor(row)(x)

    def _answer(self, row: int, records: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n C"]:
        return self._predictor(row)(self._data.x, records)

    def _predictor(self, row: int) -> "Predictor":
        """Return model `row` ready to be asked; the last one stays so."""
        from mia.train.predict import make_predictor

        if self._last is None or self._last[0] != row:
            parameters = self._ensemble.rows[row].parameters(row)
            shape, scale, num_classes = self._data.x.shape[1:], self._data.scale, self._data.num_classes
            self._last = row, make_predictor(self._options.model, parameters, shape, scale, num_classes)
        return self._last[1]
