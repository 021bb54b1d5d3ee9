"""What training gives back: trained models, how far it is, and how it can fail. Loads neither JAX nor Flax."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Trained:
    """One trained model."""

    position: int  # along the model axis of the call
    parameters: dict[str, np.ndarray]  # flat path -> array, batch statistics included
    train_loss: Float[np.ndarray, "E"]  # mean cross-entropy over the epoch, without penalty
    train_accuracy: Float[np.ndarray, "E"]  # running mean over the epoch
    test_loss: Float[np.ndarray, "E"]  # NaN where train.test_records is 0
    test_accuracy: Float[np.ndarray, "E"]


@dataclass(frozen=True)
class Progress:
    """How far a call is."""

    num_models: int
    models_done: int
    models: tuple[int, ...]  # positions of those in training
    epoch: float  # epochs that each of them has behind it
    epochs: int
    seconds: float  # since the call started
    train_loss: float  # mean over the models in training, of the last full epoch; NaN before the first
    note: str = ""  # one line for a person, when something happened

    @property
    def fraction(self) -> float:
        """Share of the call's work that is done."""
        return (self.models_done + len(self.models) * self.epoch / self.epochs) / self.num_models


class DivergedError(RuntimeError):
    """The loss of some models became infinite or not a number."""

    def __init__(self, models: Sequence[int], epoch: int, cause: str) -> None:
        self.models, self.epoch, self.cause = tuple(models), epoch, cause
        names = ", ".join(str(model) for model in models)
        noun = "model" if len(self.models) == 1 else "models"
        super().__init__(f"the loss of {noun} {names} is not finite in epoch {epoch}; likely cause: {cause}")
