"""Models shown while they train: their losses after an epoch, what they would be if it were the last, and how to go on.

Takes the state of a group on its devices; gives host arrays. Showing a model changes nothing of its training.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from mia.models.networks.network import Tree
from mia.train.devices import MODELS, jit
from mia.train.loss import cross_entropy
from mia.train.state import Model, Plan, Records, State, features, initial_state

if TYPE_CHECKING:
    from mia.train.group import Trained

CHUNK = 128  # records that a model is asked about at once


@dataclass(frozen=True)
class Shown:
    """One model at the end of an epoch."""

    position: int  # along the model axis of the call
    epoch: int  # that it has behind it
    losses: Callable[[Int[np.ndarray, "n"]], Float[np.ndarray, "n"]]
    """Cross-entropy of records of the data set, float32, as the model in training answers them."""
    finished: "Callable[[], Trained]"  # the model as if training ended here
    state: Callable[[], dict[str, np.ndarray]]  # all that going on from here takes


@dataclass(frozen=True)
class Watch:
    """Who is shown models, and after which epochs."""

    epochs: Callable[[int], Collection[int]]  # position -> epochs, counted from 1
    show: Callable[[Shown], None]

    def stops(self, positions: Iterable[int]) -> frozenset[int]:
        """Return the epochs after which some of these models are shown."""
        return frozenset(epoch for position in positions for epoch in self.epochs(position))


@dataclass(frozen=True)
class Start:
    """Where a training goes on that was left."""

    epoch: int  # that it has behind it
    state: Mapping[str, np.ndarray]  # as `Shown.state` gave it


def losses(
    plan: Plan, on: Mesh, records: Records, state: State, which: int, index: Int[np.ndarray, "n"]
) -> Float[np.ndarray, "n"]:
    """Return the loss of each chosen record under one model of a group, in evaluation mode."""
    rows = -(-len(index) // (CHUNK * on.size)) * CHUNK * on.size
    padded = np.zeros(rows, np.int32)
    padded[: len(index)] = index
    found = _losses(plan, on, records, (state.parameters, state.statistics), np.int32(which), padded)
    return np.asarray(found)[: len(index)]


@partial(jit, static_argnums=(0, 1))
def _losses(
    plan: Plan, on: Mesh, records: Records, models: tuple[Tree, Tree], which: Int[Array, ""], index: Int[Array, "n"]
) -> Float[Array, "n"]:
    def chunk(weights: tuple[Tree, Tree], records: Records, index: Int[Array, "c"]) -> Float[Array, "c"]:
        logits, _ = plan.network.apply(*weights, features(plan, records, index))
        return cross_entropy(logits, jax.nn.one_hot(records.y[index], plan.network.num_classes))

    def local(weights: tuple[Tree, Tree], records: Records, index: Int[Array, "n"]) -> Float[Array, "n"]:
        return jax.lax.map(partial(chunk, weights, records), index.reshape(-1, CHUNK)).reshape(-1)

    weights = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, which, keepdims=False), models)
    specs = (PartitionSpec(), PartitionSpec(), PartitionSpec(MODELS))
    mapped = jax.shard_map(local, mesh=on, in_specs=specs, out_specs=PartitionSpec(MODELS), check_vma=False)
    return mapped(weights, records, index)


def to_arrays(state: State, which: int) -> dict[str, np.ndarray]:
    """Return the state of one model of a group, by path."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path): np.array(leaf[which]) for path, leaf in leaves}


def from_arrays(plan: Plan, on: Mesh, models: Model, states: Iterable[Mapping[str, np.ndarray]]) -> State:
    """Return the state of a group on its devices.

    Args:
        plan: What is compiled.
        on: The devices.
        models: The group's models, on the host.
        states: One for each of them, in their order.
    """
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf)[1:], jnp.result_type(leaf)), models)
    shapes = jax.eval_shape(partial(initial_state, plan), one)
    paths, tree = jax.tree_util.tree_flatten_with_path(shapes)
    known = list(states)
    leaves = [np.stack([state[jax.tree_util.keystr(path)] for state in known]) for path, _ in paths]
    return jax.device_put(jax.tree_util.tree_unflatten(tree, leaves), NamedSharding(on, PartitionSpec(MODELS)))
