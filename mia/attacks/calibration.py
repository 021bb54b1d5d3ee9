"""Difficulty calibration: a record's log p_y less what models that never saw it say on average (Watson et al. 2022).

Takes signals; gives scores. A record without an OUT shadow has no score: nothing is averaged that is not there.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

from mia.attacks.masked_statistics import masked_mean
from mia.attacks.per_record import Needs, compare
from mia.attacks.shared_statistics import check_floor, describe_floor, shared_statistics
from mia.attacks.spec import attack
from mia.attacks.ties import difference, settle
from mia.records import OUT, Scores, Signals


@dataclass
class CalibrationOptions:
    """Log probability less its mean over OUT shadows (Watson et al. 2022)."""

    floor: Any = "auto"  # what a probability of exactly 0 counts as; auto: half the smallest above 0

    def __post_init__(self) -> None:
        check_floor("attack.calibration.floor", self.floor)


@attack(
    "calibration",
    options=CalibrationOptions,
    needs=("shadows", "out_models"),
    citation="Watson, Guo, Cormode, Sablayrolles: On the importance of difficulty calibration in MIAs, ICLR 2022",
)
def calibration(signals: Signals, options: CalibrationOptions, seed: int) -> Scores:
    """Score by log p_y minus its mean over OUT shadows."""
    shared = shared_statistics(signals, options.floor)
    log_p = shared.log_confidence

    def score(row: int, membership: Int8[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
        mean = masked_mean(log_p[1:], membership == OUT)
        return settle(difference(log_p[row], mean), np.abs(log_p[row]) + np.abs(mean))

    scores = compare(signals, score, Needs(0, 1), seed)
    said = describe_floor(signals, shared)
    return replace(scores, warnings=(*scores.warnings, said)) if said else scores
