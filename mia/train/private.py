"""DP-SGD (Abadi et al. 2016): each record's gradient clipped and summed, noise added to the sum.

Takes parameters and losses of records; gives gradients. The gradients of single records are never kept: one backward
pass gives their norms (see `mia.models.probes`), a second one the sum of what clipping leaves of them.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.extend.random import threefry_2x32
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from mia.models.network import Tree

T = TypeVar("T")
TINY = 1e-20  # keeps a record without gradient from dividing by zero


def sum_of_clipped(
    losses: Callable[[Tree, Float[Array, "m"]], tuple[Float[Array, "m"], T]],
    parameters: Tree,
    weights: Float[Array, "m"],
    clipping_norm: Scalar,
) -> tuple[Tree, T]:
    """Return the sum of the records' gradients, each scaled down to at most the clipping norm, and what `losses` adds.

    Args:
        losses: (parameters, probe) -> the loss of each record, and anything besides.
        parameters: of the model.
        weights: 0 for padding, 1 for real records.
        clipping_norm: the largest norm over all parameters that a record's gradient keeps; may be infinite.
    """
    _, pull, besides = jax.vjp(losses, parameters, jnp.zeros_like(weights), has_aux=True)
    _, squares = pull(weights)
    return pull(weights * jnp.minimum(1, clipping_norm / jnp.maximum(jnp.sqrt(squares), TINY)))[0], besides


def noisy_mean(
    total: Tree, count: Scalar | float, key: PRNGKeyArray, noise_multiplier: Scalar, clipping_norm: Scalar
) -> Tree:
    """Return (total + noise) / count; the noise has deviation noise_multiplier * clipping_norm in every parameter.

    It comes from a fast generator that is good enough to measure leakage with, not from a cryptographic one: release
    no model on the strength of it.
    """
    deviation = jnp.where(noise_multiplier > 0, noise_multiplier * clipping_norm, 0)  # 0 * inf is no number
    leaves, shape = jax.tree.flatten(total)
    keys = jax.random.split(key, len(leaves))
    noise = [deviation * normals(keys[i], leaf.size).reshape(leaf.shape) for i, leaf in enumerate(leaves)]
    return jax.tree.map(lambda leaf, noise: (leaf + noise) / count, total, jax.tree.unflatten(shape, noise))


def normals(key: PRNGKeyArray, count: int) -> Float[Array, "n"]:
    """Return independent standard normal numbers, by inversion of 23 random bits each.

    Takes both words of each block of the generator. `jax.random.normal` takes one, so that an array divided among
    devices gets the same numbers; with it a step of a small model takes a third longer.
    """
    words = threefry_2x32(jax.random.key_data(key), jnp.arange(count, dtype=jnp.uint32))
    middles = (words >> 9).astype(jnp.float32) * 2**-22 - (1 - 2**-23)  # of 2**23 equal parts of (-1, 1), exactly
    return jnp.float32(math.sqrt(2)) * jax.lax.erf_inv(middles)


def poisson_batch(key: PRNGKeyArray, num_records: int, batch_size: int) -> Int[Array, "n"]:
    """Draw a batch that each record enters on its own with probability batch_size / num_records.

    Returns:
        For each record, how many up to it and with it are in the batch.
    """
    return jnp.cumsum(jax.random.uniform(key, (num_records,)) < batch_size / num_records)


def poisson_microbatch(
    counts: Int[Array, "n"], number: Scalar, microbatch: int
) -> tuple[Int[Array, "m"], Float[Array, "m"]]:
    """Return the positions of the records of a microbatch of a Poisson batch, and weights, 0 for padding."""
    wanted = number * microbatch + jnp.arange(microbatch) + 1
    return jnp.searchsorted(counts, jnp.minimum(wanted, counts[-1])), (wanted <= counts[-1]).astype(jnp.float32)


def in_microbatches(
    positions: Int[Array, "B"], weights: Float[Array, "B"], microbatch: int
) -> tuple[Int[Array, "b m"], Float[Array, "b m"]]:
    """Return a batch in microbatches, padded with weights of 0."""
    rows = -(-len(positions) // microbatch)
    padding = (0, rows * microbatch - len(positions))
    return jnp.pad(positions, padding).reshape(rows, microbatch), jnp.pad(weights, padding).reshape(rows, microbatch)
