"""The training loss: what each step's gradient is taken of. A defence that changes the loss goes here.

Takes the logits of one batch, what they should be, and the strengths; never knows of optimisers or epochs' order.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from mia.models.network import Tree
from mia.train.options import TrainOptions
from mia.train.switches import Switches

PLAIN = Switches()


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
    confidence_penalty: Scalar
    mixup: Scalar
    relaxloss: Scalar
    patience: Scalar
    flip: Scalar
    shift: Scalar
    cutout: Scalar
    adversarial: Scalar
    temperature: Scalar
    noise_multiplier: Scalar
    clipping_norm: Scalar

    @classmethod
    def of(cls, options: TrainOptions) -> "Strengths":
        """Return the traced part of the options."""
        nested = {
            "patience": options.early_stopping.patience,
            "flip": options.augmentation.flip,
            "shift": options.augmentation.shift,
            "cutout": options.augmentation.cutout,
            "adversarial": options.adversarial.strength,
            "temperature": options.distillation.temperature if options.distillation.reference else 1.0,
            "noise_multiplier": options.dp.noise_multiplier,
            "clipping_norm": options.dp.clipping_norm,
        }
        flat = {name: getattr(options, name) for name in cls.__dataclass_fields__ if name not in nested}
        return cls(**{name: jnp.float32(value) for name, value in (flat | nested).items()})


def cross_entropy(
    logits: Float[Array, "B C"], targets: Float[Array, "B C"], smoothing: Scalar | float = 0.0
) -> Float[Array, "B"]:
    """Return each record's cross-entropy to its target distribution.

    Args:
        logits: what the model says.
        targets: what it should say; one-hot for a label.
        smoothing: the share of each target that is spread over all classes.
    """
    targets = targets * (1 - smoothing) + smoothing / logits.shape[-1]
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1)


def entropy(logits: Float[Array, "B C"]) -> Float[Array, "B"]:
    """Return the entropy of each answer, in nats."""
    return -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(axis=-1)


def sum_of_squares(parameters: Tree) -> Scalar:
    """Return the sum of squares of all parameters, kernels and biases."""
    return sum((jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(parameters)), start=jnp.float32(0))


def record_losses(
    logits: Float[Array, "B C"], targets: Float[Array, "B C"], strengths: Strengths, switches: Switches = PLAIN
) -> Float[Array, "B"]:
    """Return the part of the loss that each record has for itself."""
    if switches.distillation:
        logits = logits / strengths.temperature
    losses = cross_entropy(logits, targets, strengths.label_smoothing)
    if switches.confidence_penalty:
        losses = losses - strengths.confidence_penalty * entropy(logits)
    return losses


def training_loss(
    logits: Float[Array, "B C"],
    targets: Float[Array, "B C"],
    weights: Float[Array, "B"],
    parameters: Tree,
    strengths: Strengths,
    switches: Switches = PLAIN,
    epoch: Scalar | int = 0,
) -> Scalar:
    """Return the mean loss over the records of weight 1, and the penalty."""
    losses = record_losses(logits, targets, strengths, switches)
    mean = (losses * weights).sum() / weights.sum()
    if switches.relaxloss:
        flattened = (_flattened(logits, targets) * weights).sum() / weights.sum() - mean
        below = jnp.where(epoch % 2 == 0, -mean, flattened)
        mean = jnp.where(mean > strengths.relaxloss, mean, below)
    return mean + strengths.l2 * sum_of_squares(parameters)


def _flattened(logits: Float[Array, "B C"], targets: Float[Array, "B C"]) -> Float[Array, "B"]:
    """Return the posterior flattening of RelaxLoss (Chen, Yu, Fritz 2022), for records that are classified wrongly.

    That is the cross-entropy to the model's own confidence in the true class with the rest spread evenly over the
    others. Where the mean loss is below its target, RelaxLoss ascends in even epochs; in odd ones it ascends with
    this added, so that wrong classes stay apart from the true one.
    """
    truth = (jax.nn.softmax(logits) * targets).sum(axis=-1, keepdims=True)
    even = jax.lax.stop_gradient(targets * truth + (1 - targets) * (1 - truth) / (logits.shape[-1] - 1))
    is_wrong = logits.argmax(axis=-1) != targets.argmax(axis=-1)
    return is_wrong * cross_entropy(logits, even)
