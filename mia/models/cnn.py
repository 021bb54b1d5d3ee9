"""The study's convolutional network: conv 5x5x32, tanh, pool 2, conv 3x3x32, tanh, pool 2, dense 128 tanh, dense C.

Takes pictures as `arrange` left them, gives logits. Pooling stands before tanh, which is the same function (tanh is
monotonic) at a quarter of the work.

Other sizes than 32 x 32: convolutions are 'valid', as in the study, on pictures of at least 16 pixels a side; smaller
pictures are padded with zeros so that convolutions keep their size ('same'). A pool is left out where a side is already
a single pixel. An odd last row or column is dropped by a pool.
"""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Shaped

from mia.models.convolution import convolve, convolve_blocks, pool, space_to_depth
from mia.models.layers import Dense, Training, dropout, glorot_uniform

FILTERS = 32
FIRST, SECOND = 5, 3  # kernel sizes
SMALLEST_VALID = 16  # pixels a side


def is_padded(height: int, width: int) -> bool:
    """Whether pictures of this size are padded so that convolutions keep their size."""
    return min(height, width) < SMALLEST_VALID


def arrange(x: Shaped[np.ndarray, "N H W C"]) -> Shaped[np.ndarray, "N h w D"]:
    """Return pictures in the layout that `Cnn` takes: padded where that is the rule, 2 x 2 blocks as channels.

    Reorders pixels and adds zeros; never changes a value. Works on NumPy and JAX arrays.
    """
    height, width = x.shape[1:3]
    margin = FIRST // 2 if is_padded(height, width) else 0
    if margin:
        x = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    if min(height, width) < 2:
        return x
    rows, columns = (x.shape[1] // 2 * 2, x.shape[2] // 2 * 2)
    return space_to_depth(x[:, :rows, :columns])


class Conv(nnx.Module):
    """A kernel [k k C F] and a bias."""

    def __init__(self, size: int, channels: int, filters: int, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(glorot_uniform(rngs.params(), (size, size, channels, filters), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(filters, jnp.float32))


class Cnn(nnx.Module):
    """The network for pictures of one shape [H W C] (before `arrange`)."""

    def __init__(self, shape: tuple[int, ...], num_classes: int, rngs: nnx.Rngs) -> None:
        height, width, channels = shape
        self.is_padded = is_padded(height, width)
        self.is_blocked = min(height, width) >= 2
        self.conv1 = Conv(FIRST, channels, FILTERS, rngs)
        self.conv2 = Conv(SECOND, FILTERS, FILTERS, rngs)
        lost = (0, 0) if self.is_padded else (FIRST - 1, SECOND - 1)
        sides = []
        for side in (height, width):
            after = side - lost[0]
            after = (after // 2 if self.is_blocked else after) - lost[1]
            sides.append(after)
        self.is_pooled = min(sides) >= 2
        features = int(np.prod([side // 2 if self.is_pooled else side for side in sides])) * FILTERS
        self.dense1 = Dense(features, 128, rngs)
        self.dense2 = Dense(128, num_classes, rngs)

    def __call__(self, x: Float[Array, "B h w D"], training: Training | None = None) -> Float[Array, "B C"]:
        """Return logits of arranged pictures."""
        x = self._first(x)
        if self.is_padded:
            x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = convolve(x, self.conv2.kernel[...])
        x = jnp.tanh((pool(x) if self.is_pooled else x) + self.conv2.bias[...])
        x = dropout(jnp.tanh(self.dense1(x.reshape(len(x), -1))), training, 0)
        return self.dense2(x)

    def _first(self, x: Array) -> Array:
        from mia.models.convolution import largest

        if self.is_blocked:
            return jnp.tanh(largest(convolve_blocks(x, self.conv1.kernel[...])) + self.conv1.bias[...])
        return jnp.tanh(convolve(x, self.conv1.kernel[...]) + self.conv1.bias[...])
