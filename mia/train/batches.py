"""Which records a step trains on, and how they look: order, padding, augmentation, mixing.

Takes a model's members; gives batches on the device. Every member comes once in every epoch, in fresh order; under
DP-SGD with Poisson sampling each comes into each batch on its own instead.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from mia.train.augmentation import augment
from mia.train.gradient import Batch
from mia.train.state import AUGMENTATION, MIXUP, ORDER, Model, Plan, Records, features, key_of


def steps_per_epoch(plan: Plan, num_members: int) -> int:
    """Return the number of batches of an epoch; the last may be short."""
    return -(-num_members // plan.batch_size)


def epoch_order(plan: Plan, model: Model, epoch: Scalar) -> tuple[Int[Array, "steps B"], Float[Array, "steps B"]]:
    """Return positions among the members for each step of an epoch, and weights 0 for padding in the last."""
    order = jnp.argsort(jax.random.bits(key_of(model, ORDER, epoch), (len(model.members),)))
    return padded(order, plan.batch_size)


def padded(index: Int[Array, "n"], batch_size: int) -> tuple[Int[Array, "steps B"], Float[Array, "steps B"]]:
    """Return an index in rows of `batch_size`, and weights 0 for the padding of the last row."""
    steps = -(-len(index) // batch_size)
    padding = (0, steps * batch_size - len(index))
    weights = jnp.pad(jnp.ones(len(index), jnp.float32), padding)
    return jnp.pad(index, padding).reshape(steps, batch_size), weights.reshape(steps, batch_size)


def make_batch(
    plan: Plan, records: Records, model: Model, positions: Int[Array, "B"], weights: Float[Array, "B"], number: Scalar
) -> Batch:
    """Return the members at these positions as step `number` sees them."""
    index = model.members[positions]
    x, labels = features(plan, records, index), records.y[index]
    targets = jax.nn.one_hot(labels, plan.network.num_classes)
    if model.answers is not None:
        targets = model.answers[positions]
    if plan.switches.augmentation:
        x = augment(x, key_of(model, AUGMENTATION, number), model.strengths)
    batch = Batch(x, labels, targets)
    return _mixed(batch, model, weights, number) if plan.switches.mixup else batch


def _mixed(batch: Batch, model: Model, weights: Float[Array, "B"], number: Scalar) -> Batch:
    """Return each record mixed with the next real one, all by one share (Zhang et al. 2018).

    The order is random, so that the next record is as good as any other. Labels stay those of the larger share.
    """
    alpha = model.strengths.mixup
    share = jax.random.beta(key_of(model, MIXUP, number), alpha, alpha)
    share = jnp.maximum(share, 1 - share)
    partner = (jnp.arange(len(weights)) + 1) % weights.sum().astype(jnp.int32)
    return Batch(
        share * batch.x + (1 - share) * batch.x[partner],
        batch.labels,
        share * batch.targets + (1 - share) * batch.targets[partner],
    )
