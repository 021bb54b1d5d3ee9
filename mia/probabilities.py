"""Softmax and its logarithm, for every part that must read logits as probabilities.

Takes logits of any shape, classes last; gives the same shape in the logits' own precision.
"""

import numpy as np
from jaxtyping import Float


def softmax(logits: Float[np.ndarray, "*R C"]) -> Float[np.ndarray, "*R C"]:
    """Return probabilities."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def log_softmax(logits: Float[np.ndarray, "*R C"]) -> Float[np.ndarray, "*R C"]:
    """Return logarithms of probabilities, without underflow where these are tiny."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
