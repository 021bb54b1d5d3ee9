"""The multilayer perceptron. Takes records of any shape (flattened), gives logits."""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from mia.models.networks.layers import Dense, Training, dropout

ACTIVATIONS = {"tanh": jnp.tanh, "relu": nnx.relu, "gelu": nnx.gelu}


class Mlp(nnx.Module):
    """Hidden dense layers with one activation and dropout after each, then a dense layer of logits."""

    def __init__(
        self, hidden: Sequence[int], activation: str, shape: tuple[int, ...], num_classes: int, rngs: nnx.Rngs
    ) -> None:
        widths = [int(np.prod(shape)), *hidden, num_classes]
        self.activation = ACTIVATIONS[activation]
        self.layers = nnx.List([Dense(a, b, rngs) for a, b in pairwise(widths)])

    def __call__(self, x: Float[Array, "B *features"], training: Training | None = None) -> Float[Array, "B classes"]:
        """Return logits."""
        x = x.reshape(len(x), -1)
        for i, layer in enumerate(self.layers[:-1]):
            x = dropout(self.activation(layer(x, training)), training, i)
        return self.layers[-1](x, training)
