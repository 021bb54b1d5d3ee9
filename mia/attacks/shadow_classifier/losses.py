"""Losses of answers, plain and calibrated by models that never saw the record (He et al. 2024, RAPID).

Takes signals; gives, for any of the models and some records, the loss and the loss less its mean over the OUT shadows
behind that model: neither it nor a model that determines its membership is among them.
"""

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.masked_statistics import masked_mean
from mia.attacks.per_record import membership_behind
from mia.attacks.shared_statistics import shared_statistics
from mia.attacks.ties import difference
from mia.records import OUT, UNUSED, Signals


class Losses:
    """Losses of the target (row 0) and the shadows (row k); worked out once per model, when asked for."""

    def __init__(self, signals: Signals, seed: int) -> None:
        self._signals, self._seed = signals, seed
        self._log_p = shared_statistics(signals).log_confidence
        self._reference: dict[int, Float[np.ndarray, "N"]] = {}

    def of(self, row: Int[np.ndarray, "R"], record: Int[np.ndarray, "R"]) -> Float[np.ndarray, "R 2"]:
        """Return minus log p_y, and that less its mean over OUT shadows: NaN where there is none."""
        log_p, reference = self._log_p[row, record], np.empty(len(row))
        for one in np.unique(row):
            mine = row == one
            reference[mine] = self._mean_behind(int(one))[record[mine]]
        return np.stack([-log_p, -difference(log_p, reference)], axis=1)

    def _mean_behind(self, row: int) -> Float[np.ndarray, "N"]:
        if row not in self._reference:
            membership = self._signals.shadow_membership
            if row:
                own = np.flatnonzero(self._signals.shadow_own[row - 1] & (membership[row - 1] != UNUSED))
                membership = membership_behind(self._signals, row, own, self._seed)
            self._reference[row] = masked_mean(self._log_p[1:], membership == OUT)
        return self._reference[row]
