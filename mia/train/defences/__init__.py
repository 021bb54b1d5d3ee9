"""Defences in training, one file each: what can be set, what it is called, and the hooks by which it changes training.

`@train_defence` on a subclass of `TrainDefence` enters it; an installed package adds one through an entry point of the
group `mia.train_defences`. Its key is `train.<name>` (one number) or `train.<name>.<field>` (a dataclass of options).
A defence that is off is not compiled in: training is that without it, bit by bit. Loads no JAX; hooks do when they run.
"""

from collections.abc import Callable
from typing import TypeVar

from mia.checks import RequestError
from mia.registry import Registry, check_options
from mia.settings import Setting, Strength
from mia.train.defences.base import Batch, Number, Step, TrainDefence

__all__ = ["TRAIN_DEFENCES", "Batch", "Number", "Setting", "Step", "Strength", "TrainDefence", "train_defence"]

TRAIN_DEFENCES: Registry[TrainDefence] = Registry("train", "mia.train.defences", "mia.train_defences")

Kind = TypeVar("Kind", bound=TrainDefence)


def train_defence(name: str, *, options: type | Number, version: int = 1) -> Callable[[type[Kind]], type[Kind]]:
    """Enter a defence in training: stands on a subclass of `TrainDefence`.

    Args:
        name: Of the config key `train.<name>`.
        options: A dataclass with a default for every field, or a `Number` for a defence that has one number. By default
            the defence must be off: else what is installed would decide how a model is trained that nobody defends.
        version: Raised when the same options train otherwise than before: models of an older one are not used again.

    Raises:
        RequestError: the name is taken, a config cannot hold the options, or by default they are a defence.
    """

    def enter(kind: type[Kind]) -> type[Kind]:
        defence = kind()
        defence.name, defence.options, defence.version = name, options, version
        if not isinstance(options, Number):
            check_options(f"train={name}", options)
        if defence.is_on(defence.default()):
            value, neutral = defence.value(defence.default()), defence.strength.neutral
            raise RequestError(f"{defence.switch}={value!r} is its default; it must be {neutral!r}, no defence")
        TRAIN_DEFENCES.add(name, defence, kind.__module__)
        return kind

    return enter


def in_order() -> list[TrainDefence]:
    """Return all defences in the order in which their hooks run and their keys are listed."""
    return sorted((entry for _, entry in TRAIN_DEFENCES.items()), key=lambda defence: (defence.rank, defence.name))
