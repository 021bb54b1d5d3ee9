"""Cuts pictures into patches, and adds patches up to pictures again, at the speed of copying memory.

Takes and gives float arrays; pictures are [B height width channels]. Never pads: callers do.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int


def window_corners(shape: tuple[int, int], stride: int) -> Int[np.ndarray, "n 2"]:
    """Return the top left pixel of every patch of a convolution with `shape` outputs, row by row."""
    p, q = np.ogrid[: shape[0], : shape[1]]
    return _stacked(p * stride, q * stride)


def pooled_corners(shape: tuple[int, int], pool: int) -> Int[np.ndarray, "n 2"]:
    """Return the top left pixel of every patch, the pool x pool patches of one pooling window after another."""
    p, q, i, j = np.ogrid[: shape[0], : shape[1], :pool, :pool]
    return _stacked(p * pool + i, q * pool + j)


def _stacked(rows: np.ndarray, columns: np.ndarray) -> Int[np.ndarray, "n 2"]:
    return np.stack(np.broadcast_arrays(rows, columns), axis=-1).reshape(-1, 2)


def take_patches(x: Float[Array, "B H W C"], size: int, corners: Int[np.ndarray, "n 2"]) -> Float[Array, "B*n k*k*C"]:
    """Return the size x size patches at `corners` of every picture, flattened in the order row, column, channel."""
    batch, height, width, channels = x.shape
    pictures, rows = np.ogrid[:batch, :size]
    first = pictures[..., None] * height + corners[:, 0, None] + rows[:, None]
    starts = ((first * width + corners[:, 1, None]) * channels).reshape(-1, 1).astype(np.int32)
    length = size * channels  # a row of a patch is a run of memory

    def gather() -> Array:
        numbers = lax.GatherDimensionNumbers((1,), (), (0,))
        return lax.gather(x.reshape(-1), starts, numbers, (length,), mode="promise_in_bounds")

    return _in_memory(gather, (len(starts), length), x).reshape(batch * len(corners), size * length)


def _in_memory(compute: Callable[[], Array], shape: tuple[int, ...], probe: Array) -> Array:
    """Return compute(), copied run by run instead of element by element.

    XLA would merge the gather with the change of shape that follows, and then compute every element's address: ten
    times slower. It merges nothing across a condition. This one holds unless `probe` is not a number.
    """
    first = probe.reshape(-1)[0]
    return lax.cond(first == first, compute, lambda: jnp.full(shape, jnp.nan, probe.dtype))  # noqa: PLR0124


def add_patches(patches: Float[Array, "B P Q k k C"], shape: tuple[int, ...], stride: int) -> Float[Array, "B H W C"]:
    """Return the pictures in which each pixel is the sum of what the patches of a convolution say about it."""
    _, p, q, size, _, _ = patches.shape
    spans = (p - 1) * stride + 1, (q - 1) * stride + 1
    total = jnp.zeros(shape, patches.dtype)
    for i in range(size):
        for j in range(size):
            rows = (i, shape[1] - spans[0] - i, stride - 1)
            columns = (j, shape[2] - spans[1] - j, stride - 1)
            zero = jnp.zeros((), patches.dtype)
            total = total + lax.pad(patches[:, :, :, i, j], zero, ((0, 0, 0), rows, columns, (0, 0, 0)))
    return total
