"""What one training is made of: what is fixed when it is compiled, the data, one model's share, and its state.

All but the plan are trees of arrays that live on a device. Randomness comes from a model's seed, by purpose and step.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar, Shaped, UInt32

from mia.models.network import Network, Tree
from mia.train import early_stopping
from mia.train.adversary import initial_adversary
from mia.train.loss import Strengths
from mia.train.optimiser import optimiser
from mia.train.switches import Switches

INITIALISATION, ORDER, DROPOUT, AUGMENTATION, MIXUP, NOISE, SAMPLING, ADVERSARY, REFERENCE = range(9)
"""Purposes of random keys."""


@dataclass(frozen=True)
class Plan:
    """All that is fixed when the code is compiled."""

    network: Network
    scale: float  # of the records
    batch_size: int
    switches: Switches = field(default_factory=Switches)


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
    held_out: Int[Array, "h"] | None = None  # members that early stopping looks at
    reference: Int[Array, "r"] | None = None  # members that the adversary compares with
    answers: Float[Array, "n C"] | None = None  # a teacher's, for the members in their order


class State(NamedTuple):
    """A model in training."""

    parameters: Tree
    statistics: Tree
    optimiser: optax.OptState
    loss: Scalar  # sum over the epoch so far
    correct: Scalar
    stopping: Tree | None = None  # see `early_stopping`
    adversary: Tree | None = None  # see `adversary`


def initial_state(plan: Plan, model: Model) -> State:
    """Return the untrained model."""
    parameters, statistics = plan.network.initialise(key_of(model, INITIALISATION))
    return State(
        parameters,
        statistics,
        optimiser(model.strengths).init(parameters),
        jnp.float32(0),
        jnp.float32(0),
        early_stopping.begin(parameters, statistics) if plan.switches.early_stopping else None,
        initial_adversary(key_of(model, ADVERSARY), plan.network.num_classes) if plan.switches.adversarial else None,
    )


def key_of(model: Model, purpose: int, number: Scalar | None = None) -> PRNGKeyArray:
    """Return a model's key of one purpose, of one step or epoch."""
    key = jax.random.fold_in(jax.random.key(model.seed), purpose)
    return key if number is None else jax.random.fold_in(key, number)


def features(plan: Plan, records: Records, index: Int[Array, "B"]) -> Float[Array, "B *features"]:
    """Return records as a model sees them."""
    return records.x[index].astype(jnp.float32) * jnp.float32(plan.scale)
