"""Difficulty calibration: a record's log p_y less what models that never saw it say on average (Watson et al. 2022).

Takes signals; gives scores. A record without an OUT shadow has no score: nothing is averaged that is not there.
"""

import numpy as np
from jaxtyping import Float, Int8

from mia.attacks.comparison import Needs, compare
from mia.attacks.moments import masked_mean
from mia.attacks.options import CalibrationOptions
from mia.attacks.quantities import quantities
from mia.records import OUT, Scores, Signals


def attack(signals: Signals, options: CalibrationOptions, seed: int) -> Scores:
    """Score by log p_y minus its mean over OUT shadows."""
    del options, seed
    log_confidence = quantities(signals).log_confidence

    def score(row: int, membership: Int8[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
        return log_confidence[row] - masked_mean(log_confidence[1:], membership == OUT)

    return compare(signals, score, Needs(0, 1))
