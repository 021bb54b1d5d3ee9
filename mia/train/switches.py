"""Which defences in training are compiled in: those that are off cost nothing and change nothing, bit by bit.

Takes options, gives plain values that JAX keeps as constants. The strengths of those that are on stay traced.
"""

import math
from dataclasses import dataclass

from mia.train.options import TrainOptions


@dataclass(frozen=True)
class Switches:
    """What differs between one compiled training and another, other than shapes."""

    confidence_penalty: bool = False
    mixup: bool = False
    relaxloss: bool = False
    early_stopping: bool = False
    augmentation: bool = False
    adversarial: bool = False
    distillation: bool = False
    dp: bool = False
    is_poisson: bool = False
    microbatch: int = 0

    @classmethod
    def of(cls, options: TrainOptions) -> "Switches":
        """Return what must be compiled in for these options."""
        augmentation, dp = options.augmentation, options.dp
        return cls(
            confidence_penalty=options.confidence_penalty > 0,
            mixup=options.mixup > 0,
            relaxloss=options.relaxloss > 0,
            early_stopping=options.early_stopping.holdout > 0,
            augmentation=any([augmentation.flip, augmentation.shift, augmentation.cutout]),
            adversarial=options.adversarial.strength > 0,
            distillation=options.distillation.reference > 0,
            dp=dp.is_on,
            is_poisson=dp.is_on and dp.sampling == "poisson",
            microbatch=_microbatch(options) if dp.is_on else 0,
        )


def _microbatch(options: TrainOptions) -> int:
    """Return how many records are clipped at once: no more than are in most batches (Poisson ones differ in size)."""
    usual = options.batch_size if options.dp.sampling == "shuffled" else math.ceil(1.25 * options.batch_size)
    return min(options.dp.microbatch, usual)
