"""The training loss: what each step's gradient is taken of. A defence that changes the loss goes here.

Takes the logits of one batch and the strengths; never knows of optimisers or epochs.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from mia.models.network import Tree
from mia.train.options import TrainOptions


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Strengths:
    """The traced numbers of one model's training; see `TrainOptions`. Changing them compiles nothing again."""

    learning_rate: Scalar
    learning_rate_decay: Scalar
    epsilon: Scalar
    l2: Scalar
    weight_decay: Scalar
    dropout: Scalar
    label_smoothing: Scalar

    @classmethod
    def of(cls, options: TrainOptions) -> "Strengths":
        """Return the traced part of the options."""
        return cls(**{name: jnp.float32(getattr(options, name)) for name in cls.__dataclass_fields__})


def cross_entropy(
    logits: Float[Array, "B C"], labels: Int[Array, "B"], smoothing: Scalar | float = 0.0
) -> Float[Array, "B"]:
    """Return each record's cross-entropy; `smoothing` is the share of its label spread over all classes."""
    log_probabilities = jax.nn.log_softmax(logits)
    targets = jax.nn.one_hot(labels, logits.shape[-1]) * (1 - smoothing) + smoothing / logits.shape[-1]
    return -(targets * log_probabilities).sum(axis=-1)


def sum_of_squares(parameters: Tree) -> Scalar:
    """Return the sum of squares of all parameters, kernels and biases."""
    return sum((jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(parameters)), start=jnp.float32(0))


def training_loss(
    logits: Float[Array, "B C"],
    labels: Int[Array, "B"],
    weights: Float[Array, "B"],
    parameters: Tree,
    strengths: Strengths,
) -> Scalar:
    """Return the mean loss over the records of weight 1, and the penalty."""
    losses = cross_entropy(logits, labels, strengths.label_smoothing)
    return (losses * weights).sum() / weights.sum() + strengths.l2 * sum_of_squares(parameters)
