"""No output defence: people get the model's own logits."""

from dataclasses import dataclass
from typing import ClassVar

from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answers import Defence


@dataclass
class NoneOptions(DefenceOptions):
    """No output defence."""

    strength: ClassVar[Strength | None] = None
    name: str = "none"


@defence("none", options=NoneOptions)
def none(options: NoneOptions, seed: int, fit_on: None) -> Defence:
    """Return the very logits."""
    del options, seed, fit_on
    return lambda logits: (logits, False)
