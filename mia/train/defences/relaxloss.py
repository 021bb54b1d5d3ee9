"""RelaxLoss (Chen, Yu, Fritz 2022): training keeps to a mean loss above zero, where members look like others."""

from typing import Any

from mia.train.defences import Batch, Number, Step, Strength, TrainDefence, train_defence


@train_defence("relaxloss", options=Number())
class RelaxLoss(TrainDefence):
    """`train.relaxloss` is alpha, the mean loss that training keeps to."""

    strength = Strength("RelaxLoss")
    rank = 70

    def mean_loss(self, step: Step, loss: Any, logits: Any, batch: Batch) -> Any:
        """Return the loss where it is above alpha; below, one that ascends.

        In even epochs it ascends as it is, in odd ones with posterior flattening added, so that wrong classes stay
        apart from the true one.
        """
        import jax.numpy as jnp

        weights: Any = step.weights
        flattened = (flattening(logits, batch.targets) * weights).sum() / weights.sum() - loss
        below = jnp.where(step.epoch % 2 == 0, -loss, flattened)
        return jnp.where(loss > step.given, loss, below)


def flattening(logits: Any, targets: Any) -> Any:
    """Return, for records [B] that are classified wrongly, the cross-entropy to the flattened posterior; else 0.

    That is the model's own confidence in the true class, with the rest spread evenly over the others.
    """
    import jax

    from mia.train.loss import cross_entropy

    truth = (jax.nn.softmax(logits) * targets).sum(axis=-1, keepdims=True)
    even = jax.lax.stop_gradient(targets * truth + (1 - targets) * (1 - truth) / (logits.shape[-1] - 1))
    is_wrong = logits.argmax(axis=-1) != targets.argmax(axis=-1)
    return is_wrong * cross_entropy(logits, even)
