"""What can be chosen about training and the engine: dataclasses, checked when built. Imports nothing heavy."""

from dataclasses import dataclass, field, fields, replace

from mia.checks import RequestError, at_least, fraction, non_negative, positive
from mia.train.defence_options import (
    AdversarialOptions,
    AugmentationOptions,
    DistillationOptions,
    DpOptions,
    EarlyStoppingOptions,
)

STRENGTHS = {
    "early_stopping": "holdout",
    "adversarial": "strength",
    "distillation": "reference",
    "dp": "clipping_norm",
}
"""Of defences whose other values count only while this one is not at its default, which is no defence."""


@dataclass
class TrainOptions:
    """How one model is trained: Adam with inverse-time decay on the cross-entropy, and the defences in training.

    The strengths of the defences and the learning rate are arguments of the compiled code: changing them compiles
    nothing again (switching on one of those below `label_smoothing` does). A strength of zero is no defence at all.
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
    confidence_penalty: float = 0.0  # beta: the loss loses beta * entropy of the answer (Pereyra et al. 2017)
    mixup: float = 0.0  # alpha: batches are mixed with a share drawn from Beta(alpha, alpha) (Zhang et al. 2018)
    relaxloss: float = 0.0  # alpha: the mean loss that training keeps to (Chen, Yu, Fritz 2022)
    early_stopping: EarlyStoppingOptions = field(default_factory=EarlyStoppingOptions)
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    adversarial: AdversarialOptions = field(default_factory=AdversarialOptions)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    dp: DpOptions = field(default_factory=DpOptions)
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
        non_negative("train.confidence_penalty", self.confidence_penalty)
        non_negative("train.mixup", self.mixup)
        non_negative("train.relaxloss", self.relaxloss)
        at_least("train.test_records", self.test_records, 0)
        if self.mixup and self.relaxloss:
            raise RequestError(f"train.mixup={self.mixup!r} and train.relaxloss={self.relaxloss!r} exclude one another")
        if self.dp.is_on:
            self._refuse_beside_dp()

    def _refuse_beside_dp(self) -> None:
        """Refuse what looks at several records at once: its cost in privacy is not in epsilon."""
        for key, is_on in {
            "train.mixup": self.mixup,
            "train.relaxloss": self.relaxloss,
            "train.adversarial.strength": self.adversarial.strength,
            "train.distillation.reference": self.distillation.reference,
            "train.early_stopping.holdout": self.early_stopping.holdout,
        }.items():
            if is_on:
                raise RequestError(f"{key}={is_on!r} cannot stand beside train.dp: epsilon would not account for it")

    def effective(self) -> "TrainOptions":
        """Return the same training with what does not count set to its default: a patience without a held-out part."""
        off = {}
        for group, strength in STRENGTHS.items():
            given, default = getattr(self, group), type(getattr(self, group))()
            if getattr(given, strength) == getattr(default, strength):
                off[group] = default
        return replace(self, **off)

    def idle(self) -> list[str]:
        """Return one line for each value that was set and does not count, since its defence is off."""
        effective, lines = self.effective(), []
        for group, strength in STRENGTHS.items():
            given, counted = getattr(self, group), getattr(effective, group)
            lines += [
                f"train.{group}.{one.name}={value!r} does nothing: "
                f"train.{group}.{strength}={getattr(given, strength)!r} switches it off"
                for one in fields(given)
                if (value := getattr(given, one.name)) != getattr(counted, one.name)
            ]
        return lines

    def undefended(self) -> "TrainOptions":
        """Return the same training with every defence at strength zero."""
        training = ("epochs", "batch_size", "learning_rate", "learning_rate_decay", "epsilon", "test_records")
        return TrainOptions(**{name: getattr(self, name) for name in training})


@dataclass
class EngineOptions:
    """How the machine is used; none of it changes results beyond round-off."""

    models_per_batch: str = "auto"  # models that a device trains side by side: auto (1 on a CPU), or a number

    def __post_init__(self) -> None:
        text = str(self.models_per_batch)
        if text != "auto" and not (text.isdecimal() and int(text) >= 1):
            raise RequestError(f"engine.models_per_batch={self.models_per_batch!r} must be auto or a number from 1")
        self.models_per_batch = text
