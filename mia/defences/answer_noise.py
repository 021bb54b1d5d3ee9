"""Independent noise on every probability: takes logits and a seed, gives noise that depends on nothing else.

Asking twice must not average the noise away, so a record's random numbers are a hash of its logits and the seed.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float, UInt64

from mia.checks import non_negative, one_of
from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answers import Answers, Defence
from mia.probabilities import softmax

NOISES = ("gaussian", "laplace")
_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
"""Constants of SplitMix64 (Steele, Lea and Flood 2014)."""


@dataclass
class NoiseOptions(DefenceOptions):
    """Add independent noise to every probability."""

    strength: ClassVar[Strength] = Strength("noise", "scale", kinds=("distribution",))
    name: str = "noise"
    distribution: str = "gaussian"  # or "laplace"
    scale: float = 0.1  # standard deviation, or Laplace's b; 0: no noise

    def __post_init__(self) -> None:
        """Check the name and the number."""
        one_of("defence.distribution", self.distribution, NOISES)
        non_negative("defence.scale", self.scale)


@defence("noise", options=NoiseOptions)
def make_noise(options: NoiseOptions, seed: int, fit_on: None) -> Defence:
    """Return the defence."""
    del fit_on
    return partial(add_noise, distribution=options.distribution, scale=options.scale, seed=seed)


def add_noise(logits: Float[np.ndarray, "*R C"], distribution: str, scale: float, seed: int) -> Answers:
    """Return probabilities with independent noise, cut off at zero and scaled to sum to one.

    Args:
        logits: of any records.
        distribution: "gaussian", of standard deviation `scale`, or "laplace", of scale parameter `scale`.
        scale: in units of probability.
        seed: of the noise; the same record and seed give the same noise.
    """
    from scipy.special import ndtri

    shares = record_uniforms(logits, seed, logits.shape[-1])
    if distribution == "gaussian":
        noise = ndtri(shares)
    else:
        noise = -np.sign(shares - 0.5) * np.log1p(-2 * np.abs(shares - 0.5))
    noisy = np.maximum(softmax(logits) + scale * noise, 0)
    total = noisy.sum(axis=-1, keepdims=True)
    nothing_left = np.full_like(noisy, 1 / logits.shape[-1])
    answers = np.divide(noisy, total, out=nothing_left, where=total > 0)
    return answers.astype(logits.dtype, copy=False), True


def record_uniforms(logits: Float[np.ndarray, "*R C"], seed: int, count: int) -> Float[np.ndarray, "*R {count}"]:
    """Return numbers in (0, 1), `count` per record, that depend on the record's logits and the seed alone."""
    bits = np.ascontiguousarray(logits + 0.0, dtype=np.float64).view(np.uint64)  # adding 0 makes -0 the same as 0
    state = np.full(logits.shape[:-1], _mixed(np.array([seed], np.uint64))[0])
    for column in range(bits.shape[-1]):
        state = _mixed(state ^ bits[..., column])
    streams = _mixed(state[..., None] + np.arange(1, count + 1, dtype=np.uint64) * _STEP)
    return ((streams >> np.uint64(12)) + 0.5) / 2.0**52


def _mixed(state: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    """SplitMix64's step: a bijection of 64 bits whose outputs look random."""
    state = state + _STEP
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
