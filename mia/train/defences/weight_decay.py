"""Decoupled weight decay (AdamW, Loshchilov and Hutter 2019): parameters shrink beside the optimiser."""

from typing import Any

from mia.train.defences import Number, Step, Strength, TrainDefence, train_defence


@train_defence("weight_decay", options=Number())
class WeightDecay(TrainDefence):
    """Parameters shrink by learning rate * `train.weight_decay` in each step."""

    strength = Strength("weight decay")
    rank = 20
    is_always_compiled = True

    def updates(self, step: Step, updates: Any) -> Any:
        """Return the updates and their share of the parameters."""
        import jax

        return jax.tree.map(lambda update, parameter: update + step.given * parameter, updates, step.parameters)
