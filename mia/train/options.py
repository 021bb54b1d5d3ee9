"""What can be chosen about training and the engine: dataclasses, checked when built. Imports nothing heavy.

`TrainOptions` has the set-up of training and a field for each defence in training that is known: ours, and those of
installed packages. It is made when this module is first imported.
"""

from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from mia.checks import RequestError, at_least, non_negative, one_of, positive
from mia.settings import Setting
from mia.train.defences import TRAIN_DEFENCES, Number, TrainDefence, in_order


@dataclass
class TrainSetup:
    """How one model is trained without a defence: Adam with inverse-time decay on the cross-entropy.

    The learning rate and the strengths of defences are arguments of the compiled code: changing them compiles nothing
    again (switching on a defence that is not always compiled does). A strength of zero is no defence at all.
    """

    epochs: int = 100
    batch_size: int = 32  # the last batch of an epoch may be shorter; no record is left out
    learning_rate: float = 1e-3
    learning_rate_decay: float = 1e-7  # step t uses learning_rate / (1 + learning_rate_decay * t)
    epsilon: float = 1e-7  # of Adam
    test_records: int = 1000  # at most so many nonmembers make the test curve of each epoch; 0: no test curve
    trace: bool = False  # keep the target's loss on every record after every epoch, for attacks that look at it

    def __post_init__(self) -> None:
        at_least("train.epochs", self.epochs, 1)
        at_least("train.batch_size", self.batch_size, 1)
        positive("train.learning_rate", self.learning_rate)
        non_negative("train.learning_rate_decay", self.learning_rate_decay)
        positive("train.epsilon", self.epsilon)
        at_least("train.test_records", self.test_records, 0)
        for defence in in_order():
            defence.check(self.given(defence))
        self._refuse_what_excludes_one_another()

    def given(self, defence: TrainDefence) -> Any:
        """Return the options of a defence: a number or a dataclass."""
        return getattr(self, defence.name)

    def defences(self) -> list[TrainDefence]:
        """Return the defences that are on."""
        return [defence for defence in in_order() if defence.is_on(self.given(defence))]

    def settings(self) -> list[Setting]:
        """Return how strong each defence is that is on."""
        found = [defence.setting(self.given(defence)) for defence in self.defences()]
        return [setting for setting in found if setting is not None]

    def effective(self) -> Self:
        """Return the same training with what does not count set to its default: a patience without a held-out part."""
        on = self.defences()
        return replace(self, **{one.name: one.default() for one in in_order() if one not in on and not one.is_number})

    def idle(self) -> list[str]:
        """Return one line for each value that was set and does not count, since its defence is off."""
        on = self.defences()
        off = [defence for defence in in_order() if defence not in on and not defence.is_number]
        return [
            f"{defence.key}.{one.name}={value!r} does nothing: "
            f"{defence.switch}={defence.value(self.given(defence))!r} switches it off"
            for defence in off
            for one in fields(self.given(defence))
            if (value := getattr(self.given(defence), one.name)) != getattr(defence.default(), one.name)
        ]

    def undefended(self) -> Self:
        """Return the same training with every defence at strength zero."""
        return type(self)(**{one.name: getattr(self, one.name) for one in fields(TrainSetup)})

    def depends_on_epochs(self) -> bool:
        """Whether a model depends on how many epochs there are to be: one on the way is none of a shorter training."""
        return any(defence.depends_on_epochs(self.given(defence)) for defence in self.defences())

    def _refuse_what_excludes_one_another(self) -> None:
        on = self.defences()
        for defence in on:
            for other in on:
                if other.name in defence.excludes:
                    raise RequestError(f"{self._said(defence)} and {self._said(other)} exclude one another")
        for private in (defence for defence in on if defence.is_private):
            for other in (defence for defence in on if defence.mixes):
                raise RequestError(
                    f"{self._said(other)} cannot stand beside {private.key}: epsilon would not account for it"
                )

    def _said(self, defence: TrainDefence) -> str:
        return f"{defence.switch}={defence.value(self.given(defence))!r}"


def train_schema() -> type[TrainSetup]:
    """Return the dataclass of all that can be chosen about training, with a field for each known defence.

    One that an installed package calls as a part of training is called cannot be used.
    """
    own: list[Any] = []
    for defence in in_order():
        if hasattr(TrainSetup, defence.name) or defence.name in {one.name for one in fields(TrainSetup)}:
            TRAIN_DEFENCES.refuse(defence.name, f"{defence.key} is a part of training, it needs another name")
            continue
        if isinstance(defence.options, Number):
            own.append((defence.name, float, field(default=defence.options.default)))
        else:
            own.append((defence.name, defence.options, field(default_factory=defence.options)))
    made = make_dataclass("TrainOptions", own, bases=(TrainSetup,), namespace={"__doc__": TrainSetup.__doc__})
    made.__module__ = __name__
    return made


if TYPE_CHECKING:

    class TrainOptions(TrainSetup):
        """The set-up and every known defence."""

        def __init__(self, **values: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

else:
    TrainOptions = train_schema()


CHOSEN = "engine.tune="
"""How the line begins that says which way of taking a step was chosen."""


@dataclass
class EngineOptions:
    """How the machine is used; none of it changes results beyond round-off."""

    models_per_batch: str = "auto"  # models that a device trains side by side: auto (1 on a CPU), or a number
    snapshots: list[int] = field(default_factory=list)  # epochs after which models are kept as well, as if they ended
    keep_state: bool = False  # keep what it takes to train on: three times the parameters
    configurations_per_job: int = 1  # of a sweep on a cluster: run one after another by one job
    on_interrupt: str = "cancel"  # what becomes of a cluster's jobs at Ctrl-C: cancel, or leave them to be found again
    tune: str = "off"  # auto: time how a step can be taken, once for a machine; again: anew; off: the same for all

    def __post_init__(self) -> None:
        for epoch in self.snapshots:
            at_least("engine.snapshots", epoch, 1)
        at_least("engine.configurations_per_job", self.configurations_per_job, 1)
        one_of("engine.on_interrupt", self.on_interrupt, ("cancel", "leave"))
        self.tune = {"False": "off"}.get(str(self.tune), str(self.tune))  # YAML's off
        one_of("engine.tune", self.tune, ("auto", "off", "again"))
        text = str(self.models_per_batch)
        if text != "auto" and not (text.isdecimal() and int(text) >= 1):
            raise RequestError(f"engine.models_per_batch={self.models_per_batch!r} must be auto or a number from 1")
        self.models_per_batch = text
