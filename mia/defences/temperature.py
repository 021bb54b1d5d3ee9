"""Logits divided by a temperature, which flattens the probabilities (Shokri et al. 2017, section VIII)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mia.checks import positive
from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answers import Answers, Defence


@dataclass
class TemperatureOptions(DefenceOptions):
    """Divide the logits by a temperature."""

    strength: ClassVar[Strength] = Strength("temperature", "temperature", neutral=1)
    name: str = "temperature"
    temperature: float = 5.0  # 1: no change; higher is flatter

    def __post_init__(self) -> None:
        """Check the number."""
        positive("defence.temperature", self.temperature)


@defence("temperature", options=TemperatureOptions)
def make_temperature(options: TemperatureOptions, seed: int, fit_on: None) -> Defence:
    """Return the defence."""
    del seed, fit_on
    return partial(cooled, temperature=options.temperature)


def cooled(logits: Float[np.ndarray, "*R C"], temperature: float) -> Answers:
    """Return the logits divided by the temperature; their order stays."""
    return (logits / temperature).astype(logits.dtype, copy=False), False
