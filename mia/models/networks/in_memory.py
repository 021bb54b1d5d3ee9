"""Keeps XLA from merging what makes an array with what uses it."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

T = TypeVar("T")


def in_memory(make: Callable[[], T], probe: Array) -> T:
    """Return make(), worked out once and laid into memory.

    XLA would merge it with what follows, and work it out anew for each use and element by element: ten times slower.
    It merges nothing across a condition, and does not see that this one always holds.

    Args:
        make: Gives arrays.
        probe: Any numbers of 4 or 8 bytes that are known only when code runs.
    """
    size = 8 * probe.dtype.itemsize
    bits = lax.bitcast_convert_type(probe.reshape(-1)[0], jnp.dtype(f"uint{size}"))
    nothing = jax.eval_shape(make)
    return lax.cond(
        bits >> 1 < jnp.asarray(2 ** (size - 1), bits.dtype),
        make,
        lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), nothing),
    )
