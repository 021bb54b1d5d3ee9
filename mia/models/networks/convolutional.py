"""The study's convolutional network: conv 5x5x32, tanh, pool 2, conv 3x3x32, tanh, pool 2, dense 128 tanh, dense C.

Takes pictures, gives logits.

Other sizes than 32 x 32: convolutions are 'valid', as in the study, on pictures of at least 16 pixels a side; smaller
pictures are padded with zeros so that convolutions keep their size ('same'). A pool is left out where a side is already
a single pixel. An odd last row or column is dropped by a pool.
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from mia.models.networks.convolution import conv_pool_tanh, conv_pool_tanh_of_each
from mia.models.networks.layers import Dense, Training, dropout, glorot_uniform, with_probe

FILTERS = 32
HIDDEN = 128
SMALLEST_VALID = 16  # pixels a side


class ConvPool(nnx.Module):
    """A convolution with its pool and tanh, for pictures of one size; `shape` is that of its outputs."""

    def __init__(self, size: int, shape: tuple[int, int, int], is_padded: bool, rngs: nnx.Rngs) -> None:
        height, width, channels = shape
        self.kernel = nnx.Param(glorot_uniform(rngs.params(), (size, size, channels, FILTERS), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(FILTERS, jnp.float32))
        self.margin = size // 2 if is_padded else 0
        lost = 0 if is_padded else size - 1
        self.pool = 2 if min(height, width) - lost >= 2 else 1
        self.shape = ((height - lost) // self.pool, (width - lost) // self.pool, FILTERS)

    def __call__(self, x: Float[Array, "B H W C"], training: Training | None = None) -> Float[Array, "B P Q F"]:
        """Return the pooled activations."""
        if self.margin:
            sides = (self.margin, self.margin)
            x = jnp.pad(x, ((0, 0), sides, sides, (0, 0)))
        parameters = self.kernel[...], self.bias[...]

        def layer(x: Array, given: tuple[Array, Array]) -> Array:
            return conv_pool_tanh(x, *given, pool=self.pool)

        def of_each(x: Array, given: tuple[Array, Array]) -> Array:
            return conv_pool_tanh_of_each(x, *given, pool=self.pool)

        return with_probe(layer, x, parameters, training, of_each)


class Cnn(nnx.Module):
    """The network for pictures of one shape [H W C]."""

    def __init__(self, shape: tuple[int, ...], num_classes: int, rngs: nnx.Rngs) -> None:
        is_padded = min(shape[:2]) < SMALLEST_VALID
        height, width, channels = shape
        self.conv1 = ConvPool(5, (height, width, channels), is_padded, rngs)
        self.conv2 = ConvPool(3, self.conv1.shape, is_padded, rngs)
        height, width, channels = self.conv2.shape
        self.dense1 = Dense(height * width * channels, HIDDEN, rngs)
        self.dense2 = Dense(HIDDEN, num_classes, rngs)

    def __call__(self, x: Float[Array, "B H W C"], training: Training | None = None) -> Float[Array, "B classes"]:
        """Return logits."""
        x = self.conv2(self.conv1(x, training), training)
        x = jnp.tanh(self.dense1(x.reshape(len(x), -1), training))
        return self.dense2(dropout(x, training, 0), training)
