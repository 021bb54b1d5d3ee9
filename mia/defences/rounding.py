"""Probabilities rounded to a few digits (Shokri et al. 2017, section VIII)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mia.checks import RequestError, at_least
from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answers import Answers, Defence
from mia.probabilities import softmax

MOST_DIGITS = 38
"""Rounding to more multiplies by a power of ten that 32 bits cannot hold."""


@dataclass
class RoundingOptions(DefenceOptions):
    """Round the probabilities."""

    strength: ClassVar[Strength] = Strength("rounding", "digits", is_lower_stronger=True, symbol="digits =")
    name: str = "rounding"
    digits: int = 3  # behind the decimal point; 0: no rounding

    def __post_init__(self) -> None:
        """Check the number."""
        if at_least("defence.digits", self.digits, 0) > MOST_DIGITS:
            raise RequestError(f"defence.digits={self.digits!r} must be at most {MOST_DIGITS}: answers have 32 bits")


@defence("rounding", options=RoundingOptions)
def make_rounding(options: RoundingOptions, seed: int, fit_on: None) -> Defence:
    """Return the defence."""
    del seed, fit_on
    return partial(rounding, digits=options.digits)


def rounding(logits: Float[np.ndarray, "*R C"], digits: int) -> Answers:
    """Return probabilities rounded to so many digits; rows need not sum to one any more."""
    return np.round(softmax(logits), digits), True
