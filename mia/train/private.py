"""DP-SGD (Abadi et al. 2016): each record's gradient clipped and summed, noise added to the sum.

Takes parameters and losses of records; gives gradients. The gradients of single records are never kept: one backward
pass gives their norms (see `mia.models.probes`), a second one the sum of what clipping leaves of them.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
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
    sizes = [leaf.size for leaf in leaves]
    drawn = deviation * jax.random.normal(key, (sum(sizes),))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    noise = [drawn[end - leaf.size : end].reshape(leaf.shape) for end, leaf in zip(ends, leaves, strict=True)]
    return jax.tree.map(lambda leaf, noise: (leaf + noise) / count, total, jax.tree.unflatten(shape, noise))


def poisson_batch(
    key: PRNGKeyArray, num_records: int, batch_size: int, microbatch: int
) -> tuple[Int[Array, "b m"], Float[Array, "b m"], Int[Array, ""]]:
    """Return a batch that each record enters on its own with probability batch_size / num_records.

    Returns:
        Positions of the records in microbatches, weights 0 for padding, and how many microbatches hold any record.
    """
    is_in = jax.random.uniform(key, (num_records,)) < batch_size / num_records
    count = is_in.sum()
    rows = -(-num_records // microbatch)
    positions = jnp.nonzero(is_in, size=rows * microbatch, fill_value=0)[0]
    weights = (jnp.arange(rows * microbatch) < count).astype(jnp.float32)
    return positions.reshape(rows, microbatch), weights.reshape(rows, microbatch), -(-count // microbatch)


def in_microbatches(
    positions: Int[Array, "B"], weights: Float[Array, "B"], microbatch: int
) -> tuple[Int[Array, "b m"], Float[Array, "b m"]]:
    """Return a batch in microbatches, padded with weights of 0."""
    rows = -(-len(positions) // microbatch)
    padding = (0, rows * microbatch - len(positions))
    return jnp.pad(positions, padding).reshape(rows, microbatch), jnp.pad(weights, padding).reshape(rows, microbatch)
