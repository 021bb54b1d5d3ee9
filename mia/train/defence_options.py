"""What can be chosen about defences in training that have more than one number. Imports nothing heavy.

Each has one strength whose default is exactly no defence; its other values count only while it is on.
"""

import math
from dataclasses import dataclass

from mia.checks import RequestError, at_least, fraction, non_negative, one_of, positive

SAMPLING = ("poisson", "shuffled")


@dataclass
class EarlyStoppingOptions:
    """Stops when the loss on a held-out part of the training records no longer falls; the best epoch is kept.

    The held-out records are the owner's own: they are members, though no gradient is taken of them.
    """

    holdout: float = 0.0  # share of the training records held out; 0: no early stopping
    patience: int = 5  # epochs without a better loss after which training stops

    def __post_init__(self) -> None:
        fraction("train.early_stopping.holdout", self.holdout, below_one=True)
        at_least("train.early_stopping.patience", self.patience, 1)


@dataclass
class AugmentationOptions:
    """Changes pictures afresh in each batch. What is shifted in or cut out is black."""

    flip: float = 0.0  # probability that a picture is mirrored, left to right
    shift: int = 0  # at most so many pixels up or down, and left or right
    cutout: int = 0  # side of the square that is cut out (DeVries and Taylor 2017), pixels

    def __post_init__(self) -> None:
        fraction("train.augmentation.flip", self.flip)
        at_least("train.augmentation.shift", self.shift, 0)
        at_least("train.augmentation.cutout", self.cutout, 0)


@dataclass
class AdversarialOptions:
    """Adversarial regularisation (Nasr, Shokri, Houmansadr 2018): the model also learns to fool an attack model.

    The attack model compares the training records with a reference part, which is taken from the owner's own
    records: no gradient of the classification loss is taken of those.
    """

    strength: float = 0.0  # lambda, the weight of the attack model's gain in the loss; 0: no attack model
    reference: float = 0.2  # share of the training records that serve as reference

    def __post_init__(self) -> None:
        non_negative("train.adversarial.strength", self.strength)
        fraction("train.adversarial.reference", self.reference, below_one=True)
        if self.strength and not self.reference:
            raise RequestError("train.adversarial.reference=0 leaves the attack model without reference; give a share")


@dataclass
class DistillationOptions:
    """Distillation for membership privacy (Shejwalkar and Houmansadr 2021): a student learns from a teacher's answers.

    The owner's records are divided: a teacher trains on one part; the model that is published trains on the other,
    the reference part, with the teacher's answers in place of labels.
    """

    reference: float = 0.0  # share of the training records in the reference part; 0: no distillation
    temperature: float = 4.0  # of teacher and student; higher answers tell less of the teacher's records

    def __post_init__(self) -> None:
        fraction("train.distillation.reference", self.reference, below_one=True)
        positive("train.distillation.temperature", self.temperature)


@dataclass
class DpOptions:
    """DP-SGD (Abadi et al. 2016): each record's gradient is clipped, and noise is added to their sum.

    It is on as soon as there is clipping or noise. Noise without clipping protects nothing and is refused.
    """

    noise_multiplier: float = 0.0  # deviation of the noise, in clipping norms; 0: no noise
    clipping_norm: float = math.inf  # largest norm of a record's gradient; inf: no clipping
    epsilon: float | None = None  # wanted; the noise multiplier follows from it
    delta: float = 1e-5
    sampling: str = "poisson"  # each record is in a batch independently; shuffled: epochs, accounted as if poisson
    microbatch: int = 64  # records whose gradients are clipped at once: bounds the memory, changes nothing else

    def __post_init__(self) -> None:
        non_negative("train.dp.noise_multiplier", self.noise_multiplier)
        if not self.clipping_norm > 0:
            raise RequestError(f"train.dp.clipping_norm={self.clipping_norm!r} must be above 0; inf: no clipping")
        one_of("train.dp.sampling", self.sampling, SAMPLING)
        at_least("train.dp.microbatch", self.microbatch, 1)
        if not 0 < self.delta < 1:
            raise RequestError(f"train.dp.delta={self.delta!r} must lie between 0 and 1")
        if self.epsilon is not None:
            positive("train.dp.epsilon", self.epsilon)
            if self.noise_multiplier:
                raise RequestError(
                    f"train.dp.epsilon={self.epsilon!r} and train.dp.noise_multiplier={self.noise_multiplier!r} "
                    "say the same thing twice; give one of them"
                )
        if (self.noise_multiplier or self.epsilon is not None) and math.isinf(self.clipping_norm):
            raise RequestError(
                "train.dp.clipping_norm=inf leaves the noise without a scale; give a norm, for example 1"
            )

    @property
    def is_on(self) -> bool:
        """Whether gradients are taken record by record."""
        return math.isfinite(self.clipping_norm)
