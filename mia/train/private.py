"""DP-SGD (Abadi et al. 2016): each record's gradient clipped and summed, noise added to the sum.

Takes parameters and losses of records; gives gradients. One backward pass gives the norms of the records' gradients and
the sum of what clipping leaves of them, a few records at a time: as many as caches hold.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p
from jaxtyping import Array, Bool, Complex, Float, Int, PRNGKeyArray, Scalar, UInt32

from mia.models.networks.convolution import is_on_cpu
from mia.models.networks.in_memory import in_memory
from mia.models.networks.layers import Training
from mia.models.networks.network import Network, Tree
from mia.models.networks.record_gradients import Probe, shapes_of, weighted_gradient
from mia.train.defences import Batch
from mia.train.hooks import Hooks
from mia.train.loss import BatchResult, curve, record_losses
from mia.train.state import NOISE, SAMPLING
from mia.train.step import Work, penalty_gradient

LEAST = 8  # records at once
CACHE, MEMORY = 2**18, 2**26  # bytes of gradients of single records, on a CPU and elsewhere
WORD = 32  # records whose bits make a word
TINY = 1e-20  # keeps a record without gradient from dividing by zero


def private_gradient(work: Work) -> tuple[Tree, BatchResult]:
    """Return the gradient of DP-SGD, a microbatch at a time: memory does not grow with the batch.

    That is the noisy mean of clipped gradients, and the gradient of penalties, which see no record.
    """
    given = work.plan.defences.given("dp", work.model.strengths)
    num_members, microbatch = len(work.model.members), records_at_once(work, given.microbatch)
    most = -(-num_members // microbatch)
    if given.is_poisson:
        drawn = poisson_batch(work.key(SAMPLING), num_members, work.plan.batch_size)
        take = lambda i: poisson_microbatch(drawn, i, microbatch)  # noqa: E731
        used = -(-drawn.counts[-1] // microbatch)
        count = jnp.float32(work.plan.batch_size)  # as expected: the number drawn is private
    else:
        rows, row_weights = in_microbatches(work.positions, work.weights, microbatch)
        take = lambda i: (rows[i], row_weights[i])  # noqa: E731
        used, count = jnp.int32(len(rows)), work.weights.sum()

    def add(i: Scalar, total: tuple[Tree, tuple[Scalar, Scalar]]) -> tuple[Tree, tuple[Scalar, Scalar]]:
        batch, training, hooks = work.batch(*take(i), work.number * most + i)
        part = clipped_gradient(work.plan.network, parameters, batch, training, hooks, given.clipping_norm)
        return jax.tree.map(jnp.add, total, part)

    parameters = work.state.parameters
    nothing = jax.tree.map(jnp.zeros_like, parameters), (jnp.float32(0), jnp.float32(0))
    total, sums = jax.lax.fori_loop(0, used, add, nothing)
    noisy = noisy_mean(total, count, work.key(NOISE), given.noise_multiplier, given.clipping_norm)
    gradient = jax.tree.map(jnp.add, noisy, penalty_gradient(work))
    return gradient, BatchResult(work.state.statistics, *sums)


def records_at_once(work: Work, most: int) -> int:
    """Return how many records' gradients are taken at once: so many that what is kept of each fits the caches."""
    if work.plan.part:
        return min(most, work.plan.part)
    network, kept = work.plan.network, [work.state.parameters]
    if network.tells_norms:
        x, training = jnp.zeros((1, *network.shape)), Training(work.key(NOISE), jnp.float32(0), jnp.ones(1))
        apply = lambda parameters, probe: network.apply(parameters, {}, x, replace(training, probe=probe))  # noqa: E731
        kept = shapes_of(apply, work.state.parameters)
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))
    return min(most, max(LEAST, (CACHE if is_on_cpu() else MEMORY) // size))


def clipped_gradient(
    network: Network, parameters: Tree, batch: Batch, training: Training, hooks: Hooks, clipping_norm: Scalar
) -> tuple[Tree, tuple[Scalar, Scalar]]:
    """Return the sum of the records' clipped gradients, and the sums for the learning curve.

    The model must have no statistics over records.
    """
    if not network.tells_norms:
        return _clipped_one_by_one(network, parameters, batch, training, hooks, clipping_norm)

    def losses(parameters: Tree, probe: Probe) -> tuple[Float[Array, "B"], tuple[Scalar, Scalar]]:
        logits, _ = network.apply(parameters, {}, batch.x, replace(training, probe=probe))
        sums = jax.lax.stop_gradient(curve(logits, batch, training.weights))
        return record_losses(logits, batch.targets, hooks), sums

    return weighted_gradient(losses, parameters, training.weights, lambda squares: kept_share(squares, clipping_norm))


def _clipped_one_by_one(
    network: Network, parameters: Tree, batch: Batch, training: Training, hooks: Hooks, clipping_norm: Scalar
) -> tuple[Tree, tuple[Scalar, Scalar]]:
    """Do the same for any model, by the gradients of all records of a microbatch at once."""

    def loss(parameters: Tree, x: Array, target: Array, key: PRNGKeyArray) -> tuple[Scalar, Float[Array, "C"]]:
        own = Training(key, training.dropout, jnp.ones(1))
        logits, _ = network.apply(parameters, {}, x[None], own)
        return record_losses(logits, target[None], hooks)[0], jax.lax.stop_gradient(logits[0])

    weights = training.weights
    keys = jax.random.split(training.key, len(weights))
    of_each = jax.vmap(jax.grad(loss, has_aux=True), in_axes=(None, 0, 0, 0))
    gradients, logits = of_each(parameters, batch.x, batch.targets, keys)
    squares = sum(
        (jnp.square(leaf).reshape(len(weights), -1).sum(axis=1) for leaf in jax.tree.leaves(gradients)),
        start=jnp.zeros_like(weights),
    )
    kept = weights * kept_share(squares, clipping_norm)
    return jax.tree.map(lambda leaf: jnp.tensordot(kept, leaf, 1), gradients), curve(logits, batch, weights)


def kept_share(squares: Float[Array, "m"], clipping_norm: Scalar) -> Float[Array, "m"]:
    """Return what clipping leaves of gradients whose squared norms are these, as a share."""
    return jnp.minimum(1, clipping_norm / jnp.maximum(jnp.sqrt(squares), TINY))


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
    """Return independent standard normal numbers, two from two random words (Box and Muller 1958).

    Lengths come from 23 bits, angles from 32: the largest number is 5.8. Takes both words of each block of the
    generator. `jax.random.normal` takes one, and inverts the error function: a step of a small model takes half as
    long again with it.
    """
    half, data = -(-count // 2), jax.random.key_data(key)

    def pairs() -> Complex[Array, "n"]:
        numbers = jnp.arange(half, dtype=jnp.uint32)
        words = threefry2x32_p.bind(data[0], data[1], numbers, numbers + half)
        return jax.lax.complex(*(jax.lax.bitcast_convert_type(word, jnp.float32) for word in words))

    def twins(pairs: Complex[Array, "n"]) -> Complex[Array, "n"]:
        first, second = (jax.lax.bitcast_convert_type(part, jnp.uint32) for part in (pairs.real, pairs.imag))
        middles = ((first >> 9).astype(jnp.float32) + 0.5) * 2**-23  # of 2**23 equal parts of (0, 1), exactly
        length = jnp.sqrt(-2 * jnp.log(middles))
        return jax.lax.complex(*(length * part for part in sine_and_cosine(second)))

    # What comes in pairs is kept as complex numbers: of two arrays XLA would work out each by itself, all of it twice.
    made = in_memory(lambda: twins(in_memory(pairs, data)), data)
    return jnp.concatenate([made.real, made.imag])[:count]


def sine_and_cosine(turns: UInt32[Array, "n"]) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
    """Return sine and cosine of angles in units of 2**-32 turns, to 1e-7: by their series about the nearest axis."""
    quarter = (turns + jnp.uint32(1 << 29)) >> 30
    x = (turns << 2).astype(jnp.int32).astype(jnp.float32) * jnp.float32(math.pi * 2**-33)  # within pi / 4
    y = x * x
    sine = x * (1 + y * (-1 / 6 + y * (1 / 120 + y * (-1 / 5040 + y / 362880))))
    cosine = 1 + y * (-1 / 2 + y * (1 / 24 + y * (-1 / 720 + y / 40320)))
    is_odd, is_low, is_left = quarter & 1 == 1, quarter & 2 == 2, (quarter + 1) & 2 == 2
    first, second = jnp.where(is_odd, cosine, sine), jnp.where(is_odd, sine, cosine)
    return jnp.where(is_low, -first, first), jnp.where(is_left, -second, second)


class PoissonBatch(NamedTuple):
    """Which records are in a batch: a bit for each of them."""

    words: UInt32[Array, "w"]  # of 32 records, the first in the lowest bit
    counts: Int[Array, "w"]  # of records in the batch, up to the end of each word


def poisson_batch(key: PRNGKeyArray, num_records: int, batch_size: int) -> PoissonBatch:
    """Draw a batch that each record enters on its own with probability batch_size / num_records."""

    def draw() -> Bool[Array, "n"]:
        return jax.random.uniform(key, (num_records,)) < batch_size / num_records

    drawn = in_memory(draw, jax.random.key_data(key))
    bits = jnp.pad(drawn, (0, -num_records % WORD)).reshape(-1, WORD)
    words = jnp.where(bits, jnp.uint32(1) << jnp.arange(WORD, dtype=jnp.uint32), 0).sum(axis=1, dtype=jnp.uint32)
    return PoissonBatch(words, jnp.cumsum(jax.lax.population_count(words).astype(jnp.int32)))


def poisson_microbatch(
    batch: PoissonBatch, number: Scalar, microbatch: int
) -> tuple[Int[Array, "m"], Float[Array, "m"]]:
    """Return the positions of the records of a microbatch of a Poisson batch, and weights, 0 for padding."""
    wanted = number * microbatch + jnp.arange(microbatch) + 1
    size = batch.counts[-1]
    return positions_in(batch, jnp.minimum(wanted, size)), (wanted <= size).astype(jnp.float32)


def positions_in(batch: PoissonBatch, ranks: Int[Array, "m"]) -> Int[Array, "m"]:
    """Return the positions of the records of these ranks in a batch, counted from 1; 0 for rank 0.

    The word of each is found by the counts, its bit by halves.
    """
    own = (batch.counts[:-1] < ranks[:, None]).sum(axis=1)
    word, rank = batch.words[own], ranks - jnp.where(own > 0, batch.counts[own - 1], 0)
    position = own * WORD
    for half in (16, 8, 4, 2, 1):
        low = jax.lax.population_count(word & jnp.uint32(2**half - 1)).astype(jnp.int32)
        is_above = low < rank
        rank = jnp.where(is_above, rank - low, rank)
        word = jnp.where(is_above, word >> half, word)
        position = jnp.where(is_above, position + half, position)
    return position


def in_microbatches(
    positions: Int[Array, "B"], weights: Float[Array, "B"], microbatch: int
) -> tuple[Int[Array, "b m"], Float[Array, "b m"]]:
    """Return a batch in microbatches, padded with weights of 0."""
    rows = -(-len(positions) // microbatch)
    padding = (0, rows * microbatch - len(positions))
    return jnp.pad(positions, padding).reshape(rows, microbatch), jnp.pad(weights, padding).reshape(rows, microbatch)
