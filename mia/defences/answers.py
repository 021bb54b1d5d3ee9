"""What output defences take and give."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Answers = tuple[Float[np.ndarray, "*R C"], bool]
"""Outputs, and whether these are probabilities."""
Defence = Callable[[Float[np.ndarray, "*R C"]], Answers]
"""A model's logits on any records -> what people get to see."""
Own = tuple[Float[np.ndarray, "m C"], Float[np.ndarray, "n C"]]
"""A model's logits on records it was trained on, and on records it was not."""
