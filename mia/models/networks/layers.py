"""Dense layers and dropout as the models here use them: Glorot uniform kernels, zero biases, a traced dropout rate.

Takes and gives arrays with the batch in front. Never draws randomness of its own: keys are arguments.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, Scalar

from mia.models.networks.record_gradients import Layer, Probe

glorot_uniform = nnx.initializers.glorot_uniform()


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Training:
    """What a model needs to know while it trains; without it a model is in evaluation mode."""

    key: PRNGKeyArray  # of this step
    dropout: Scalar | np.float32  # the share that is dropped; a NumPy number is known when code is compiled
    weights: Float[Array, "B"]  # 0 for the padding of a short batch, 1 for real records
    part: Scalar | None = None  # which part of a batch this is, where a step takes it in parts
    num_parts: int = field(default=1, metadata={"static": True})
    probe: Probe | None = field(default=None, metadata={"static": True})  # asks for the gradients of single records


def with_probe(
    layer: Layer, x: Array, parameters: Any, training: Training | None, of_each: Layer | None = None
) -> Array:
    """Return `layer(x, parameters)`, with the gradients of single records if they are asked for.

    Args:
        layer: Records must not influence one another in it.
        x: The batch in front.
        parameters: Of the layer.
        training: What the model was given.
        of_each: The same with parameters for each record, where there is a faster way than `jax.vmap`.
    """
    if training is None or training.probe is None:
        return layer(x, parameters)
    return training.probe.layer(layer, x, parameters, of_each)


class Dense(nnx.Module):
    """x @ kernel + bias."""

    def __init__(self, num_inputs: int, num_outputs: int, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(glorot_uniform(rngs.params(), (num_inputs, num_outputs), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(num_outputs, jnp.float32))

    def __call__(self, x: Float[Array, "B inputs"], training: Training | None = None) -> Float[Array, "B outputs"]:
        """Return the layer's outputs."""
        if training is not None and training.probe is not None:
            return training.probe.dense(x, self.kernel[...], self.bias[...])
        return x @ self.kernel[...] + self.bias[...]


def dropout(x: Float[Array, "B *rest"], training: Training | None, layer: int) -> Float[Array, "B *rest"]:
    """Drop a share of `x` and scale up the rest; `layer` tells the draws of one step apart.

    The rate is traced, or a NumPy number if code is compiled for it alone. At rate zero nothing is drawn and `x` is
    returned bit by bit.
    """
    if training is None or (isinstance(training.dropout, np.generic) and training.dropout == 0):
        return x
    rate = training.dropout

    def draw() -> Array:
        key, whole = jax.random.fold_in(training.key, layer), (training.num_parts * len(x), *x.shape[1:])
        kept = jax.random.bernoulli(key, 1 - rate, whole)
        if training.part is not None:  # its share of what the whole batch draws
            kept = jax.lax.dynamic_slice_in_dim(kept, training.part * len(x), len(x))
        return kept / (1 - rate)

    return x * jax.lax.cond(rate > 0, draw, lambda: jnp.ones_like(x))
