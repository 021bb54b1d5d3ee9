"""The training of one model, as a pure function of the steps [start, stop): the same for target and shadows.

Takes the data set on the device, the model's records and seed, and a state; gives the new state and the rows of the
learning curve of every epoch that ended. Batches are gathered by index. Runs inside compiled code only: it never waits
for the host, and failure is data (a loss that is not finite).
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Scalar

from mia.models.layers import Training
from mia.models.network import Tree
from mia.train.adversary import improve
from mia.train.batches import epoch_order, make_batch, padded
from mia.train.early_stopping import after_epoch, has_stopped
from mia.train.gradient import BatchResult, batch_gradient, clipped_gradient, evaluate, private_gradient
from mia.train.optimiser import optimiser
from mia.train.private import in_microbatches, poisson_batch
from mia.train.state import DROPOUT, NOISE, REFERENCE, SAMPLING, Model, Plan, Records, State, features, key_of

MAX_EPOCHS = 128  # rows of the learning curve that one call can fill
EVALUATION_BATCH = 128


def steps_per_epoch(plan: Plan, num_members: int) -> int:
    """Return the number of batches of an epoch; the last may be short."""
    return -(-num_members // plan.batch_size)


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
            return _step(plan, records, model, state, positions[i], weights[i], number * steps + i)

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


def _step(
    plan: Plan, records: Records, model: Model, state: State, positions: Array, weights: Array, number: Scalar
) -> State:
    if plan.switches.dp:
        gradient, result = _private_step(plan, records, model, state, positions, weights, number)
        adversary = None
    else:
        gradient, result, adversary = _plain_step(plan, records, model, state, positions, weights, number)
    updates, optimiser_state = optimiser(model.strengths).update(gradient, state.optimiser, state.parameters)
    return State(
        optax.apply_updates(state.parameters, updates),
        result.statistics,
        optimiser_state,
        state.loss + result.loss,
        state.correct + result.correct,
        state.stopping,
        adversary,
    )


def _plain_step(
    plan: Plan, records: Records, model: Model, state: State, positions: Array, weights: Array, number: Scalar
) -> tuple[Tree, BatchResult, Tree | None]:
    """Return the gradient of a batch, and the adversary after its own step, where there is one."""
    training = Training(key_of(model, DROPOUT, number), model.strengths.dropout, weights)
    batch = make_batch(plan, records, model, positions, weights, number)
    adversary = state.adversary
    if adversary is not None and model.reference is not None:
        drawn = jax.random.randint(key_of(model, REFERENCE, number), weights.shape, 0, len(model.reference))
        others = model.reference[drawn]
        apply = lambda x: plan.network.apply(state.parameters, state.statistics, x)[0]  # noqa: E731
        adversary = improve(
            adversary,
            (apply(batch.x), batch.labels, weights),
            (apply(features(plan, records, others)), records.y[others]),
        )
    gradient, result = batch_gradient(
        plan.network,
        state.parameters,
        state.statistics,
        batch,
        training,
        model.strengths,
        plan.switches,
        number // steps_per_epoch(plan, len(model.members)),
        None if adversary is None else adversary["parameters"],
    )
    return gradient, result, adversary


def _private_step(
    plan: Plan, records: Records, model: Model, state: State, positions: Array, weights: Array, number: Scalar
) -> tuple[Tree, BatchResult]:
    """Return the gradient of DP-SGD, a microbatch at a time: memory does not grow with the batch."""
    microbatch, num_members = plan.switches.microbatch, len(model.members)
    if plan.switches.is_poisson:
        key = key_of(model, SAMPLING, number)
        rows, row_weights, used = poisson_batch(key, num_members, plan.batch_size, microbatch)
        count = jnp.float32(plan.batch_size)  # as expected: the number drawn is private
    else:
        rows, row_weights = in_microbatches(positions, weights, microbatch)
        used, count = jnp.int32(len(rows)), weights.sum()

    def add(i: Scalar, total: tuple[Tree, tuple[Scalar, Scalar]]) -> tuple[Tree, tuple[Scalar, Scalar]]:
        own = number * len(rows) + i
        training = Training(key_of(model, DROPOUT, own), model.strengths.dropout, row_weights[i])
        batch = make_batch(plan, records, model, rows[i], row_weights[i], own)
        part = clipped_gradient(plan.network, state.parameters, batch, training, model.strengths, plan.switches)
        return jax.tree.map(jnp.add, total, part)

    nothing = jax.tree.map(jnp.zeros_like, state.parameters), (jnp.float32(0), jnp.float32(0))
    total, curve = jax.lax.fori_loop(0, used, add, nothing)
    gradient = private_gradient(total, count, state.parameters, key_of(model, NOISE, number), model.strengths)
    return gradient, BatchResult(state.statistics, *curve)


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
