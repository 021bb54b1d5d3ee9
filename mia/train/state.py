"""What one training is made of: what is fixed when it is compiled, the data, one model's share, and its state.

All but the plan are trees of arrays that live on a device. Randomness comes from a model's seed, by purpose and step.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar, Shaped, UInt32

from mia.models import model_kind
from mia.models.networks.convolution import WAYS, is_on_cpu
from mia.models.networks.network import Network, Tree
from mia.train.defences import Step
from mia.train.hooks import Defences, Hooks, Strengths

INITIALISATION, ORDER, DROPOUT, NOISE, SAMPLING = 0, 1, 2, 5, 6
"""Purposes of random keys; 3, 4, 7 and 8 belong to defences of ours, larger ones to those of others."""


@dataclass(frozen=True)
class Plan:
    """All that is fixed when the code is compiled."""

    network: Network
    scale: float  # of the records
    batch_size: int
    defences: Defences = field(default_factory=Defences)
    part: int = 0  # records of a batch that go through the model at once; 0: all
    convolution: str = WAYS[0]  # how convolutions are taken
    vectors: int = 512  # bits of a CPU's vectors, where it has so many

    @property
    def may_divide(self) -> bool:
        """Whether a batch gives the same gradient in parts: records do not reach one another, nor the mean loss."""
        options = self.network.options
        seen = self.defences.with_hook("mean_loss") or self.defences.first("is_private")
        return not seen and self.network.is_without_statistics and not model_kind(options).mixes(options)

    @property
    def fixed_part(self) -> int:
        """The part that is taken on this kind of machine, unless another is found to be faster."""
        most = model_kind(self.network.options).records_at_once
        return even_part(self.batch_size, most) if most and is_on_cpu() and self.may_divide else 0


def even_part(batch_size: int, most: int) -> int:
    """Return a number of records up to `most`, with the least padding in the last part; 0 where one part is enough."""
    return -(-batch_size // -(-batch_size // most)) if batch_size > most else 0


class Records(NamedTuple):
    """The data set on the device."""

    x: Shaped[Array, "N *features"]
    y: Int[Array, "N"]


class Model(NamedTuple):
    """What tells one model of a call from another."""

    members: Int[Array, "n"]  # those that gradients are taken of
    test: Int[Array, "T"]
    seed: UInt32[Array, ""]
    strengths: Strengths
    parts: dict[str, Int[Array, "p"]]  # members set aside, by the name of the defence that wants them
    answers: Float[Array, "n C"] | None = None  # a teacher's, for the members in their order


class State(NamedTuple):
    """A model in training."""

    parameters: Tree
    statistics: Tree
    optimiser: optax.OptState
    loss: Scalar  # sum over the epoch so far
    correct: Scalar
    own: dict[str, Tree]  # what defences remember, by their names


def initial_state(plan: Plan, model: Model) -> State:
    """Return the untrained model."""
    parameters, statistics = plan.network.initialise(key_of(model, INITIALISATION))
    hooks = hooks_of(plan, model, Step(parameters=parameters, statistics=statistics, draw=partial(key_of, model)))
    return State(
        parameters,
        statistics,
        optimiser(model.strengths, hooks).init(parameters),
        jnp.float32(0),
        jnp.float32(0),
        {defence.name: defence.begin(step, plan.network.num_classes) for defence, step in hooks.each("begin")},
    )


def hooks_of(plan: Plan, model: Model, step: Step, own: dict[str, Tree] | None = None) -> Hooks:
    """Return the hooks of a model's defences in one place of its training."""
    return Hooks(plan.defences, model.strengths, step, own, model.parts)


def optimiser(strengths: Strengths, hooks: Hooks) -> optax.GradientTransformation:
    """Return Adam for one model: step t moves by learning_rate / (1 + learning_rate_decay * t)."""

    def rate(count: Scalar) -> jax.Array:
        return strengths.learning_rate / (1 + strengths.learning_rate_decay * count)

    def change(updates: Tree, parameters: Tree | None) -> Tree:
        del parameters
        return hooks.chain("updates", updates)

    return optax.chain(
        optax.scale_by_adam(eps=strengths.epsilon), optax.stateless(change), optax.scale_by_learning_rate(rate)
    )


def key_of(model: Model, purpose: int, number: Scalar | None = None) -> PRNGKeyArray:
    """Return a model's key of one purpose, of one step or epoch."""
    key = jax.random.fold_in(jax.random.key(model.seed), purpose)
    return key if number is None else jax.random.fold_in(key, number)


def features(plan: Plan, records: Records, index: Int[Array, "B"]) -> Float[Array, "B *features"]:
    """Return records as a model sees them."""
    return records.x[index].astype(jnp.float32) * jnp.float32(plan.scale)
