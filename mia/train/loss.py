"""The training loss: what each step's gradient is taken of, and the gradient of a batch.

Takes the logits of one batch, what they should be, and the hooks of the defences that change the loss.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from mia.models.networks.layers import Training
from mia.models.networks.network import Network, Tree
from mia.train.defences import Batch
from mia.train.hooks import Hooks


class BatchResult(NamedTuple):
    """What one batch gave besides its gradient."""

    statistics: Tree
    loss: Scalar  # sum of the plain cross-entropies, without smoothing or penalty
    correct: Scalar  # number of records classified correctly


def cross_entropy(logits: Float[Array, "B C"], targets: Float[Array, "B C"]) -> Float[Array, "B"]:
    """Return each record's cross-entropy to its target distribution, one-hot for a label."""
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1)


def entropy(logits: Float[Array, "B C"]) -> Float[Array, "B"]:
    """Return the entropy of each answer, in nats."""
    return -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(axis=-1)


def sum_of_squares(parameters: Tree) -> Scalar:
    """Return the sum of squares of all parameters, kernels and biases."""
    return sum((jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(parameters)), start=jnp.float32(0))


def record_losses(logits: Float[Array, "B C"], targets: Float[Array, "B C"], hooks: Hooks) -> Float[Array, "B"]:
    """Return the part of the loss that each record has for itself."""
    logits = hooks.chain("logits", logits)
    losses = cross_entropy(logits, hooks.chain("targets", targets))
    return hooks.chain("record_losses", losses, logits)


def training_loss(logits: Float[Array, "B C"], batch: Batch, parameters: Tree, hooks: Hooks) -> Scalar:
    """Return the mean loss over the records of weight 1, and the penalties."""
    weights = hooks.step.weights
    losses = record_losses(logits, batch.targets, hooks)
    mean = (losses * weights).sum() / weights.sum()
    mean = hooks.chain("mean_loss", mean, logits, batch)
    return hooks.chain("penalty", mean, parameters)


def batch_gradient(
    network: Network, parameters: Tree, statistics: Tree, batch: Batch, training: Training, hooks: Hooks
) -> tuple[Tree, BatchResult]:
    """Return the gradient of the training loss over the records of weight 1."""

    def loss(parameters: Tree) -> tuple[Scalar, BatchResult]:
        logits, new_statistics = network.apply(parameters, statistics, batch.x, training)
        value = training_loss(logits, batch, parameters, hooks)
        return value, BatchResult(new_statistics, *curve(logits, batch, training.weights))

    gradient, result = jax.grad(loss, has_aux=True)(parameters)
    return gradient, jax.lax.stop_gradient(result)


def gradient_in_parts(
    network: Network, parameters: Tree, batch: Batch, training: Training, hooks: Hooks, size: int
) -> tuple[Tree, BatchResult]:
    """Return `batch_gradient`, up to round-off, from `size` records at a time: as many as caches hold.

    The model must have no statistics, and no hook may look at the mean loss. Parts that are padding alone are left out.
    """
    count = -(-len(training.weights) // size)
    total = training.weights.sum()

    def in_rows(leaf: Array) -> Array:
        padding = [(0, count * size - len(leaf))] + [(0, 0)] * (leaf.ndim - 1)
        return jnp.pad(leaf, padding).reshape(count, size, *leaf.shape[1:])

    parts = jax.tree.map(in_rows, (batch, training.weights))

    def add(i: Scalar, sums: tuple[Tree, tuple[Scalar, Scalar]]) -> tuple[Tree, tuple[Scalar, Scalar]]:
        own, weights = jax.tree.map(lambda leaf: leaf[i], parts)
        own_hooks = replace(hooks, step=replace(hooks.step, weights=weights))
        own_training = replace(training, weights=weights, part=i, num_parts=count)

        def loss(parameters: Tree) -> tuple[Scalar, tuple[Scalar, Scalar]]:
            logits, _ = network.apply(parameters, {}, own.x, own_training)
            losses = record_losses(logits, own.targets, own_hooks)
            return (losses * weights).sum() / total, curve(logits, own, weights)

        gradient, curves = jax.grad(loss, has_aux=True)(parameters)
        return jax.tree.map(jnp.add, sums, (gradient, jax.lax.stop_gradient(curves)))

    penalties = jax.grad(lambda parameters: hooks.chain("penalty", jnp.float32(0), parameters))(parameters)
    used = jnp.ceil(total / size).astype(jnp.int32)
    nothing = jnp.float32(0), jnp.float32(0)
    gradient, curves = jax.lax.fori_loop(0, used, add, (penalties, nothing))
    return gradient, BatchResult({}, *curves)


def evaluate(
    network: Network,
    parameters: Tree,
    statistics: Tree,
    x: Float[Array, "B *features"],
    labels: Int[Array, "B"],
    weights: Float[Array, "B"],
) -> tuple[Scalar, Scalar]:
    """Return the summed cross-entropy and the number of correct records, in evaluation mode."""
    logits, _ = network.apply(parameters, statistics, x)
    loss, correct = curve(logits, Batch(x, labels, jax.nn.one_hot(labels, logits.shape[-1])), weights)
    return loss, correct.astype(jnp.float32)


def curve(logits: Float[Array, "B C"], batch: Batch, weights: Float[Array, "B"]) -> tuple[Scalar, Scalar]:
    """Return the summed cross-entropy to the targets and the number of records classified as labelled."""
    loss = (cross_entropy(logits, batch.targets) * weights).sum()
    return loss, ((first_largest(logits) == batch.labels) * weights).sum()


def first_largest(logits: Float[Array, "B C"]) -> Int[Array, "B"]:
    """Return what `argmax` does, where there is no NaN; XLA's CPU backend looks for it one number at a time."""
    is_largest = logits == logits.max(axis=-1, keepdims=True)
    return jnp.where(is_largest, jnp.arange(logits.shape[-1]), logits.shape[-1]).min(axis=-1)
