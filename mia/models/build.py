"""Builds a network from its options, and arranges records as it takes them. A new model is registered here."""

import numpy as np
from flax import nnx
from jaxtyping import PRNGKeyArray, Shaped

from mia.checks import RequestError
from mia.models.cnn import Cnn, arrange as arrange_cnn
from mia.models.mlp import Mlp
from mia.models.options import CnnOptions, MlpOptions, ModelOptions


def check_fits(options: ModelOptions, shape: tuple[int, ...]) -> None:
    """Check that a model can take records of this shape.

    Raises:
        RequestError: the model takes pictures and the records are none.
    """
    if not isinstance(options, MlpOptions) and len(shape) != 3:
        raise RequestError(
            f"model={options.name} takes pictures [height width channels], not records of shape {list(shape)}; use model=mlp"
        )


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
    raise RequestError(f"model={options.name!r} is not known")


def arrange(options: ModelOptions, x: Shaped[np.ndarray, "N *features"]) -> Shaped[np.ndarray, "N *arranged"]:
    """Return records in the memory layout that the model takes; values are never changed."""
    return arrange_cnn(x) if isinstance(options, CnnOptions) else x
