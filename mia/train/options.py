"""What can be chosen about training and the engine: dataclasses, checked when built. Imports nothing heavy."""

from dataclasses import dataclass, replace

from mia.checks import RequestError, at_least, fraction, non_negative, positive


@dataclass
class TrainOptions:
    """How one model is trained: Adam with inverse-time decay on the cross-entropy, and the defences in training.

    The strengths of the defences and the learning rate are arguments of the compiled code: changing them compiles
    nothing again. A strength of zero is no defence at all.
    """

    epochs: int = 100
    batch_size: int = 32  # the last batch of an epoch may be shorter; no record is left out
    learning_rate: float = 1e-3
    learning_rate_decay: float = 1e-7  # step t uses learning_rate / (1 + learning_rate_decay * t)
    epsilon: float = 1e-7  # of Adam
    l2: float = 0.0  # lambda * sum of squares of all parameters (kernels and biases), added to the loss
    weight_decay: float = 0.0  # decoupled (AdamW): parameters shrink by learning_rate * weight_decay per step
    dropout: float = 0.0  # share of inputs of the last dense layers that is dropped; 0 keeps all
    label_smoothing: float = 0.0  # share of each label spread evenly over all classes
    test_records: int = 1000  # at most so many nonmembers make the test curve of each epoch; 0: no test curve

    def __post_init__(self) -> None:
        at_least("train.epochs", self.epochs, 1)
        at_least("train.batch_size", self.batch_size, 1)
        positive("train.learning_rate", self.learning_rate)
        non_negative("train.learning_rate_decay", self.learning_rate_decay)
        positive("train.epsilon", self.epsilon)
        non_negative("train.l2", self.l2)
        non_negative("train.weight_decay", self.weight_decay)
        fraction("train.dropout", self.dropout, below_one=True)
        fraction("train.label_smoothing", self.label_smoothing)
        at_least("train.test_records", self.test_records, 0)

    def undefended(self) -> "TrainOptions":
        """Return the same training with every defence at strength zero."""
        return replace(self, l2=0.0, weight_decay=0.0, dropout=0.0, label_smoothing=0.0)


@dataclass
class EngineOptions:
    """How the machine is used; none of it changes results beyond round-off."""

    models_per_batch: str = "auto"  # models that a device trains side by side: auto (1 on a CPU), or a number

    def __post_init__(self) -> None:
        text = str(self.models_per_batch)
        if text != "auto" and not (text.isdecimal() and int(text) >= 1):
            raise RequestError(f"engine.models_per_batch={self.models_per_batch!r} must be auto or a number from 1")
        self.models_per_batch = text
