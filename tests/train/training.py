"""What several tests of training share: hooks outside of a training."""

import jax.numpy as jnp

from mia.train.defences import Step
from mia.train.hooks import Defences, Hooks, Strengths


def hooks_of(options, weights=None, **step):
    """Return the hooks of some options as a step would call them; a step's fields can be given."""
    given = {"weights": jnp.asarray(weights) if weights is not None else None, "epoch": 0} | step
    return Hooks(Defences.of(options), Strengths.of(options), Step(**given))
