"""The defences that are compiled into one training, and the numbers that its compiled code is given.

`Defences` is fixed when code is compiled and calls their hooks in order; `Strengths` holds what is traced. What is off
is in neither, so that it costs nothing and changes nothing, bit by bit.
"""

import zlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
from jaxtyping import Scalar

from mia.train.defences import TRAIN_DEFENCES, Step, TrainDefence, in_order
from mia.train.options import TrainOptions

Tree = Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Strengths:
    """The traced numbers of one model's training; see `TrainOptions`. Changing them compiles nothing again."""

    learning_rate: Scalar | np.float32  # NumPy's until they are placed on the devices, where code would be compiled
    learning_rate_decay: Scalar | np.float32
    epsilon: Scalar | np.float32
    of_defences: dict[str, Any]  # by name: a number, or numbers by field

    @classmethod
    def of(cls, options: TrainOptions, defences: "Defences | None" = None) -> "Strengths":
        """Return the traced part of the options, as far as some defences (None: the options' own) need it."""
        names = (Defences.of(options) if defences is None else defences).names
        numbers = {name: TRAIN_DEFENCES[name].numbers(getattr(options, name)) for name in names}
        return cls(
            np.float32(options.learning_rate),
            np.float32(options.learning_rate_decay),
            np.float32(options.epsilon),
            jax.tree.map(np.float32, numbers),
        )


@dataclass(frozen=True)
class Defences:
    """Names of the defences that are compiled in, in their order, and what of their options is constant."""

    compiled: tuple[tuple[str, tuple[tuple[str, Hashable], ...]], ...] = ()

    @classmethod
    def of(cls, options: TrainOptions) -> "Defences":
        """Return what must be compiled in for these options."""
        on = options.defences()
        return cls(
            tuple(
                (defence.name, defence.constants(options.given(defence), options.batch_size))
                for defence in in_order()
                if defence in on or defence.is_always_compiled
            )
        )

    @property
    def names(self) -> list[str]:
        """The names alone."""
        return [name for name, _ in self.compiled]

    @property
    def entries(self) -> list[TrainDefence]:
        """The defences themselves."""
        return [TRAIN_DEFENCES[name] for name in self.names]

    def without(self, name: str) -> "Defences":
        """Return all others."""
        return Defences(tuple(one for one in self.compiled if one[0] != name))

    def first(self, attribute: str) -> TrainDefence | None:
        """Return the first defence of which an attribute is true."""
        return next((defence for defence in self.entries if getattr(defence, attribute)), None)

    def with_hook(self, hook: str) -> list[TrainDefence]:
        """Return the defences that override a hook."""
        return [defence for defence in self.entries if defence.has(hook)]

    def given(self, name: str, strengths: Strengths) -> Any:
        """Return the options of a defence as its hooks see them: a number, or an object with its fields."""
        numbers = strengths.of_defences[name]
        if not isinstance(numbers, dict):
            return numbers
        return SimpleNamespace(**dict(dict(self.compiled)[name]), **numbers)


@dataclass(frozen=True)
class Hooks:
    """The hooks of some defences in one place of training."""

    defences: Defences
    strengths: Strengths
    step: Step  # what all hooks may look at
    states: dict[str, Tree] | None = None  # the defences' own
    parts: dict[str, Any] | None = None  # records set aside for them

    def chain(self, hook: str, value: Any, *arguments: Any) -> Any:
        """Return a value as the hooks of one kind leave it, one after another."""
        for defence, step in self.each(hook):
            value = getattr(defence, hook)(step, value, *arguments)
        return value

    def each(self, hook: str) -> Iterator[tuple[TrainDefence, Step]]:
        """Yield the defences that override a hook, each with what it may look at."""
        for defence in self.defences.with_hook(hook):
            yield (
                defence,
                replace(
                    self.step,
                    given=self.defences.given(defence.name, self.strengths),
                    state=(self.states or {}).get(defence.name),
                    part=(self.parts or {}).get(defence.name),
                    purpose=purpose_of(defence),
                ),
            )


def purpose_of(defence: TrainDefence) -> int:
    """Return what tells a defence's random keys from all others."""
    if defence.purpose is not None:
        return defence.purpose
    return zlib.crc32(defence.name.encode()) | 1 << 31  # far from the small numbers of our own purposes
