"""The attack model of adversarial regularisation (Nasr, Shokri, Houmansadr 2018), trained beside its classifier.

Takes a classifier's logits and labels, gives the log-odds that a record was trained on. Lives inside compiled code.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from mia.models.layers import glorot_uniform
from mia.models.network import Tree

HIDDEN = 64  # the attack model of Shokri et al. 2017
OPTIMISER = optax.adam(1e-3)


def initial_adversary(key: PRNGKeyArray, num_classes: int) -> Tree:
    """Return an untrained attack model and its optimiser's state."""
    keys = jax.random.split(key)
    parameters = {
        "kernel1": glorot_uniform(keys[0], (2 * num_classes, HIDDEN), jnp.float32),
        "bias1": jnp.zeros(HIDDEN),
        "kernel2": glorot_uniform(keys[1], (HIDDEN, 1), jnp.float32),
        "bias2": jnp.zeros(1),
    }
    return {"parameters": parameters, "optimiser": OPTIMISER.init(parameters)}


def log_odds(parameters: Tree, logits: Float[Array, "B C"], labels: Int[Array, "B"]) -> Float[Array, "B"]:
    """Return the attack model's log-odds that each record is a member."""
    inputs = jnp.concatenate([jax.nn.softmax(logits), jax.nn.one_hot(labels, logits.shape[-1])], axis=-1)
    hidden = jax.nn.relu(inputs @ parameters["kernel1"] + parameters["bias1"])
    return (hidden @ parameters["kernel2"] + parameters["bias2"])[:, 0]


def gain(parameters: Tree, logits: Float[Array, "B C"], labels: Int[Array, "B"], weights: Float[Array, "B"]) -> Scalar:
    """Return the mean log-probability that the attack model gives members of weight 1: the classifier lowers it."""
    return (jax.nn.log_sigmoid(log_odds(parameters, logits, labels)) * weights).sum() / weights.sum()


def improve(
    adversary: Tree,
    members: tuple[Float[Array, "B C"], Int[Array, "B"], Float[Array, "B"]],
    others: tuple[Float[Array, "R C"], Int[Array, "R"]],
) -> Tree:
    """Return the attack model after one step towards telling members from reference records."""

    def loss(parameters: Tree) -> Scalar:
        return -gain(parameters, *members) - jax.nn.log_sigmoid(-log_odds(parameters, *others)).mean()

    gradient = jax.grad(loss)(adversary["parameters"])
    updates, state = OPTIMISER.update(gradient, adversary["optimiser"])
    return {"parameters": optax.apply_updates(adversary["parameters"], updates), "optimiser": state}
