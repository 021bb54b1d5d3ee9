"""The options of our own defences in training that have fields, in one place for those who import several."""

from mia.train.defences.adversarial import AdversarialOptions
from mia.train.defences.augmentation import AugmentationOptions
from mia.train.defences.distillation import DistillationOptions
from mia.train.defences.dp import DpOptions
from mia.train.defences.early_stopping import EarlyStoppingOptions

__all__ = ["AdversarialOptions", "AugmentationOptions", "DistillationOptions", "DpOptions", "EarlyStoppingOptions"]
