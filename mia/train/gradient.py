"""One batch's gradient. A defence that works on gradients (clipping, noise) goes here.

Takes parameters and a batch, gives the gradient of the training loss and what the learning curve needs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from mia.models.layers import Training
from mia.models.network import Network, Tree
from mia.train.loss import Strengths, cross_entropy, training_loss


class BatchResult(NamedTuple):
    """What one batch gave besides its gradient."""

    statistics: Tree
    loss: Scalar  # sum of the plain cross-entropies, without smoothing or penalty
    correct: Scalar  # number of records classified correctly


def batch_gradient(
    network: Network,
    parameters: Tree,
    statistics: Tree,
    x: Float[Array, "B *features"],
    labels: Int[Array, "B"],
    training: Training,
    strengths: Strengths,
) -> tuple[Tree, BatchResult]:
    """Return the gradient of the training loss over the records of weight 1."""

    def loss(parameters: Tree) -> tuple[Scalar, BatchResult]:
        logits, new_statistics = network.apply(parameters, statistics, x, training)
        weights = training.weights
        total = (cross_entropy(logits, labels) * weights).sum()
        correct = ((logits.argmax(axis=-1) == labels) * weights).sum()
        value = training_loss(logits, labels, weights, parameters, strengths)
        return value, BatchResult(new_statistics, total, correct)

    gradient, result = jax.grad(loss, has_aux=True)(parameters)
    return gradient, jax.lax.stop_gradient(result)


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
    return (cross_entropy(logits, labels) * weights).sum(), ((logits.argmax(axis=-1) == labels) * weights).sum().astype(
        jnp.float32
    )
