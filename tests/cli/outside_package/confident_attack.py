"""An attack of another package: the sure answers are the members'."""

from dataclasses import dataclass

import numpy as np

from mia.attacks import Scores, Signals, attack
from mia.checks import positive


@dataclass
class ConfidentOptions:
    """The largest probability, to a power."""

    power: float = 1.0

    def __post_init__(self) -> None:
        positive("attack.confident.power", self.power)


@attack("confident", options=ConfidentOptions, citation="Who: What, Where Year")
def confident(signals: Signals, options: ConfidentOptions, seed: int) -> Scores | np.ndarray:
    logits = signals.target_outputs[signals.candidates].astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (1 / odds.sum(axis=1)) ** options.power
