"""Logits divided by a temperature, which flattens the probabilities (Shokri et al. 2017, section VIII)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mia.checks import RequestError, positive
from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answers import Answers, Defence

LOWEST, HIGHEST = 1e-30, 1e38
"""Beyond these, 32 bits cannot hold the temperature, or logits divided by it."""


@dataclass
class TemperatureOptions(DefenceOptions):
    """Divide the logits by a temperature."""

    strength: ClassVar[Strength] = Strength("temperature", "temperature", neutral=1)
    name: str = "temperature"
    temperature: float = 5.0  # 1: no change; higher is flatter

    def __post_init__(self) -> None:
        """Check the number."""
        if not LOWEST <= positive("defence.temperature", self.temperature) <= HIGHEST:
            raise RequestError(
                f"defence.temperature={self.temperature!r} must lie in [{LOWEST:g}, {HIGHEST:g}]: answers have 32 bits"
            )


@defence("temperature", options=TemperatureOptions)
def make_temperature(options: TemperatureOptions, seed: int, fit_on: None) -> Defence:
    """Return the defence."""
    del seed, fit_on
    return partial(cooled, temperature=options.temperature)


def cooled(logits: Float[np.ndarray, "*R C"], temperature: float) -> Answers:
    """Return the logits divided by the temperature; their order stays."""
    return (logits / temperature).astype(logits.dtype, copy=False), False
