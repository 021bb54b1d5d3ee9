"""The training of one model, as a pure function of the steps [start, stop): the same for target and shadows.

Takes the data set on the device, the model's records and key, and a state; gives the new state and the rows of the
learning curve of every epoch that ended. Batches are gathered by index. Runs inside compiled code only: it never waits
for the host, and failure is data (a loss that is not finite).
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar, Shaped, UInt32

from mia.models.layers import Training
from mia.models.network import Network, Tree
from mia.train.gradient import batch_gradient, evaluate
from mia.train.loss import Strengths
from mia.train.optimiser import optimiser

MAX_EPOCHS = 128  # rows of the learning curve that one call can fill
EVALUATION_BATCH = 128


@dataclass(frozen=True)
class Plan:
    """All that is fixed when the code is compiled."""

    network: Network
    scale: float  # of the records
    batch_size: int


class Records(NamedTuple):
    """The data set on the device."""

    x: Shaped[Array, "N *features"]
    y: Int[Array, "N"]


class Model(NamedTuple):
    """What tells one model of a call from another."""

    members: Int[Array, "n"]
    test: Int[Array, "T"]
    seed: UInt32[Array, ""]
    strengths: Strengths


class State(NamedTuple):
    """A model in training."""

    parameters: Tree
    statistics: Tree
    optimiser: optax.OptState
    loss: Scalar  # sum over the epoch so far
    correct: Scalar


def initial_state(plan: Plan, model: Model) -> State:
    """Return the untrained model."""
    parameters, statistics = plan.network.initialise(_key(model, 0))
    return State(parameters, statistics, optimiser(model.strengths).init(parameters), jnp.float32(0), jnp.float32(0))


def steps_per_epoch(plan: Plan, num_members: int) -> int:
    """Return the number of batches of an epoch; the last may be short."""
    return -(-num_members // plan.batch_size)


def train_steps(
    plan: Plan, records: Records, model: Model, state: State, start: Scalar, stop: Scalar
) -> tuple[State, Float[Array, "R 4"]]:
    """Take the steps [start, stop) of training, counted over all epochs.

    Returns:
        The new state, and a row per epoch that ended, counted from the epoch of `start`: train loss and accuracy
        (running means over the epoch), test loss and accuracy.
    """
    steps = steps_per_epoch(plan, len(model.members))
    first_epoch = start // steps

    def epoch(number: Scalar, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, curves = carry
        begin, end = jnp.clip(jnp.array([start, stop]) - number * steps, 0, steps)
        batches, weights = _batches(plan, model, jax.random.fold_in(_key(model, 1), number))

        def step(i: Scalar, state: State) -> State:
            return _step(plan, records, model, state, batches[i], weights[i], number * steps + i)

        state = jax.lax.fori_loop(begin, end, step, state)

        def finish() -> tuple[State, Array]:
            row = jnp.stack(
                [
                    state.loss / len(model.members),
                    state.correct / len(model.members),
                    *_test(plan, records, model, state),
                ]
            )
            return state._replace(loss=jnp.float32(0), correct=jnp.float32(0)), curves.at[number - first_epoch].set(row)

        return jax.lax.cond(end == steps, finish, lambda: (state, curves))

    curves = jnp.full((MAX_EPOCHS, 4), jnp.nan, jnp.float32)
    return jax.lax.fori_loop(first_epoch, (stop + steps - 1) // steps, epoch, (state, curves))


def _step(
    plan: Plan, records: Records, model: Model, state: State, index: Array, weights: Array, number: Scalar
) -> State:
    training = Training(jax.random.fold_in(_key(model, 2), number), model.strengths.dropout, weights)
    x = _features(plan, records, index)
    gradient, result = batch_gradient(
        plan.network, state.parameters, state.statistics, x, records.y[index], training, model.strengths
    )
    updates, optimiser_state = optimiser(model.strengths).update(gradient, state.optimiser, state.parameters)
    parameters = optax.apply_updates(state.parameters, updates)
    return State(
        parameters, result.statistics, optimiser_state, state.loss + result.loss, state.correct + result.correct
    )


def _features(plan: Plan, records: Records, index: Array) -> Array:
    """Return the records as the model sees them; augmentation of training batches goes beside this."""
    return records.x[index].astype(jnp.float32) * jnp.float32(plan.scale)


def _batches(plan: Plan, model: Model, key: PRNGKeyArray) -> tuple[Array, Array]:
    """Return the records of each step of an epoch in fresh order, and weights 0 for padding in the last."""
    size = len(model.members)
    order = model.members[jnp.argsort(jax.random.bits(key, (size,)))]
    return _padded(order, plan.batch_size)


def _padded(index: Int[Array, "n"], batch_size: int) -> tuple[Array, Array]:
    steps = -(-len(index) // batch_size)
    padding = (0, steps * batch_size - len(index))
    weights = jnp.pad(jnp.ones(len(index), jnp.float32), padding)
    return jnp.pad(index, padding).reshape(steps, batch_size), weights.reshape(steps, batch_size)


def _test(plan: Plan, records: Records, model: Model, state: State) -> tuple[Scalar, Scalar]:
    """Return mean loss and accuracy over the test records, NaN where there are none."""
    count = len(model.test)
    if not count:
        return jnp.float32(jnp.nan), jnp.float32(jnp.nan)
    index, weights = _padded(model.test, -(-count // -(-count // EVALUATION_BATCH)))

    def batch(i: Scalar, sums: Array) -> Array:
        x = _features(plan, records, index[i])
        parts = evaluate(plan.network, state.parameters, state.statistics, x, records.y[index[i]], weights[i])
        return sums + jnp.stack(parts)

    loss, correct = jax.lax.fori_loop(0, len(index), batch, jnp.zeros(2, jnp.float32)) / count
    return loss, correct


def _key(model: Model, purpose: int) -> PRNGKeyArray:
    """Return the key of one purpose: 0 initialisation, 1 the order of records, 2 noise in training."""
    return jax.random.fold_in(jax.random.key(model.seed), purpose)
