"""The predicted class and nothing else."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mia.defences import DefenceOptions, Strength, defence
from mia.defences.answers import Answers, Defence


@dataclass
class LabelOnlyOptions(DefenceOptions):
    """Give the predicted class and nothing else: nothing to set."""

    strength: ClassVar[Strength] = Strength("label only")
    name: str = "label_only"


@defence("label_only", options=LabelOnlyOptions)
def make_label_only(options: LabelOnlyOptions, seed: int, fit_on: None) -> Defence:
    """Return the defence."""
    del options, seed, fit_on
    return label_only


def label_only(logits: Float[np.ndarray, "*R C"]) -> Answers:
    """Return probability one for the predicted class, the first of tied ones."""
    answers = np.zeros_like(logits)
    np.put_along_axis(answers, logits.argmax(axis=-1)[..., None], 1, axis=-1)
    return answers, True
