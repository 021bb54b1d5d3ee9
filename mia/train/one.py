"""The training of one model, as a pure function of the steps [start, stop): the same for target and shadows.

Takes the data set on the device, the model's records and seed, and a state; gives the new state and the rows of the
learning curve of every epoch that ended. Batches are gathered by index. Runs inside compiled code only: it never waits
for the host, and failure is data (a loss that is not finite).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from mia.train.batches import epoch_order, padded, steps_per_epoch
from mia.train.early_stopping import after_epoch, has_stopped
from mia.train.gradient import evaluate
from mia.train.state import Model, Plan, Records, State, features
from mia.train.step import take_step

MAX_EPOCHS = 128  # rows of the learning curve that one call can fill
EVALUATION_BATCH = 128


def train_steps(
    plan: Plan, records: Records, model: Model, state: State, start: Scalar, stop: Scalar
) -> tuple[State, Float[Array, "R 4"]]:
    """Take the steps [start, stop) of training, counted over all epochs.

    Returns:
        The new state, and a row per epoch that ended, counted from the epoch of `start`: train loss and accuracy
        (running means over the epoch), test loss and accuracy. Once early stopping has ended training, rows repeat.
    """
    steps = steps_per_epoch(plan, len(model.members))
    first_epoch = start // steps

    def epoch(number: Scalar, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, curves = carry
        begin, end = jnp.clip(jnp.array([start, stop]) - number * steps, 0, steps)
        positions, weights = epoch_order(plan, model, number)
        last = end if state.stopping is None else jnp.where(_is_over(model, state), begin, end)

        def step(i: Scalar, state: State) -> State:
            return take_step(plan, records, model, state, positions[i], weights[i], number * steps + i)

        state = jax.lax.fori_loop(begin, last, step, state)

        def finish() -> tuple[State, Array]:
            ended, row = _end_epoch(plan, records, model, state)
            return ended, curves.at[number - first_epoch].set(row)

        return jax.lax.cond(end == steps, finish, lambda: (state, curves))

    curves = jnp.full((MAX_EPOCHS, 4), jnp.nan, jnp.float32)
    return jax.lax.fori_loop(first_epoch, (stop + steps - 1) // steps, epoch, (state, curves))


def _end_epoch(plan: Plan, records: Records, model: Model, state: State) -> tuple[State, Float[Array, "4"]]:
    count = len(model.members)
    test = _evaluation(plan, records, model.test, state)
    row = jnp.stack([state.loss / count, state.correct / count, *test])
    state = state._replace(loss=jnp.float32(0), correct=jnp.float32(0))
    if state.stopping is None or model.held_out is None:
        return state, row
    loss, _ = _evaluation(plan, records, model.held_out, state)
    stopping = after_epoch(state.stopping, state.parameters, state.statistics, loss, row, model.strengths.patience)
    return state._replace(stopping=stopping), stopping["row"]


def _is_over(model: Model, state: State) -> Array:
    assert state.stopping is not None
    return has_stopped(state.stopping, model.strengths.patience)


def _evaluation(plan: Plan, records: Records, chosen: Int[Array, "T"], state: State) -> tuple[Scalar, Scalar]:
    """Return mean loss and accuracy over the chosen records, NaN where there are none."""
    count = len(chosen)
    if not count:
        return jnp.float32(jnp.nan), jnp.float32(jnp.nan)
    index, weights = padded(chosen, -(-count // -(-count // EVALUATION_BATCH)))

    def batch(i: Scalar, sums: Array) -> Array:
        x = features(plan, records, index[i])
        parts = evaluate(plan.network, state.parameters, state.statistics, x, records.y[index[i]], weights[i])
        return sums + jnp.stack(parts)

    loss, correct = jax.lax.fori_loop(0, len(index), batch, jnp.zeros(2, jnp.float32)) / count
    return loss, correct
