"""A defence in training of another package: the focal loss (Lin et al. 2017)."""

from mia.train.defences import Number, Strength, TrainDefence, train_defence


@train_defence("focal", options=Number())
class Focal(TrainDefence):
    """`train.focal` is gamma: the higher, the less a record counts that is well answered."""

    strength = Strength("focal loss", symbol="gamma =")

    def record_losses(self, step, losses, logits):
        import jax.numpy as jnp

        return losses * (1 - jnp.exp(-losses)) ** step.given
