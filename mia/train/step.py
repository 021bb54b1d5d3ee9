"""One step of training: a batch, its gradient, the optimiser. Inside compiled code only.

Takes a state and the positions of a batch, gives the next state. DP-SGD and the adversary have their own part in it.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Scalar

from mia.models.layers import Training
from mia.models.network import Tree
from mia.train.adversary import improve
from mia.train.batches import make_batch, steps_per_epoch
from mia.train.gradient import BatchResult, batch_gradient, clipped_gradient, private_gradient
from mia.train.optimiser import optimiser
from mia.train.private import in_microbatches, poisson_batch, poisson_microbatch
from mia.train.state import DROPOUT, NOISE, REFERENCE, SAMPLING, Model, Plan, Records, State, features, key_of


def take_step(
    plan: Plan, records: Records, model: Model, state: State, positions: Array, weights: Array, number: Scalar
) -> State:
    """Return the state after step `number`, on the members at `positions` whose weight is 1."""
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
    most = -(-num_members // microbatch)
    if plan.switches.is_poisson:
        counts = poisson_batch(key_of(model, SAMPLING, number), num_members, plan.batch_size)
        take = lambda i: poisson_microbatch(counts, i, microbatch)  # noqa: E731
        used = -(-counts[-1] // microbatch)
        count = jnp.float32(plan.batch_size)  # as expected: the number drawn is private
    else:
        rows, row_weights = in_microbatches(positions, weights, microbatch)
        take = lambda i: (rows[i], row_weights[i])  # noqa: E731
        used, count = jnp.int32(len(rows)), weights.sum()

    def add(i: Scalar, total: tuple[Tree, tuple[Scalar, Scalar]]) -> tuple[Tree, tuple[Scalar, Scalar]]:
        chosen, in_use = take(i)
        own = number * most + i
        training = Training(key_of(model, DROPOUT, own), model.strengths.dropout, in_use)
        batch = make_batch(plan, records, model, chosen, in_use, own)
        part = clipped_gradient(plan.network, state.parameters, batch, training, model.strengths, plan.switches)
        return jax.tree.map(jnp.add, total, part)

    nothing = jax.tree.map(jnp.zeros_like, state.parameters), (jnp.float32(0), jnp.float32(0))
    total, curve = jax.lax.fori_loop(0, used, add, nothing)
    gradient = private_gradient(total, count, state.parameters, key_of(model, NOISE, number), model.strengths)
    return gradient, BatchResult(state.statistics, *curve)
