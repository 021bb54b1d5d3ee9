"""Early stopping inside compiled code: the best parameters so far, and for how many epochs they have been the best.

The held-out loss decides; the test set is never looked at.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from mia.models.network import Tree


def begin(parameters: Tree, statistics: Tree) -> Tree:
    """Return the state before the first epoch."""
    return {
        "best": {"parameters": parameters, "statistics": statistics},
        "loss": jnp.float32(jnp.inf),
        "waited": jnp.float32(0),
        "row": jnp.full(4, jnp.nan, jnp.float32),
    }


def after_epoch(
    stopping: Tree, parameters: Tree, statistics: Tree, loss: Scalar, row: Float[Array, "4"], patience: Scalar
) -> Tree:
    """Return the state after an epoch with this held-out loss; once training has stopped, nothing changes any more."""
    is_over = has_stopped(stopping, patience)
    is_better = (loss < stopping["loss"]) & ~is_over
    now = {"parameters": parameters, "statistics": statistics}
    return {
        "best": jax.tree.map(lambda new, old: jnp.where(is_better, new, old), now, stopping["best"]),
        "loss": jnp.where(is_better, loss, stopping["loss"]),
        "waited": jnp.where(is_over, stopping["waited"], jnp.where(is_better, 0, stopping["waited"] + 1)),
        "row": jnp.where(is_over, stopping["row"], row),
    }


def has_stopped(stopping: Tree, patience: Scalar) -> Bool[Array, ""]:
    """Whether training is over."""
    return stopping["waited"] >= patience
