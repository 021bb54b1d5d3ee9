"""Defences that say less: take logits, give fewer or coarser numbers by a fixed rule.

The same logits always give the same answer. The first of tied classes counts as the predicted one.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Answers = tuple[Float[np.ndarray, "*R C"], bool]
Defence = Callable[[Float[np.ndarray, "*R C"]], Answers]


def softmax(logits: Float[np.ndarray, "*R C"]) -> Float[np.ndarray, "*R C"]:
    """Return probabilities, in the logits' own precision."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def top_k(logits: Float[np.ndarray, "*R C"], k: int) -> Answers:
    """Return the k largest probabilities, all others zero (Shokri et al. 2017, section VIII).

    They are not scaled up to one: with k = 1 the confidence is still given, as in the paper, where that leaks more than
    the label alone.
    """
    if k >= logits.shape[-1]:
        return logits, False
    dropped = np.argsort(-logits, axis=-1, kind="stable")[..., k:]
    probabilities = softmax(logits)
    np.put_along_axis(probabilities, dropped, 0, axis=-1)
    return probabilities, True


def rounding(logits: Float[np.ndarray, "*R C"], digits: int) -> Answers:
    """Return probabilities rounded to so many digits; rows need not sum to one any more."""
    return np.round(softmax(logits), digits), True


def temperature(logits: Float[np.ndarray, "*R C"], temperature: float) -> Answers:
    """Return the logits divided by the temperature; their order stays."""
    return (logits / temperature).astype(logits.dtype, copy=False), False


def label_only(logits: Float[np.ndarray, "*R C"]) -> Answers:
    """Return probability one for the predicted class."""
    answers = np.zeros_like(logits)
    np.put_along_axis(answers, logits.argmax(axis=-1)[..., None], 1, axis=-1)
    return answers, True
