"""Data augmentation: pictures are mirrored, shifted and cut into, afresh in each batch.

Takes pictures on the device, gives pictures of the same shape. What is shifted in or cut out is zero.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mia.train.loss import Strengths


def augment(x: Float[Array, "B H W C"], key: PRNGKeyArray, strengths: Strengths) -> Float[Array, "B H W C"]:
    """Return each picture mirrored, shifted and cut by its own draw. Strengths of zero return `x` bit by bit."""
    flip, shift, cut = jax.random.split(key, 3)
    count, height, width, _ = x.shape
    is_mirrored = jax.random.uniform(flip, (count,)) < strengths.flip
    moves = _whole_numbers(shift, (2, count), -strengths.shift, strengths.shift)
    rows, is_row = _source(height, moves[0])
    columns, is_column = _source(width, moves[1])
    columns = jnp.where(is_mirrored[:, None], width - 1 - columns, columns)
    moved = x[jnp.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    is_kept = is_row[:, :, None] & is_column[:, None, :] & ~_square(cut, x.shape, strengths.cutout)
    return jnp.where(is_kept[..., None], moved, 0)


def _whole_numbers(key: PRNGKeyArray, shape: tuple[int, ...], lowest: Array, highest: Array) -> Int[Array, "..."]:
    return jnp.floor(jax.random.uniform(key, shape) * (highest - lowest + 1) + lowest).astype(jnp.int32)


def _source(length: int, move: Int[Array, "B"]) -> tuple[Int[Array, "B L"], Bool[Array, "B L"]]:
    """Return where each row comes from, and whether it lies in the picture."""
    source = jnp.arange(length)[None] - move[:, None]
    return jnp.clip(source, 0, length - 1), (source >= 0) & (source < length)


def _square(key: PRNGKeyArray, shape: tuple[int, ...], side: Array) -> Bool[Array, "B H W"]:
    """Return a mask of squares whose centres lie anywhere in their pictures; parts may lie outside."""
    count, height, width, _ = shape
    size = jnp.array([[height], [width]], jnp.float32)
    first = jnp.floor(jax.random.uniform(key, (2, count)) * size - side / 2 + 0.5)
    inside = [
        (jnp.arange(length)[None] >= start[:, None]) & (jnp.arange(length)[None] < start[:, None] + side)
        for length, start in zip((height, width), first, strict=True)
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]
