"""Adversarial regularisation (Nasr, Shokri, Houmansadr 2018): the model also learns to fool an attack model.

The attack model takes logits and labels, and gives the log-odds that a record was trained on. It is trained beside the
classifier on its training records and on a reference part, which is taken from the owner's own records: no gradient of
the classification loss is taken of those.
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int

from mia.checks import RequestError, fraction, non_negative
from mia.train.defences import Batch, Step, Strength, TrainDefence, train_defence

HIDDEN = 64  # the attack model of Shokri et al. 2017
LEARNING_RATE = 1e-3  # of Adam
BEGINNING, REFERENCE = 7, 8  # purposes of random keys


@dataclass
class AdversarialOptions:
    """Adversarial regularisation: the model also learns to fool an attack model that is trained beside it."""

    strength: float = 0.0  # lambda, the weight of the attack model's gain in the loss; 0: no attack model
    reference: float = 0.2  # share of the training records that serve as reference

    def __post_init__(self) -> None:
        non_negative("train.adversarial.strength", self.strength)
        fraction("train.adversarial.reference", self.reference, below_one=True)
        if self.strength and not self.reference:
            raise RequestError("train.adversarial.reference=0 leaves the attack model without reference; give a share")


@train_defence("adversarial", options=AdversarialOptions)
class Adversarial(TrainDefence):
    """Its state: the attack model's parameters and its optimiser's."""

    strength = Strength("adversarial", "strength")
    rank = 100
    share = "reference"
    purpose = BEGINNING

    def begin(self, step: Step, num_classes: int) -> Any:
        """Return an untrained attack model."""
        import jax
        import jax.numpy as jnp

        from mia.models.networks.layers import glorot_uniform

        keys = jax.random.split(step.key)
        parameters = {
            "kernel1": glorot_uniform(keys[0], (2 * num_classes, HIDDEN), jnp.float32),
            "bias1": jnp.zeros(HIDDEN),
            "kernel2": glorot_uniform(keys[1], (HIDDEN, 1), jnp.float32),
            "bias2": jnp.zeros(1),
        }
        return {"parameters": parameters, "optimiser": _optimiser().init(parameters)}

    def prepare(self, step: Step, batch: Batch) -> Any:
        """Return the attack model after one step towards telling the batch from as many reference records."""
        import jax

        assert step.records is not None, "a step has records"
        assert step.ask is not None, "a step has a model"
        weights: Any = step.weights
        others, labels = step.records(
            step.part[jax.random.randint(step.draw(REFERENCE), weights.shape, 0, len(step.part))]
        )
        return improve(step.state, (step.ask(batch.x), batch.labels, weights), (step.ask(others), labels))

    def mean_loss(self, step: Step, loss: Any, logits: Any, batch: Batch) -> Any:
        """Return the loss with the attack model's gain."""
        return loss + step.given.strength * gain(step.state["parameters"], logits, batch.labels, step.weights)


def log_odds(parameters: Any, logits: Float[Any, "B C"], labels: Int[Any, "B"]) -> Float[Any, "B"]:
    """Return the attack model's log-odds that each record is a member."""
    import jax
    import jax.numpy as jnp

    inputs = jnp.concatenate([jax.nn.softmax(logits), jax.nn.one_hot(labels, logits.shape[-1])], axis=-1)
    hidden = jax.nn.relu(inputs @ parameters["kernel1"] + parameters["bias1"])
    return (hidden @ parameters["kernel2"] + parameters["bias2"])[:, 0]


def gain(parameters: Any, logits: Float[Any, "B C"], labels: Int[Any, "B"], weights: Float[Any, "B"]) -> Any:
    """Return the mean log-probability that the attack model gives members of weight 1: the classifier lowers it."""
    import jax

    return (jax.nn.log_sigmoid(log_odds(parameters, logits, labels)) * weights).sum() / weights.sum()


def improve(adversary: Any, members: tuple[Any, Any, Any], others: tuple[Any, Any]) -> Any:
    """Return the attack model after one step.

    Args:
        adversary: Its parameters and its optimiser's state.
        members: Logits, labels and weights of the batch.
        others: Logits and labels of reference records.
    """
    import jax
    import optax

    def loss(parameters: Any) -> Any:
        return -gain(parameters, *members) - jax.nn.log_sigmoid(-log_odds(parameters, *others)).mean()

    gradient = jax.grad(loss)(adversary["parameters"])
    updates, state = _optimiser().update(gradient, adversary["optimiser"])
    return {"parameters": optax.apply_updates(adversary["parameters"], updates), "optimiser": state}


def _optimiser() -> Any:
    import optax

    return optax.adam(LEARNING_RATE)
