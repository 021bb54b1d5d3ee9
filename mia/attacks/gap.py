"""The gap attack: member if and only if classified correctly (Yeom et al. 2018, section 3.2's naive baseline).

Takes the target's answers; gives 1 or 0 per record. Needs no shadow and learns nothing; shadows show its rates where
members are known.
"""

from dataclasses import dataclass, replace

import numpy as np

from mia.attacks.placebo import placebo_answers
from mia.attacks.spec import attack
from mia.attacks.stand_ins import score_stand_ins
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
    asked, answers = signals.candidates, placebo_answers(signals)
    labels = signals.labels[asked]
    correct = is_correct(signals.target_outputs[asked], labels)
    placebo = None if answers is None else is_correct(answers, labels).astype(np.float64)
    known, _ = score_stand_ins(signals, lambda outputs, labels: is_correct(outputs, labels).astype(np.float64))
    if known is not None:
        known = replace(known, is_predicted=known.score > 0)
    none = np.zeros(len(asked), np.int64)
    return Scores(correct.astype(np.float64), correct, none, none, stand_in=known, placebo=placebo)
