"""Defences in training, one file each: what can be set, what it is called, and the hooks by which it changes training.

`@train_defence` on a subclass of `TrainDefence` enters it; an installed package adds one through an entry point of the
group `mia.train_defences`. Its key is `train.<name>` (one number) or `train.<name>.<field>` (a dataclass of options).
A defence that is off is not compiled in: training is that without it, bit by bit. Loads no JAX; hooks do when they run.
"""

from collections.abc import Callable
from typing import TypeVar

from mia.registry import Registry
from mia.settings import Setting, Strength
from mia.train.defences.base import Batch, Number, Step, TrainDefence

__all__ = ["TRAIN_DEFENCES", "Batch", "Number", "Setting", "Step", "Strength", "TrainDefence", "train_defence"]

TRAIN_DEFENCES: Registry[TrainDefence] = Registry("train", "mia.train.defences", "mia.train_defences")

Kind = TypeVar("Kind", bound=TrainDefence)


def train_defence(name: str, *, options: type | Number) -> Callable[[type[Kind]], type[Kind]]:
    """Enter a defence in training: stands on a subclass of `TrainDefence`.

    Args:
        name: Of the config key `train.<name>`.
        options: A dataclass with a default for every field, or a `Number` for a defence that has one number.
    """

    def enter(kind: type[Kind]) -> type[Kind]:
        defence = kind()
        defence.name, defence.options = name, options
        TRAIN_DEFENCES.add(name, defence, kind.__module__)
        return kind

    return enter


def in_order() -> list[TrainDefence]:
    """Return all defences in the order in which their hooks run and their keys are listed."""
    return sorted((entry for _, entry in TRAIN_DEFENCES.items()), key=lambda defence: (defence.rank, defence.name))
