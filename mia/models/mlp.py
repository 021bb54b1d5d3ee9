"""The multilayer perceptron, by name."""

from dataclasses import dataclass, field
from typing import Any

from mia.checks import at_least, one_of
from mia.models import ModelOptions, model

ACTIVATIONS = ("tanh", "relu", "gelu")


@dataclass
class MlpOptions(ModelOptions):
    """Dense layers with one activation, then one dense layer of logits."""

    name: str = "mlp"
    hidden: list[int] = field(default_factory=lambda: [128])  # width of each hidden layer; empty: softmax regression
    activation: str = "tanh"

    def __post_init__(self) -> None:
        for width in self.hidden:
            at_least("model.hidden", width, 1)
        one_of("model.activation", self.activation, ACTIVATIONS)


@model("mlp", options=MlpOptions, tells_norms=True)
def mlp(options: MlpOptions, shape: tuple[int, ...], num_classes: int, rngs: Any) -> Any:
    """Return a fresh network."""
    from mia.models.networks.perceptron import Mlp

    return Mlp(options.hidden, options.activation, shape, num_classes, rngs)
