"""Which records a step trains on, and how they look: parts, order, padding, what defences make of them.

Takes a model's members; gives index arrays, and batches on the device. Every member of the part that is trained on
comes once in every epoch, in fresh order; under DP-SGD with Poisson sampling each comes into each batch on its own.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar, UInt32

from mia.models.networks.convolution import is_on_cpu
from mia.train.compatible import part_sizes
from mia.train.defences import Batch
from mia.train.hooks import Hooks
from mia.train.options import TrainOptions
from mia.train.state import ORDER, Model, Plan, Records, features, key_of

TRAINED_ON = ""
"""Name of the part that gradients are taken of; the others are called after the defences that they are for."""


def divide(options: TrainOptions, members: Int[np.ndarray, "m"], seed: int) -> dict[str, Int[np.ndarray, "p"]]:
    """Return the parts of one model's members, drawn by its seed; all members in their order where nothing is divided.

    Raises:
        RequestError: a part would be empty.
    """
    others = part_sizes(options, len(members))
    counts = [len(members) - sum(others.values()), *others.values()]
    if others:
        members = np.random.default_rng([int(seed), 1]).permutation(members)
    return dict(zip([TRAINED_ON, *others], np.split(members, np.cumsum(counts)[:-1]), strict=True))


def steps_per_epoch(plan: Plan, num_members: int) -> int:
    """Return the number of batches of an epoch; the last may be short."""
    return -(-num_members // plan.batch_size)


def epoch_order(plan: Plan, model: Model, epoch: Scalar) -> tuple[Int[Array, "steps B"], Float[Array, "steps B"]]:
    """Return positions among the members for each step of an epoch, and weights 0 for padding in the last."""
    return padded(order_of(jax.random.bits(key_of(model, ORDER, epoch), (len(model.members),))), plan.batch_size)


def order_of(words: UInt32[Array, "n"]) -> Int[Array, "n"]:
    """Return the positions that sort the words, those of equal ones in their order.

    As `jnp.argsort` does, which for CPUs becomes a sort that calls a function for every comparison. Here each word and
    its position are one number of 64 bits; XLA sorts those by itself, in a quarter of the time.
    """
    if not is_on_cpu():
        return jnp.argsort(words)
    with jax.enable_x64(True):
        high = jax.lax.shift_left(jax.lax.convert_element_type(words, jnp.uint64), np.uint64(32))
        numbers = jax.lax.sort(high | jax.lax.iota(jnp.uint64, len(words)), is_stable=False)
        return jax.lax.convert_element_type(numbers & np.uint64(2**32 - 1), jnp.int32)


def padded(index: Int[Array, "n"], batch_size: int) -> tuple[Int[Array, "steps B"], Float[Array, "steps B"]]:
    """Return an index in rows of `batch_size`, and weights 0 for the padding of the last row."""
    steps = -(-len(index) // batch_size)
    padding = (0, steps * batch_size - len(index))
    weights = jnp.pad(jnp.ones(len(index), jnp.float32), padding)
    return jnp.pad(index, padding).reshape(steps, batch_size), weights.reshape(steps, batch_size)


def make_batch(plan: Plan, records: Records, model: Model, positions: Int[Array, "B"], hooks: Hooks) -> Batch:
    """Return the members at these positions as a step sees them."""
    index = model.members[positions]
    x, labels = features(plan, records, index), records.y[index]
    targets = jax.nn.one_hot(labels, plan.network.num_classes)
    if model.answers is not None:
        targets = model.answers[positions]
    return hooks.chain("batch", Batch(hooks.chain("features", x), labels, targets))
