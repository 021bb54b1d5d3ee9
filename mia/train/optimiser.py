"""The optimiser: Adam with inverse-time decay of the learning rate and decoupled weight decay, all traced."""

import jax
import optax
from jaxtyping import Scalar

from mia.train.loss import Strengths


def optimiser(strengths: Strengths) -> optax.GradientTransformation:
    """Return Adam for one model: step t moves by learning_rate / (1 + learning_rate_decay * t)."""

    def rate(count: Scalar) -> jax.Array:
        return strengths.learning_rate / (1 + strengths.learning_rate_decay * count)

    return optax.chain(
        optax.scale_by_adam(eps=strengths.epsilon),
        optax.add_decayed_weights(strengths.weight_decay),
        optax.scale_by_learning_rate(rate),
    )
