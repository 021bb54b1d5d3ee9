"""Layers that also tell how large each record's own gradient is, without keeping those gradients.

Each takes a probe, a vector of one number per record that changes nothing in the forward pass; what comes back for it
in the backward pass is the square of the norm of that record's gradient in the layer's parameters. One probe passed
through all layers so collects the square of the norm over all parameters (the ghost norm of Goodfellow 2015 and of
Li et al. 2022). For float arrays with the batch in front.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Layer = Callable[[Array, Any], Array]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def probed(layer: Layer, x: Float[Array, "B *rest"], parameters: Any, probe: Float[Array, "B"]) -> Array:
    """Return `layer(x, parameters)`; records must not influence one another in it."""
    del probe
    return layer(x, parameters)


def _forward(layer: Layer, x: Array, parameters: Any, probe: Array) -> tuple[Array, tuple[Array, Any]]:
    return probed(layer, x, parameters, probe), (x, parameters)


def _backward(layer: Layer, saved: tuple[Array, Any], grad: Array) -> tuple[Array, Any, Array]:
    x, parameters = saved
    _, pull = jax.vjp(layer, x, parameters)

    def square(x: Array, grad: Array) -> Array:
        _, pull_one = jax.vjp(lambda parameters: layer(x[None], parameters), parameters)
        return sum((jnp.square(leaf).sum() for leaf in jax.tree.leaves(pull_one(grad[None]))), start=jnp.float32(0))

    return (*pull(grad), jax.vmap(square)(x, grad))


probed.defvjp(_forward, _backward)


@jax.custom_vjp
def probed_dense(
    x: Float[Array, "B I"], kernel: Float[Array, "I O"], bias: Float[Array, "O"], probe: Float[Array, "B"]
) -> Float[Array, "B O"]:
    """Return x @ kernel + bias. The squared norm is that of an outer product, (|x|^2 + 1) |grad|^2: cheap."""
    del probe
    return x @ kernel + bias


def _dense_forward(x: Array, kernel: Array, bias: Array, probe: Array) -> tuple[Array, tuple[Array, Array]]:
    return probed_dense(x, kernel, bias, probe), (x, kernel)


def _dense_backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array, Array, Array]:
    x, kernel = saved
    squares = (jnp.square(x).sum(axis=1) + 1) * jnp.square(grad).sum(axis=1)
    return grad @ kernel.T, x.T @ grad, grad.sum(axis=0), squares


probed_dense.defvjp(_dense_forward, _dense_backward)
