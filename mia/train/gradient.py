"""One batch's gradient. A defence that works on gradients (clipping, noise) goes here.

Takes parameters and a batch, gives the gradient of the training loss and what the learning curve needs.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from mia.models.layers import Training
from mia.models.network import Network, Tree
from mia.train.adversary import gain
from mia.train.loss import Strengths, cross_entropy, record_losses, sum_of_squares, training_loss
from mia.train.private import noisy_mean, sum_of_clipped
from mia.train.switches import Switches


class Batch(NamedTuple):
    """The records of one step, as the model sees them."""

    x: Float[Array, "B *features"]
    labels: Int[Array, "B"]
    targets: Float[Array, "B C"]  # what the model should answer: labels, mixed labels, or a teacher's answers


class BatchResult(NamedTuple):
    """What one batch gave besides its gradient."""

    statistics: Tree
    loss: Scalar  # sum of the plain cross-entropies, without smoothing or penalty
    correct: Scalar  # number of records classified correctly


def batch_gradient(
    network: Network,
    parameters: Tree,
    statistics: Tree,
    batch: Batch,
    training: Training,
    strengths: Strengths,
    switches: Switches,
    epoch: Scalar,
    adversary: Tree | None = None,
) -> tuple[Tree, BatchResult]:
    """Return the gradient of the training loss over the records of weight 1.

    `adversary` holds the parameters of the attack model of adversarial regularisation.
    """

    def loss(parameters: Tree) -> tuple[Scalar, BatchResult]:
        logits, new_statistics = network.apply(parameters, statistics, batch.x, training)
        weights = training.weights
        value = training_loss(logits, batch.targets, weights, parameters, strengths, switches, epoch)
        if adversary is not None:
            value = value + strengths.adversarial * gain(adversary, logits, batch.labels, weights)
        return value, BatchResult(new_statistics, *_curve(logits, batch, weights))

    gradient, result = jax.grad(loss, has_aux=True)(parameters)
    return gradient, jax.lax.stop_gradient(result)


def clipped_gradient(
    network: Network,
    parameters: Tree,
    batch: Batch,
    training: Training,
    strengths: Strengths,
    switches: Switches,
) -> tuple[Tree, tuple[Scalar, Scalar]]:
    """Return the sum of the records' clipped gradients, and the sums for the learning curve.

    The model must have no statistics over records.
    """

    def losses(parameters: Tree, probe: Float[Array, "B"]) -> tuple[Float[Array, "B"], tuple[Scalar, Scalar]]:
        logits, _ = network.apply(parameters, {}, batch.x, replace(training, probe=probe))
        sums = jax.lax.stop_gradient(_curve(logits, batch, training.weights))
        return record_losses(logits, batch.targets, strengths, switches), sums

    return sum_of_clipped(losses, parameters, training.weights, strengths.clipping_norm)


def private_gradient(total: Tree, count: Scalar, parameters: Tree, key: PRNGKeyArray, strengths: Strengths) -> Tree:
    """Return the gradient of DP-SGD: the noisy mean of clipped gradients, and the penalty's, which sees no record."""
    noisy = noisy_mean(total, count, key, strengths.noise_multiplier, strengths.clipping_norm)
    penalty = jax.grad(lambda parameters: strengths.l2 * sum_of_squares(parameters))(parameters)
    return jax.tree.map(jnp.add, noisy, penalty)


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
    targets = jax.nn.one_hot(labels, logits.shape[-1])
    loss, correct = _curve(logits, Batch(x, labels, targets), weights)
    return loss, correct.astype(jnp.float32)


def _curve(logits: Float[Array, "B C"], batch: Batch, weights: Float[Array, "B"]) -> tuple[Scalar, Scalar]:
    """Return the summed cross-entropy to the targets and the number of records classified as labelled."""
    loss = (cross_entropy(logits, batch.targets) * weights).sum()
    return loss, ((logits.argmax(axis=-1) == batch.labels) * weights).sum()
