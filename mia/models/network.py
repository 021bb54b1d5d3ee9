"""A model as pure functions: parameters and statistics in, logits out. The only place that takes Flax modules apart.

Parameters and statistics (running means of batch normalisation; often none) are nested dictionaries of arrays, and on
disk flat ones whose names are paths such as `conv1.kernel`.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np
from flax import nnx, traverse_util
from jaxtyping import Array, Float, PRNGKeyArray

from mia.models.build import build
from mia.models.layers import Training
from mia.models.options import ModelOptions

Tree = dict[str, Any]


class Network:
    """A model of one kind for records of one shape. Equal choices give equal networks, so compiled code is shared."""

    def __init__(self, options: ModelOptions, shape: tuple[int, ...], num_classes: int) -> None:
        self.options, self.shape, self.num_classes = options, shape, num_classes
        self._identity = (repr(options), shape, num_classes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def _fresh(self, key: PRNGKeyArray) -> tuple[nnx.GraphDef, nnx.State, nnx.State]:
        model = build(self.options, self.shape, self.num_classes, key)
        return nnx.split(model, nnx.Param, ...)  # type: ignore[return-value]  # two filters, two states

    @cached_property
    def _abstract(self) -> tuple[nnx.GraphDef, nnx.State, nnx.State]:
        model = nnx.eval_shape(lambda: build(self.options, self.shape, self.num_classes, jax.random.key(0)))
        return nnx.split(model, nnx.Param, ...)  # type: ignore[return-value]  # two filters, two states

    def initialise(self, key: PRNGKeyArray) -> tuple[Tree, Tree]:
        """Return fresh parameters and statistics."""
        _, parameters, statistics = self._fresh(key)
        return nnx.to_pure_dict(parameters), nnx.to_pure_dict(statistics)

    def apply(
        self, parameters: Tree, statistics: Tree, x: Float[Array, "B *features"], training: Training | None = None
    ) -> tuple[Float[Array, "B C"], Tree]:
        """Return logits and the new statistics; without `training` the statistics stay as they are."""
        graph, abstract_parameters, abstract_statistics = self._abstract
        model = nnx.merge(graph, _filled(abstract_parameters, parameters), _filled(abstract_statistics, statistics))
        logits = model(x, training)
        return logits, nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.Param)))

    def parameter_count(self) -> int:
        """Return the number of trained values."""
        return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(self._abstract[1]))

    def from_flat(self, flat: Mapping[str, np.ndarray]) -> tuple[Tree, Tree]:
        """Return parameters and statistics from their flat form."""
        parts = []
        for abstract in self._abstract[1:]:
            paths = traverse_util.flatten_dict(nnx.to_pure_dict(abstract))
            parts.append(traverse_util.unflatten_dict({path: flat[_name(path)] for path in paths}))
        return parts[0], parts[1]


def to_flat(parameters: Tree, statistics: Tree) -> dict[str, np.ndarray]:
    """Return one flat dictionary, path -> array."""
    both = {**traverse_util.flatten_dict(parameters), **traverse_util.flatten_dict(statistics)}
    return {_name(path): np.asarray(value) for path, value in both.items()}


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in path)


def _filled(abstract: nnx.State, values: Tree) -> nnx.State:
    state = jax.tree.map(lambda leaf: leaf, abstract)
    nnx.replace_by_pure_dict(state, values)
    return state
