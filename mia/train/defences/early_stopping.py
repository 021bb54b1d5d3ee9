"""Early stopping: training ends when the loss on a held-out part no longer falls, and the best epoch is kept.

The held-out records are the owner's own: they are members, though no gradient is taken of them. The test set is never
looked at.
"""

from dataclasses import dataclass
from typing import Any

from mia.checks import at_least, fraction
from mia.train.defences import Step, Strength, TrainDefence, train_defence


@dataclass
class EarlyStoppingOptions:
    """Stops when the loss on a held-out part of the training records no longer falls; the best epoch is kept."""

    holdout: float = 0.0  # share of the training records held out; 0: no early stopping
    patience: int = 5  # epochs without a better loss after which training stops

    def __post_init__(self) -> None:
        fraction("train.early_stopping.holdout", self.holdout, below_one=True)
        at_least("train.early_stopping.patience", self.patience, 1)


@train_defence("early_stopping", options=EarlyStoppingOptions)
class EarlyStopping(TrainDefence):
    """Its state: the best parameters so far, their held-out loss, and for how many epochs they have been the best."""

    strength = Strength("early stopping", "holdout")
    rank = 80
    traced = ("patience",)
    share = "holdout"

    def begin(self, step: Step, num_classes: int) -> Any:
        """Return the state before the first epoch."""
        import jax.numpy as jnp

        return {
            "best": {"parameters": step.parameters, "statistics": step.statistics},
            "loss": jnp.float32(jnp.inf),
            "waited": jnp.float32(0),
            "row": jnp.full(4, jnp.nan, jnp.float32),
        }

    def after_epoch(self, step: Step, row: Any) -> tuple[Any, Any]:
        """Return the state after an epoch; once training has stopped, nothing changes any more."""
        import jax
        import jax.numpy as jnp

        assert step.evaluate is not None, "the end of an epoch can evaluate"
        state: Any = step.state
        loss, _ = step.evaluate(step.part)
        is_over = self.is_over(step)
        is_better = (loss < state["loss"]) & ~is_over
        now = {"parameters": step.parameters, "statistics": step.statistics}
        after = {
            "best": jax.tree.map(lambda new, old: jnp.where(is_better, new, old), now, state["best"]),
            "loss": jnp.where(is_better, loss, state["loss"]),
            "waited": jnp.where(is_over, state["waited"], jnp.where(is_better, 0, state["waited"] + 1)),
            "row": jnp.where(is_over, state["row"], row),
        }
        return after, after["row"]

    def is_over(self, step: Step) -> Any:
        """Return whether the best epoch lies as far back as patience reaches."""
        return step.state["waited"] >= step.given.patience

    def result(self, state: Any, parameters: Any, statistics: Any) -> tuple[Any, Any]:
        """Return the best epoch's."""
        return state["best"]["parameters"], state["best"]["statistics"]
