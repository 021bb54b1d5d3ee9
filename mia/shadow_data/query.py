"""The query interface: all that an attacker without real records sees of the target."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped

Ask = Callable[[Shaped[np.ndarray, "B *features"]], Float[np.ndarray, "B C"]]
"""Records as they lie in the data set -> the target's probabilities, behind its output defence."""


class Target:
    """Asks the target and counts: one query per record."""

    def __init__(self, ask: Ask, shape: tuple[int, ...]) -> None:
        self._ask, self._shape = ask, shape
        self.queries = 0

    def __call__(self, x: Shaped[np.ndarray, "B F"]) -> Float[np.ndarray, "B C"]:
        """Return the probabilities of flattened records."""
        self.queries += len(x)
        return self._ask(x.reshape(-1, *self._shape))
