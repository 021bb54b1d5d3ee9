"""The gap attack: member if and only if classified correctly (Yeom et al. 2018, section 3.2's naive baseline).

Takes the target's answers; gives 1 or 0 per record. Needs no shadow and learns nothing.
"""

from dataclasses import dataclass

import numpy as np

from mia.attacks.spec import attack
from mia.attacks.statistics import is_correct
from mia.records import Scores, Signals


@dataclass
class GapOptions:
    """Member if and only if classified correctly (Yeom et al. 2018): nothing to set."""


@attack(
    "gap",
    options=GapOptions,
    needs=("classes",),
    citation="Yeom, Giacomelli, Fredrikson, Jha: Privacy risk in machine learning, CSF 2018",
)
def gap(signals: Signals, options: GapOptions, seed: int) -> Scores:
    """Return 1 for records classified correctly and 0 for the others; of tied classes the first counts."""
    del options, seed
    asked = signals.candidates
    correct = is_correct(signals.target_outputs[asked], signals.labels[asked])
    none = np.zeros(len(asked), np.int64)
    return Scores(score=correct.astype(np.float64), is_predicted=correct, num_in=none, num_out=none)
