"""The training of one model, as a pure function of the steps [start, stop): the same for target and shadows.

Takes the data set on the device, the model's records and seed, and a state; gives the new state and the rows of the
learning curve of every epoch that ended. Batches are gathered by index. Runs inside compiled code only: it never waits
for the host, and failure is data (a loss that is not finite).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Scalar

from mia.models.networks.network import Tree
from mia.train.batches import epoch_order, padded, steps_per_epoch
from mia.train.defences import Step
from mia.train.hooks import Hooks
from mia.train.loss import evaluate
from mia.train.state import Model, Plan, Records, State, features, hooks_of
from mia.train.step import Work, take_step

MAX_EPOCHS = 128  # rows of the learning curve that one call can fill
EVALUATION_BATCH = 128


def train_steps(
    plan: Plan, records: Records, model: Model, state: State, start: Scalar, stop: Scalar
) -> tuple[State, Float[Array, "R 4"]]:
    """Take the steps [start, stop) of training, counted over all epochs.

    Returns:
        The new state, and a row per epoch that ended, counted from the epoch of `start`: train loss and accuracy
        (running means over the epoch), test loss and accuracy. Once a defence has ended training, rows repeat.
    """
    steps = steps_per_epoch(plan, len(model.members))
    first_epoch = start // steps
    may_end = bool(plan.defences.with_hook("is_over"))

    def epoch(number: Scalar, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, curves = carry
        begin, end = jnp.clip(jnp.array([start, stop]) - number * steps, 0, steps)
        positions, weights = epoch_order(plan, model, number)
        last = jnp.where(is_over(plan, model, state.own), begin, end) if may_end else end

        def step(i: Scalar, state: State) -> State:
            return take_step(Work(plan, records, model, state, positions[i], weights[i], number * steps + i))

        state = jax.lax.fori_loop(begin, last, step, state)

        def finish() -> tuple[State, Array]:
            ended, row = _end_epoch(plan, records, model, state, number)
            return ended, curves.at[number - first_epoch].set(row)

        return jax.lax.cond(end == steps, finish, lambda: (state, curves))

    curves = jnp.full((MAX_EPOCHS, 4), jnp.nan, jnp.float32)
    return jax.lax.fori_loop(first_epoch, (stop + steps - 1) // steps, epoch, (state, curves))


def is_over(plan: Plan, model: Model, own: dict[str, Tree]) -> Bool[Array, ""]:
    """Return whether some defence has ended training."""
    over = jnp.bool_(False)
    for defence, step in hooks_of(plan, model, Step(), own).each("is_over"):
        over = over | defence.is_over(step)
    return over


def _end_epoch(
    plan: Plan, records: Records, model: Model, state: State, number: Scalar
) -> tuple[State, Float[Array, "4"]]:
    count = len(model.members)
    test = _evaluation(plan, records, state, model.test)
    row = jnp.stack([state.loss / count, state.correct / count, *test])
    hooks = _hooks_after_epoch(plan, records, model, state, number)
    own = dict(state.own)
    for defence, step in hooks.each("after_epoch"):
        own[defence.name], row = defence.after_epoch(step, row)
    return state._replace(loss=jnp.float32(0), correct=jnp.float32(0), own=own), row


def _hooks_after_epoch(plan: Plan, records: Records, model: Model, state: State, number: Scalar) -> Hooks:
    step = Step(
        epoch=number,
        parameters=state.parameters,
        statistics=state.statistics,
        evaluate=partial(_evaluation, plan, records, state),
    )
    return hooks_of(plan, model, step, state.own)


def _evaluation(plan: Plan, records: Records, state: State, chosen: Int[Array, "T"]) -> tuple[Scalar, Scalar]:
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
