"""One step of training: a batch, its gradient, the optimiser. Inside compiled code only.

Takes a state and the positions of a batch, gives the next state; defences have their part in it by hooks.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from mia.models.networks.layers import Training
from mia.models.networks.network import Tree
from mia.train.batches import make_batch, steps_per_epoch
from mia.train.defences import Batch, Step
from mia.train.hooks import Hooks
from mia.train.loss import BatchResult, batch_gradient, gradient_in_parts
from mia.train.state import DROPOUT, Model, Plan, Records, State, features, hooks_of, key_of, optimiser


@dataclass(frozen=True)
class Work:
    """All that a step works with."""

    plan: Plan
    records: Records
    model: Model
    state: State
    positions: Int[Array, "B"]  # of the batch, among the members
    weights: Float[Array, "B"]  # 1 for real records, 0 for padding
    number: Scalar  # of the step, over all epochs

    def key(self, purpose: int, number: Scalar | None = None) -> PRNGKeyArray:
        """Return a random key of this step, or of another number."""
        return key_of(self.model, purpose, self.number if number is None else number)

    @cached_property
    def hooks(self) -> Hooks:
        """The defences' hooks in this step."""
        return self._hooks(self.weights, self.number)

    def _hooks(self, weights: Array, number: Scalar) -> Hooks:
        step = Step(
            number=self.number,
            epoch=self.number // steps_per_epoch(self.plan, len(self.model.members)),
            weights=weights,
            parameters=self.state.parameters,
            statistics=self.state.statistics,
            draw=partial(self.key, number=number),
            records=self.look_up,
            ask=self.ask,
        )
        return hooks_of(self.plan, self.model, step, self.state.own)

    def batch(self, positions: Array, weights: Array, number: Scalar) -> tuple[Batch, Training, Hooks]:
        """Return members as the model sees them, what it knows while it trains on them, and the hooks with them.

        Args:
            positions: Of the records, among the members.
            weights: Their weights.
            number: Of the random keys: that of the step, unless a step has several batches.
        """
        hooks = self._hooks(weights, number)
        rate = hooks.chain("dropout", np.float32(0))  # a number that is known when code is compiled
        return (
            make_batch(self.plan, self.records, self.model, positions, hooks),
            Training(self.key(DROPOUT, number), rate, weights),
            hooks,
        )

    def look_up(self, index: Int[Array, "B"]) -> tuple[Float[Array, "B *features"], Int[Array, "B"]]:
        """Return features and labels of records of the data set."""
        return features(self.plan, self.records, index), self.records.y[index]

    def ask(self, x: Float[Array, "B *features"]) -> Float[Array, "B C"]:
        """Return the model's logits, in evaluation mode."""
        return self.plan.network.apply(self.state.parameters, self.state.statistics, x)[0]


def take_step(work: Work) -> State:
    """Return the state after a step, on the members at its positions whose weight is 1."""
    state, defences = work.state, work.plan.defences
    private = defences.first("is_private")
    own = state.own
    if private is not None:
        gradient, result = private.step_gradient(work)
    else:
        gradient, result, own = _plain_gradient(work)
    gradient = work.hooks.chain("gradient", gradient)
    updates, optimiser_state = optimiser(work.model.strengths, work.hooks).update(gradient, state.optimiser)
    return State(
        optax.apply_updates(state.parameters, updates),
        result.statistics,
        optimiser_state,
        state.loss + result.loss,
        state.correct + result.correct,
        own,
    )


def _plain_gradient(work: Work) -> tuple[Tree, BatchResult, dict[str, Tree]]:
    """Return the gradient of a batch, and what defences remember after looking at it."""
    batch, training, hooks = work.batch(work.positions, work.weights, work.number)
    own = work.state.own | {defence.name: defence.prepare(step, batch) for defence, step in hooks.each("prepare")}
    hooks = replace(hooks, states=own)
    state, plan = work.state, work.plan
    if 0 < plan.part < len(work.weights) and plan.may_divide:
        gradient, result = gradient_in_parts(plan.network, state.parameters, batch, training, hooks, plan.part)
        return gradient, result, own
    gradient, result = batch_gradient(plan.network, state.parameters, state.statistics, batch, training, hooks)
    return gradient, result, own


def penalty_gradient(work: Work) -> Tree:
    """Return the gradient of what depends on parameters alone."""
    return jax.grad(lambda parameters: work.hooks.chain("penalty", jnp.float32(0), parameters))(work.state.parameters)
