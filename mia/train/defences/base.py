"""What every defence in training is: what it says of itself, and the hooks that it may override.

A hook that is not overridden costs nothing. Hooks run inside compiled code: they take and give JAX arrays, and the
numbers of their options are traced, so that another strength compiles nothing again.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any, NamedTuple

from mia.checks import non_negative
from mia.settings import Setting, Strength, setting_of

Tree = Any
"""Nested containers of JAX arrays."""
MIXING = ("batch", "mean_loss", "prepare", "after_epoch")
"""Hooks through which one record reaches what is learnt from another."""


@dataclass(frozen=True)
class Number:
    """The options of a defence that is set by one number, `train.<name>` itself."""

    check: Callable[[str, float], Any] = non_negative  # of mia.checks: (key, value), raises RequestError
    default: float = 0.0


class Batch(NamedTuple):
    """The records of one step, as the model sees them."""

    x: Any  # [B *features]
    labels: Any  # [B]
    targets: Any  # [B C] what the model should answer: labels, mixed labels, or a teacher's answers


@dataclass(frozen=True)
class Step:
    """What a hook may look at; arrays are traced, and what makes no sense where a hook runs is None."""

    given: Any = None  # the defence's own options: its number, or an object with its fields
    number: Any = None  # of the step, over all epochs
    epoch: Any = None
    weights: Any = None  # [B] 1 for real records, 0 for the padding of a short batch
    parameters: Tree = None  # of the model, before the step
    statistics: Tree = None
    state: Tree = None  # the defence's own, see `TrainDefence.begin`
    part: Any = None  # positions of the records set aside for the defence, see `TrainDefence.share`
    purpose: int = 0  # of the defence's random keys
    draw: Callable[[int], Any] = lambda purpose: purpose  # purpose -> a random key of this model and this step
    records: Callable[[Any], tuple[Any, Any]] | None = None  # positions -> features and labels
    ask: Callable[[Any], Any] | None = None  # features -> the model's logits, in evaluation mode
    evaluate: Callable[[Any], tuple[Any, Any]] | None = None  # positions -> mean loss and accuracy

    @property
    def key(self) -> Any:
        """A random key of this defence, this model and this step."""
        return self.draw(self.purpose)


class TrainDefence:
    """A defence in training. Attributes say what it is, the methods from `features` on what it does."""

    name: str  # set by `@train_defence`, as `options` is
    options: type | Number
    version: int = 1
    strength: Strength  # what it is called, which field says how strong, which value is none
    rank: int = 1000  # hooks run, parts are cut and keys are listed in the order of ranks
    is_always_compiled: bool = False  # at strength zero, too, so that switching it on compiles nothing
    traced: tuple[str, ...] | None = None  # fields that hooks get as traced numbers; None: all floats
    share: str = ""  # the field that says which share of the members is set aside for the defence
    purpose: int | None = None  # of its random keys; None: made from its name
    excludes: tuple[str, ...] = ()  # defences that it cannot stand beside
    is_private: bool = False  # takes the whole gradient over, with a guarantee that must account for all it sees
    teaches: bool = False  # a teacher is trained first; the model learns its answers to the records set aside

    @property
    def key(self) -> str:
        """The config key."""
        return f"train.{self.name}"

    @property
    def is_number(self) -> bool:
        """Whether the defence has one number instead of fields."""
        return isinstance(self.options, Number)

    @property
    def switch(self) -> str:
        """The config key whose value switches the defence on."""
        return self.key if self.is_number else f"{self.key}.{self.strength.field}"

    @property
    def mixes(self) -> bool:
        """Whether it looks at several records at once, beyond what any gradient of a batch does."""
        return bool(self.share) or any(self.has(hook) for hook in MIXING)

    def has(self, hook: str) -> bool:
        """Whether the defence overrides a hook."""
        return getattr(type(self), hook) is not getattr(TrainDefence, hook)

    def default(self) -> Any:
        """Return the options of no defence at all."""
        return self.options.default if isinstance(self.options, Number) else self.options()

    def value(self, given: Any) -> Any:
        """Return the strength that options have."""
        return given if self.is_number else getattr(given, self.strength.field)

    def is_on(self, given: Any) -> bool:
        """Whether the options make it a defence."""
        return bool(self.value(given) != self.strength.neutral)

    def setting(self, given: Any) -> Setting | None:
        """Return how strong the defence is, for people; None where it is off."""
        if not self.is_on(given):
            return None
        if self.is_number:
            return setting_of(SimpleNamespace(value=given), replace(self.strength, field="value"), self.key)
        return setting_of(given, self.strength, self.key)

    def depends_on_epochs(self, given: Any) -> bool:
        """Whether what a step does depends on how many epochs there are to be.

        No hook is told, so that none can but by its options; a student's teacher has trained for all of them.
        """
        del given
        return self.teaches

    def check(self, given: Any) -> None:
        """Check one number; a dataclass of options checks itself.

        Raises:
            RequestError: it is impossible.
        """
        if isinstance(self.options, Number):
            self.options.check(self.key, given)

    def check_records(self, given: Any, shape: tuple[int, ...]) -> None:
        """Check that a defence that is on goes with records of this shape.

        Raises:
            RequestError: it does not.
        """

    def numbers(self, given: Any) -> Any:
        """Return the traced part of the options: a number, or numbers by field."""
        if self.is_number:
            return float(given)
        return {name: float(getattr(given, name)) for name in self._traced(type(given))}

    def constants(self, given: Any, batch_size: int) -> tuple[tuple[str, Hashable], ...]:
        """Return the part of the options that is compiled in, by field."""
        del batch_size
        if self.is_number:
            return ()
        names = [one.name for one in fields(given) if one.name not in {*self._traced(type(given)), self.share}]
        values = [getattr(given, name) for name in names]
        hashable = [tuple(value) if isinstance(value, list) else value for value in values]
        return tuple(zip(names, hashable, strict=True))

    def _traced(self, options: type) -> tuple[str, ...]:
        if self.traced is not None:
            return self.traced
        return tuple(one.name for one in fields(options) if one.type in {float, "float"} and one.name != self.share)

    # Hooks on what is learnt from -----------------------------------------------------------------------------------

    def features(self, step: Step, x: Any) -> Any:
        """Return the features [B *features] of a batch, each record's changed by itself."""
        return x

    def batch(self, step: Step, batch: Batch) -> Batch:
        """Return the batch, whose records may be mixed."""
        return batch

    def dropout(self, step: Step, rate: Any) -> Any:
        """Return the share of inputs that layers with dropout leave out."""
        return rate

    # Hooks on the loss ----------------------------------------------------------------------------------------------

    def logits(self, step: Step, logits: Any) -> Any:
        """Return the logits [B C] that the loss is taken of."""
        return logits

    def targets(self, step: Step, targets: Any) -> Any:
        """Return the distributions [B C] that the loss compares them with."""
        return targets

    def record_losses(self, step: Step, losses: Any, logits: Any) -> Any:
        """Return the loss [B] of each record by itself."""
        return losses

    def mean_loss(self, step: Step, loss: Any, logits: Any, batch: Batch) -> Any:
        """Return the loss of a batch, from its mean over the records."""
        return loss

    def penalty(self, step: Step, loss: Any, parameters: Tree) -> Any:
        """Return the loss with something added that depends on parameters alone."""
        return loss

    # Hooks on the step ----------------------------------------------------------------------------------------------

    def gradient(self, step: Step, gradient: Tree) -> Tree:
        """Return the gradient that the optimiser gets; under DP-SGD noise is in it already."""
        return gradient

    def updates(self, step: Step, updates: Tree) -> Tree:
        """Return the optimiser's updates, before they are scaled by the learning rate and subtracted."""
        return updates

    # Hooks with a state of the defence's own ------------------------------------------------------------------------

    def begin(self, step: Step, num_classes: int) -> Tree:
        """Return the state before training; None: there is none."""
        return None

    def prepare(self, step: Step, batch: Batch) -> Tree:
        """Return the state as the gradient of this batch should see it."""
        return step.state

    def after_epoch(self, step: Step, row: Any) -> tuple[Tree, Any]:
        """Return the state after an epoch, and its row [4] of the learning curve."""
        return step.state, row

    def is_over(self, step: Step) -> Any:
        """Return whether training is over: a traced truth value."""
        return False

    def result(self, state: Tree, parameters: Tree, statistics: Tree) -> tuple[Tree, Tree]:
        """Return the parameters and statistics of the finished model."""
        return parameters, statistics

    def answers(self, given: Any, logits: Any) -> Any:
        """Return what a student learns from a teacher's logits [B C]; on the host, with options as they were set."""
        return logits

    def step_gradient(self, work: Any) -> tuple[Tree, Any]:
        """Return the gradient of a whole step and its share of the learning curve, see `mia.train.step.Work`."""
        raise NotImplementedError
