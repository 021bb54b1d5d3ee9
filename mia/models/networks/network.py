"""A model as pure functions: parameters and statistics in, logits out. The only place that takes Flax modules apart.

Modules that take no `training` argument are told by Flax's own `train()` and `eval()` whether they train.

Parameters and statistics (running means of batch normalisation; often none) are nested dictionaries of arrays, and on
disk flat ones whose names are paths such as `conv1.kernel`.
"""

import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np
from flax import nnx, traverse_util
from jaxtyping import Array, Float, PRNGKeyArray

from mia.models import check_fits, model_kind
from mia.models.networks.layers import Training

Tree = dict[str, Any]


class Network:
    """A model of one kind for records of one shape. Equal choices give equal networks, so compiled code is shared."""

    def __init__(self, options: Any, shape: tuple[int, ...], num_classes: int) -> None:
        self.options, self.shape, self.num_classes = options, shape, num_classes
        self._identity = (repr(options), shape, num_classes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def tells_norms(self) -> bool:
        """Whether all layers tell the gradients of single records, see `mia.models.networks.record_gradients`."""
        return model_kind(self.options).tells_norms

    @cached_property
    def is_without_statistics(self) -> bool:
        """Whether the model has nothing but parameters."""
        return not jax.tree.leaves(self._abstract[2])

    @cached_property
    def _takes_training(self) -> bool:
        module = type(nnx.eval_shape(lambda: self._build(jax.random.key(0))))
        return "training" in inspect.signature(module.__call__).parameters

    def _build(self, key: PRNGKeyArray) -> nnx.Module:
        check_fits(self.options, self.shape)
        build = model_kind(self.options).build
        return build(self.options, self.shape, self.num_classes, nnx.Rngs(params=key))

    @cached_property
    def _abstract(self) -> tuple[nnx.GraphDef, nnx.State, nnx.State]:
        return _split(nnx.eval_shape(lambda: self._build(jax.random.key(0))))

    def initialise(self, key: PRNGKeyArray) -> tuple[Tree, Tree]:
        """Return fresh parameters and statistics.

        Raises:
            RequestError: the model does not take records of this shape.
        """
        _, parameters, statistics = _split(self._build(key))
        return nnx.to_pure_dict(parameters), nnx.to_pure_dict(statistics)

    def apply(
        self, parameters: Tree, statistics: Tree, x: Float[Array, "B *features"], training: Training | None = None
    ) -> tuple[Float[Array, "B C"], Tree]:
        """Return logits and the new statistics; without `training` the statistics stay as they are."""
        graph, abstract_parameters, abstract_statistics = self._abstract
        model = nnx.merge(graph, _filled(abstract_parameters, parameters), _filled(abstract_statistics, statistics))
        if self._takes_training:
            logits = model(x, training)
        else:
            model.eval() if training is None else model.train()
            logits = model(x)
        return logits, nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.Param)))

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


def _split(model: nnx.Module) -> tuple[nnx.GraphDef, nnx.State, nnx.State]:
    return nnx.split(model, nnx.Param, ...)  # type: ignore[return-value]  # two filters, two states
