"""Who watches an experiment: a function that is told of events, and never asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mia.records import Scores
    from mia.train.group import Progress


@dataclass(frozen=True)
class StageBegan:
    """A stage begins: data, train, shadow_data, signals, attack, growth or metrics."""

    name: str


@dataclass(frozen=True)
class PoolNeeded:
    """Models are missing: this pool's lock is about to be taken, and another process may hold it."""

    fingerprint: str


@dataclass(frozen=True)
class Trained:
    """Training moved on."""

    progress: "Progress"


@dataclass(frozen=True)
class Step:
    """`done` of `total` steps of something slow are behind us."""

    what: str  # for a person: "attack: shadow_svm"
    done: float
    total: float


@dataclass(frozen=True)
class Scored:
    """An attack is done."""

    attack: str
    scores: "Scores"
    is_member: "np.ndarray"  # [Q]


Event = StageBegan | PoolNeeded | Trained | Step | Scored
Observe = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Look away."""
