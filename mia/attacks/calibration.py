"""Difficulty calibration: a record's log p_y less what models that never saw it say on average (Watson et al. 2022).

Takes signals; gives scores. A record without an OUT shadow has no score: nothing is averaged that is not there.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int8

from mia.attacks.masked_statistics import masked_mean
from mia.attacks.per_record import Needs, compare
from mia.attacks.shared_statistics import shared_statistics
from mia.attacks.spec import attack
from mia.records import OUT, Scores, Signals


@dataclass
class CalibrationOptions:
    """Log probability less its mean over OUT shadows (Watson et al. 2022): nothing to set."""


@attack(
    "calibration",
    options=CalibrationOptions,
    needs=("shadows", "out_models"),
    citation="Watson, Guo, Cormode, Sablayrolles: On the importance of difficulty calibration in MIAs, ICLR 2022",
)
def calibration(signals: Signals, options: CalibrationOptions, seed: int) -> Scores:
    """Score by log p_y minus its mean over OUT shadows."""
    del options, seed
    log_confidence = shared_statistics(signals).log_confidence

    def score(row: int, membership: Int8[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
        return log_confidence[row] - masked_mean(log_confidence[1:], membership == OUT)

    return compare(signals, score, Needs(0, 1))
