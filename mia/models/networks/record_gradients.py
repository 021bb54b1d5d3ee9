"""Gradients of single records from one backward pass: their norms, and their sum with a weight for each.

A dense layer's gradient of a record is the outer product of what the layer takes and of the gradient of what it gives:
norm and weighted sum come from these two, and it is never formed (the ghost norm of Goodfellow 2015 and of Li et al.
2022). Other layers' gradients are formed for each record, and kept until their weights are known.

A layer hands its work to a probe. Three go through a network, one after another: `Shapes` asks what there is to keep,
`Taps` keeps it, and `Sums` gives the weighted sums to the parameters that they belong to. For float arrays with the
batch in front; records must not influence one another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Layer = Callable[[Array, Any], Array]
T = TypeVar("T")


class Probe(Protocol):
    """Does the work of the layers of a network, in the order of their calls."""

    def dense(self, x: Float[Array, "B I"], kernel: Float[Array, "I O"], bias: Float[Array, "O"]) -> Array:
        """Return x @ kernel + bias."""

    def layer(self, layer: Layer, x: Float[Array, "B *rest"], parameters: Any, of_each: Layer | None) -> Array:
        """Return `layer(x, parameters)`; `of_each` is the same function with parameters for each record, if known."""


Losses = Callable[[Any, Probe], tuple[Float[Array, "B"], T]]
"""(parameters, probe) -> the loss of each record, and anything besides."""


@dataclass(frozen=True)
class OuterProducts:
    """Gradients of a dense layer."""

    x: Float[Array, "B I"]
    grad: Float[Array, "B O"]

    def squares(self) -> Float[Array, "B"]:
        """Return the squared norm for each record, bias included."""
        return (jnp.square(self.x).sum(axis=1) + 1) * jnp.square(self.grad).sum(axis=1)

    def weighted(self, weights: Float[Array, "B"]) -> tuple[Array, Array]:
        """Return the weighted sum of the gradients of kernel and bias."""
        grad = weights[:, None] * self.grad
        return self.x.T @ grad, grad.sum(axis=0)


@dataclass(frozen=True)
class Formed:
    """Gradients of any other layer, with the record in front."""

    gradients: Any

    def squares(self) -> Float[Array, "B"]:
        """Return the squared norm for each record."""
        leaves = jax.tree.leaves(self.gradients)
        return sum((jnp.square(leaf).reshape(len(leaf), -1).sum(axis=1) for leaf in leaves), start=jnp.float32(0))

    def weighted(self, weights: Float[Array, "B"]) -> Any:
        """Return the weighted sum of the gradients."""
        return jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), self.gradients)


class Shapes:
    """Asks for the shapes of what `Taps` adds, layer by layer."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def dense(self, x: Array, kernel: Array, bias: Array) -> Array:
        """See `Probe`."""
        out = x @ kernel + bias
        self.found.append(jax.ShapeDtypeStruct(out.shape, out.dtype))
        return out

    def layer(self, layer: Layer, x: Array, parameters: Any, of_each: Layer | None) -> Array:
        """See `Probe`."""
        del of_each
        self.found.append(
            jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((len(x), *leaf.shape), leaf.dtype), parameters)
        )
        return layer(x, parameters)


class Taps:
    """Adds zeros where gradients are wanted: their gradients are what each record has for itself."""

    def __init__(self, zeros: list[Any]) -> None:
        self._zeros = iter(zeros)
        self.inputs: list[Array | None] = []  # of dense layers

    def dense(self, x: Array, kernel: Array, bias: Array) -> Array:
        """See `Probe`."""
        self.inputs.append(x)
        return x @ kernel + bias + next(self._zeros)

    def layer(self, layer: Layer, x: Array, parameters: Any, of_each: Layer | None) -> Array:
        """See `Probe`."""
        self.inputs.append(None)
        own = jax.tree.map(jnp.add, parameters, next(self._zeros))
        return (of_each or jax.vmap(lambda x, own: layer(x[None], own)[0]))(x, own)


class Sums:
    """Adds up a number whose gradients in the parameters are given; layers find theirs by the order of calls."""

    def __init__(self, gradients: list[Any]) -> None:
        self._gradients = iter(gradients)
        self.total = jnp.float32(0)

    def dense(self, x: Array, kernel: Array, bias: Array) -> Array:
        """See `Probe`."""
        return self.layer(lambda x, given: x @ given[0] + given[1], x, (kernel, bias), None)

    def layer(self, layer: Layer, x: Array, parameters: Any, of_each: Layer | None) -> Array:
        """See `Probe`."""
        del of_each
        products = jax.tree.map(jnp.vdot, next(self._gradients), parameters)
        self.total = self.total + sum(jax.tree.leaves(products))
        return jax.lax.stop_gradient(layer(x, parameters))


def shapes_of(losses: Losses[T], parameters: Any) -> list[Any]:
    """Return the shapes of what is kept for each layer."""
    shapes = Shapes()
    jax.eval_shape(lambda parameters: losses(parameters, shapes), parameters)
    return shapes.found


def weighted_gradient(
    losses: Losses[T], parameters: Any, weights: Float[Array, "B"], share: Callable[[Float[Array, "B"]], Array]
) -> tuple[Any, T]:
    """Return the sum of the records' gradients, each weighted by what its norm leaves of it, and what `losses` adds.

    Args:
        losses: All layers with parameters must heed the probe.
        parameters: Of the model.
        weights: 0 for padding, 1 for real records.
        share: (squared norms over all parameters) -> what is left of each record's gradient.
    """
    layers, besides = _gradients_by_layer(losses, parameters, weights)
    kept = weights * share(_add_squares(layers, weights))

    def total(parameters: Any) -> Array:
        sums = Sums([layer.weighted(kept) for layer in layers])
        losses(parameters, sums)
        return sums.total

    return jax.grad(total)(parameters), besides


def squared_norms(losses: Losses[T], parameters: Any) -> Float[Array, "B"]:
    """Return the squared norm of each record's gradient over all parameters; all layers must heed the probe."""
    count = jax.eval_shape(lambda parameters: losses(parameters, Shapes())[0], parameters).shape
    weights = jnp.ones(count, jnp.float32)
    layers, _ = _gradients_by_layer(losses, parameters, weights)
    return _add_squares(layers, weights)


def _gradients_by_layer(
    losses: Losses[T], parameters: Any, weights: Float[Array, "B"]
) -> tuple[list[OuterProducts | Formed], T]:
    """Return what each layer's gradients of single records are made of, times the records' weights; and the rest."""

    def tapped(zeros: list[Any]) -> tuple[Array, tuple[T, list[Array | None]]]:
        taps = Taps(zeros)
        values, besides = losses(parameters, taps)
        return values, (besides, taps.inputs)

    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes_of(losses, parameters))
    _, pull, (besides, inputs) = jax.vjp(tapped, zeros, has_aux=True)
    (grads,) = pull(weights)
    return [
        Formed(grad) if x is None else OuterProducts(x, grad) for x, grad in zip(inputs, grads, strict=True)
    ], besides


def _add_squares(layers: list[OuterProducts | Formed], like: Float[Array, "B"]) -> Float[Array, "B"]:
    return sum((layer.squares() for layer in layers), start=jnp.zeros_like(like))
