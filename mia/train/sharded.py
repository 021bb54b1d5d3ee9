"""The compiled code over the model axis: models sharded over devices, and batches of them inside a device.

A group is as many models as all devices hold at once. On a device `width` models train side by side: one on a CPU,
whose caches hold no more, as many as memory holds elsewhere; were there more on it, they would train after one another.
Nothing here waits for the host.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from mia.models.networks.convolution import convolutions
from mia.train.devices import MODELS, PIECES, jit
from mia.train.one import train_steps
from mia.train.options import EngineOptions
from mia.train.state import Model, Plan, Records, State, initial_state

SHARED, SHARDED = PartitionSpec(), PartitionSpec(MODELS)
WIDEST = 256  # models side by side; by then a GPU is busy
SHARE = 0.85  # of a device's memory that may be planned for
OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # how XLA's message begins


def _initialise(plan: Plan, on: Mesh, models: Model) -> State:
    """Return the untrained models of a group."""

    def local(models: Model) -> State:
        return jax.lax.map(partial(initial_state, plan), models)

    return jax.shard_map(local, mesh=on, in_specs=SHARDED, out_specs=SHARDED, check_vma=False)(models)


initialise = jit(_initialise, static_argnums=(0, 1))


def advance(
    plan: Plan,
    on: Mesh,
    width: int,
    records: Records,
    models: Model,
    state: State,
    start: np.int32,
    stop: Int[np.ndarray, "G"],
) -> tuple[State, Float[Array, "M R 4"]]:
    """Take the steps [start, stop) in every model of a group; `stop` has one entry per `width` models.

    Returns:
        The new state, and the rows of the learning curves (see `train_steps`).
    """
    return _program(plan.vectors)(plan, on, width, records, models, state, start, stop)


@cache
def _program(vectors: int) -> Any:
    """Return `_advance` compiled for vectors of so many bits: the same numbers."""
    options = PIECES | {"xla_cpu_prefer_vector_width": vectors}
    return jax.jit(_advance, static_argnums=(0, 1, 2), donate_argnums=5, compiler_options=options)


def _advance(
    plan: Plan, on: Mesh, width: int, records: Records, models: Model, state: State, start: Array, stop: Array
) -> tuple[State, Array]:

    def local(records: Records, models: Model, state: State, start: Array, stop: Array) -> tuple[State, Array]:
        def side_by_side(arguments: tuple[Model, State, Array]) -> tuple[State, Array]:
            models, state, stop = arguments
            if width > 1:
                train = jax.vmap(partial(train_steps, plan, records), in_axes=(0, 0, None, None))
                return train(models, state, start, stop)
            model, own_state = jax.tree.map(lambda leaf: leaf[0], (models, state))
            return jax.tree.map(lambda leaf: leaf[None], train_steps(plan, records, model, own_state, start, stop))

        batches = jax.tree.map(lambda leaf: leaf.reshape(len(leaf) // width, width, *leaf.shape[1:]), (models, state))
        result = jax.lax.map(side_by_side, (*batches, stop))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), result)

    specs = (SHARED, SHARDED, SHARDED, SHARED, SHARDED)
    mapped = jax.shard_map(local, mesh=on, in_specs=specs, out_specs=SHARDED, check_vma=False)
    with convolutions(plan.convolution):
        return mapped(records, models, state, start, stop)


def bytes_needed(plan: Plan, on: Mesh, width: int, records: Records, model: Model) -> int:
    """Return the memory that one device needs to train `width` models like `model` side by side, data set included."""
    size = width * on.size
    models = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *jnp.shape(leaf)), jnp.result_type(leaf)), model)
    state = jax.eval_shape(partial(_initialise, plan, on), models)  # compiler options bear no nesting
    count = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((on.size,), jnp.int32)
    memory = _program(plan.vectors).lower(plan, on, width, records, models, state, *count).compile().memory_analysis()
    assert memory is not None, "XLA tells what a compiled program needs"
    return memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes


def choose_width(engine: EngineOptions, on: Mesh, num_models: int, bytes_needed: Callable[[int], int]) -> int:
    """Return the number of models that train side by side on a device.

    Args:
        engine: what the user asked for.
        on: the devices.
        num_models: of the whole call.
        bytes_needed: the measured memory for so many models side by side.
    """
    most = -(-num_models // on.size)
    if engine.models_per_batch != "auto":
        return min(int(engine.models_per_batch), most)
    device = on.devices.flat[0]
    if device.platform == "cpu":
        return 1
    limit = (device.memory_stats() or {}).get("bytes_limit")
    width = min(most, WIDEST)
    return largest_fitting(width, bytes_needed, int(limit * SHARE)) if limit else min(width, 8)


def largest_fitting(width: int, bytes_needed: Callable[[int], int], limit: int) -> int:
    """Return a number of models up to `width` whose memory stays within `limit`; one model is always tried."""
    while width > 1 and (needed := bytes_needed(width)) > limit:
        width = max(1, min(width - 1, width * limit // needed))
    return width


def is_out_of_memory(error: jax.errors.JaxRuntimeError) -> bool:
    """Whether an error says that a device's memory was full."""
    return OUT_OF_MEMORY in str(error)
