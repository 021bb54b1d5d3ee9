"""Logits of trained models, in evaluation mode.

A record's logits never depend on what else is asked: records go through the model in chunks of one fixed size, the
last one padded. Never trains, never writes files.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Float, Int, Shaped

from mia.models.networks.network import Network, Tree
from mia.train.devices import MODELS, jit, mesh

CHUNK = 128  # records that go through the model at once
CHUNKS_PER_CALL = (1, 8, 32)  # sizes that are compiled: the smallest that holds all, or the largest again and again

Predictor = Callable[..., Float[np.ndarray, "B C"]]
"""`(x, chosen=None)`: records as they lie in the data set, or those at some positions of it -> logits of one model."""


def predict(
    model: Any,
    parameters: Mapping[str, np.ndarray],
    x: Shaped[np.ndarray, "B *features"],
    scale: float,
    num_classes: int,
) -> Float[np.ndarray, "B C"]:
    """Return the logits of one model on `x`, its records as they lie in the data set."""
    return make_predictor(model, parameters, x.shape[1:], scale, num_classes)(x)


def make_predictor(
    model: Any, parameters: Mapping[str, np.ndarray], shape: tuple[int, ...], scale: float, num_classes: int
) -> Predictor:
    """Return a function that gives the logits of one model, again and again, for records of one shape."""
    on = mesh()
    network = Network(model, shape, num_classes)
    weights = jax.device_put(network.from_flat(parameters), jax.sharding.NamedSharding(on, PartitionSpec()))
    sizes = [CHUNK * chunks * on.size for chunks in CHUNKS_PER_CALL]

    def answer(
        x: Shaped[np.ndarray, "_ *features"], chosen: Int[np.ndarray, "B"] | None = None
    ) -> Float[np.ndarray, "B C"]:
        count = len(x if chosen is None else chosen)
        rows = next((size for size in sizes if count <= size), sizes[-1])
        logits = np.empty((count, num_classes), np.float32)
        pending = []
        for first in range(0, count, rows):
            part = x[first : first + rows] if chosen is None else x[chosen[first : first + rows]]
            padded = np.zeros((rows, *part.shape[1:]), part.dtype)
            padded[: len(part)] = part
            pending.append((first, len(part), _logits(network, on, scale, weights, padded)))
            if len(pending) > 2:
                _collect(logits, *pending.pop(0))
        for item in pending:
            _collect(logits, *item)
        return logits

    return answer


def _collect(logits: np.ndarray, first: int, count: int, result: jax.Array) -> None:
    logits[first : first + count] = np.asarray(result)[:count]


@partial(jit, static_argnums=(0, 1, 2))
def _logits(network: Network, on: Mesh, scale: float, weights: tuple[Tree, Tree], x: jax.Array) -> jax.Array:
    def chunk(weights: tuple[Tree, Tree], x: jax.Array) -> jax.Array:
        return network.apply(*weights, x.astype(jnp.float32) * jnp.float32(scale))[0]

    def local(weights: tuple[Tree, Tree], x: jax.Array) -> jax.Array:
        chunks = x.reshape(-1, CHUNK, *x.shape[1:])
        return jax.lax.map(partial(chunk, weights), chunks).reshape(len(x), -1)

    specs = (PartitionSpec(), PartitionSpec(MODELS))
    return jax.shard_map(local, mesh=on, in_specs=specs, out_specs=PartitionSpec(MODELS), check_vma=False)(weights, x)
