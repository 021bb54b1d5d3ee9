"""Mixup (Zhang et al. 2018): the records of a batch are mixed in pairs, features and targets alike."""

from typing import Any

from mia.train.defences import Batch, Number, Step, Strength, TrainDefence, train_defence


@train_defence("mixup", options=Number())
class Mixup(TrainDefence):
    """`train.mixup` is alpha: the share comes from Beta(alpha, alpha), one for a batch."""

    strength = Strength("mixup")
    rank = 60
    purpose = 4
    excludes = ("relaxloss",)

    def batch(self, step: Step, batch: Batch) -> Batch:
        """Return each record mixed with the next real one.

        The order is random, so that the next record is as good as any other. Labels stay those of the larger share.
        """
        import jax
        import jax.numpy as jnp

        weights: Any = step.weights
        share = jax.random.beta(step.key, step.given, step.given)
        share = jnp.maximum(share, 1 - share)
        partner = (jnp.arange(len(weights)) + 1) % weights.sum().astype(jnp.int32)
        return Batch(
            share * batch.x + (1 - share) * batch.x[partner],
            batch.labels,
            share * batch.targets + (1 - share) * batch.targets[partner],
        )
