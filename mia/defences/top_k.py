"""The k largest probabilities and nothing else (Shokri et al. 2017, section VIII)."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mia.checks import at_least
from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answers import Answers, Defence
from mia.probabilities import softmax


@dataclass
class TopKOptions(DefenceOptions):
    """Give the k largest probabilities and nothing else."""

    strength: ClassVar[Strength] = Strength("top k", "k", is_lower_stronger=True, symbol="k =")
    name: str = "top_k"
    k: int = 3  # 0, or as many as there are classes: all of them

    def __post_init__(self) -> None:
        """Check the number."""
        at_least("defence.k", self.k, 0)


@defence("top_k", options=TopKOptions)
def make_top_k(options: TopKOptions, seed: int, fit_on: None) -> Defence:
    """Return the defence."""
    del seed, fit_on
    return partial(top_k, k=options.k)


def top_k(logits: Float[np.ndarray, "*R C"], k: int) -> Answers:
    """Return the k largest probabilities, all others zero; the first of tied classes is kept.

    They are not scaled up to one: with k = 1 the confidence is still given, as in the paper, where that leaks more than
    the label alone.
    """
    if k >= logits.shape[-1]:
        return logits, False
    dropped = np.argsort(-logits, axis=-1, kind="stable")[..., k:]
    probabilities = softmax(logits)
    np.put_along_axis(probabilities, dropped, 0, axis=-1)
    return probabilities, True
