"""The options of our own models, in one place for those who import several."""

from mia.models import ModelOptions, check_fits
from mia.models.cnn import CnnOptions
from mia.models.mlp import MlpOptions
from mia.models.wide_resnet import WideResnetOptions

__all__ = ["CnnOptions", "MlpOptions", "ModelOptions", "WideResnetOptions", "check_fits"]
