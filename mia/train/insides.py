"""What a trained model is like inside: its last layer, and how strongly each record pulls at its parameters.

Takes the parameters of one model and records as they lie in the data set; gives NumPy arrays. In evaluation mode; never
trains. Records go through the model in chunks of one fixed size, the last one padded, so that none depends on others.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from mia.checks import RequestError
from mia.models import tells_insides
from mia.models.networks.layers import Training
from mia.models.networks.network import Network, Tree
from mia.models.networks.record_gradients import Layer, squared_norms
from mia.records import LastLayer
from mia.train.devices import jit
from mia.train.loss import cross_entropy

CHUNK = 128  # records that go through the model at once

Records = Shaped[np.ndarray, "B *features"]


def last_layer(
    model: Any, parameters: Mapping[str, np.ndarray], x: Records, scale: float, num_classes: int
) -> LastLayer:
    """Return the last dense layer of a model, and what it takes of the records.

    Raises:
        RequestError: the model's kind cannot be looked into, or it ends in no dense layer.
    """
    network, weights = _load(model, parameters, x.shape[1:], num_classes)
    inputs = _by_chunk(lambda x: _last(network, scale, weights, x)[0], x)
    _, kernel, bias = _last(network, scale, weights, np.zeros((CHUNK, *x.shape[1:]), x.dtype))
    return LastLayer(inputs, np.asarray(kernel), np.asarray(bias))


def gradient_norms(
    model: Any,
    parameters: Mapping[str, np.ndarray],
    x: Records,
    labels: Int[np.ndarray, "B"],
    scale: float,
    num_classes: int,
) -> Float[np.ndarray, "B"]:
    """Return the norm, over all parameters, of the gradient of each record's cross-entropy; penalties do not count.

    Raises:
        RequestError: the model's kind cannot be looked into.
    """
    network, weights = _load(model, parameters, x.shape[1:], num_classes)
    return _by_chunk(lambda x, labels: _norms(network, scale, weights, x, labels), x, labels.astype(np.int32))


def _load(
    model: Any, parameters: Mapping[str, np.ndarray], shape: tuple[int, ...], num_classes: int
) -> tuple[Network, tuple[Tree, Tree]]:
    if not tells_insides(model):
        raise RequestError(f"model={model.name} cannot be looked into: its records mix, or its layers heed no probe")
    network = Network(model, shape, num_classes)
    return network, jax.device_put(network.from_flat(parameters))


def _by_chunk(work: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """Return what `work` gives for each chunk of the arrays, whose last one is padded with zeros."""
    found, count = [], len(arrays[0])
    for first in range(0, count, CHUNK):
        parts = [array[first : first + CHUNK] for array in arrays]
        padded = [np.concatenate([part, np.zeros((CHUNK - len(part), *part.shape[1:]), part.dtype)]) for part in parts]
        found.append(np.asarray(work(*padded))[: len(parts[0])])
    return np.concatenate(found)


class _Watch:
    """A probe that remembers the last dense layer of a network: what it takes, its kernel and its bias."""

    def __init__(self) -> None:
        self.last: tuple[Array, Array, Array] | None = None

    def dense(self, x: Array, kernel: Array, bias: Array) -> Array:
        """See `Probe`."""
        self.last = x, kernel, bias
        return x @ kernel + bias

    def layer(self, layer: Layer, x: Array, parameters: Any, of_each: Layer | None) -> Array:
        """See `Probe`."""
        del of_each
        return layer(x, parameters)


def _asking(probe: Any, count: int) -> Training:
    """Return what makes a network go through a probe and otherwise answer as in evaluation mode: nothing is dropped."""
    return Training(jax.random.key(0), jnp.float32(0), jnp.ones(count, jnp.float32), probe=probe)


@partial(jit, static_argnums=(0, 1))
def _last(network: Network, scale: float, weights: tuple[Tree, Tree], x: Array) -> tuple[Array, Array, Array]:
    watch = _Watch()
    logits, _ = network.apply(*weights, x.astype(jnp.float32) * jnp.float32(scale), _asking(watch, len(x)))
    if watch.last is None or watch.last[1].shape[1] != logits.shape[1]:
        raise RequestError(f"model={network.options.name} ends in no dense layer")
    return watch.last


@partial(jit, static_argnums=(0, 1))
def _norms(network: Network, scale: float, weights: tuple[Tree, Tree], x: Array, labels: Array) -> Array:
    parameters, statistics = weights
    x = x.astype(jnp.float32) * jnp.float32(scale)

    def losses(parameters: Tree, probe: Any) -> tuple[Float[Array, "B"], None]:
        logits, _ = network.apply(parameters, statistics, x, _asking(probe, len(x)))
        return cross_entropy(logits, jax.nn.one_hot(labels, logits.shape[-1])), None

    return jnp.sqrt(squared_norms(losses, parameters))
