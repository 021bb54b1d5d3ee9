"""From logits to probabilities."""

import numpy as np
from jaxtyping import Float


def softmax(logits: Float[np.ndarray, "*R"], axis: int = -1) -> Float[np.ndarray, "*R"]:
    """Return probabilities, in the logits' own precision."""
    powers = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)
