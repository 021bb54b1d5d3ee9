"""Distillation for membership privacy (Shejwalkar and Houmansadr 2021): a student learns from a teacher's answers.

The owner's records are divided: a teacher trains on one part; the model that is published trains on the other, the
reference part, with the teacher's answers in place of labels.
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from mia.checks import fraction, positive
from mia.train.defences import Step, Strength, TrainDefence, train_defence


@dataclass
class DistillationOptions:
    """A student learns from a teacher's answers to records that the teacher never saw."""

    reference: float = 0.0  # share of the training records in the reference part; 0: no distillation
    temperature: float = 4.0  # of teacher and student; higher answers tell less of the teacher's records

    def __post_init__(self) -> None:
        fraction("train.distillation.reference", self.reference, below_one=True)
        positive("train.distillation.temperature", self.temperature)


@train_defence("distillation", options=DistillationOptions)
class Distillation(TrainDefence):
    """Both answer at the same temperature."""

    strength = Strength("distillation", "reference")
    rank = 110
    share = "reference"
    teaches = True

    def logits(self, step: Step, logits: Any) -> Any:
        """Return the student's logits at the temperature."""
        return logits / step.given.temperature

    def answers(self, given: Any, logits: Float[ndarray, "B C"]) -> Float[ndarray, "B C"]:
        """Return the teacher's softened answers."""
        import numpy as np

        logits = logits / np.float32(given.temperature)
        answers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return answers / answers.sum(axis=1, keepdims=True)
