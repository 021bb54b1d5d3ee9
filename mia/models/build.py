"""Builds a network from its options. A new model is registered here."""

from flax import nnx
from jaxtyping import PRNGKeyArray

from mia.checks import RequestError
from mia.models.cnn import Cnn
from mia.models.mlp import Mlp
from mia.models.options import CnnOptions, MlpOptions, ModelOptions, WideResnetOptions, check_fits
from mia.models.wide_resnet import WideResnet


def build(options: ModelOptions, shape: tuple[int, ...], num_classes: int, key: PRNGKeyArray) -> nnx.Module:
    """Return a freshly initialised network for records of `shape`, called as `model(x, training=None)`.

    Raises:
        RequestError: the model does not take records of this shape.
    """
    check_fits(options, shape)
    rngs = nnx.Rngs(params=key)
    if isinstance(options, CnnOptions):
        return Cnn(shape, num_classes, rngs)
    if isinstance(options, MlpOptions):
        return Mlp(options, shape, num_classes, rngs)
    if isinstance(options, WideResnetOptions):
        return WideResnet(options, shape, num_classes, rngs)
    raise RequestError(f"model={options.name!r} is not known")
