"""What is kept of models while they train, and where a training that was left can go on.

Beside a target lie its losses epoch by epoch: how well they tell its members, and, where `train.trace` asks for them,
those of every record. Models of shorter trainings are saved on the way. Training itself knows nothing of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.experiment.options import ExperimentOptions
from mia.experiment.places import Places
from mia.metrics.auc import placements
from mia.records import Split
from mia.seeds import stage_generator
from mia.store import CURVES, Pool

if TYPE_CHECKING:
    from mia.train.group import Trained
    from mia.train.watch import Shown, Start, Watch

TRACE, LEAKAGE, STATE = "trace", "leakage", "state"
"""Kinds of what lies beside a model."""


def wants_trace(options: ExperimentOptions, row: int) -> bool:
    """Whether the losses of this model on every record are to be kept: it is a target, and somebody asked."""
    return options.train.trace and row < options.split.num_targets


def read_trace(pool: Pool, row: int) -> Float[np.ndarray, "E N"] | None:
    """Return a model's loss on every record after each epoch; None where it was not kept."""
    return _read(pool, TRACE, row, "loss")


def read_leakage(pool: Pool, row: int) -> Float[np.ndarray, "E"] | None:
    """Return the AUC of a target's losses after each epoch; None where it was not kept."""
    return _read(pool, LEAKAGE, row, "loss_auc")


def _read(pool: Pool, kind: str, row: int, name: str) -> np.ndarray | None:
    found = pool.beside(row, kind)
    return found[name] if found and set(found) == {name} else None


@dataclass(frozen=True)
class Judged:
    """Records whose losses tell how much a target leaks while it trains."""

    index: Int[np.ndarray, "n"]
    is_member: Bool[np.ndarray, "n"]

    @classmethod
    def of(cls, options: ExperimentOptions, split: Split, row: int) -> "Judged":
        """Return members and as many non-members: all that are judged, or at most `train.test_records` of each."""
        judged = split.judged(row)
        judged = judged[judged >= 0]
        inside = np.isin(judged, split.members_of(row))
        count = min(int(inside.sum()), int((~inside).sum()), options.train.test_records)
        generator = stage_generator(options.seed, "leakage", row)
        chosen = [np.sort(generator.permutation(judged[side])[:count]) for side in (inside, ~inside)]
        return cls(np.concatenate(chosen), np.repeat([True, False], count))


@dataclass(frozen=True)
class Behind:
    """What lies behind a training that goes on: where it was left, and what was kept until then."""

    start: "Start"
    curves: Mapping[str, Float[np.ndarray, "E"]]
    beside: Mapping[str, np.ndarray]  # kind -> array, the first axis epochs


def find_behind(places: Places, row: int, before: int, split: Split) -> Behind | None:
    """Return the longest training of a model that was left with its state, before some epoch; None where none was."""
    if places.train(row).depends_on_epochs() or not places.is_shared or not places.has_states:
        return None
    for epochs in range(before - 1, 0, -1):
        pool = places.pool(row, epochs)
        state = pool.beside(row, STATE) if pool.folder.is_dir() else None
        if state is None or pool.missing([row]):
            continue
        beside = {LEAKAGE: read_leakage(pool, row), TRACE: read_trace(pool, row)}
        found = {kind: array for kind, array in beside.items() if array is not None and len(array) == epochs}
        if set(kinds_of(places.options, split, row)) <= set(found):
            from mia.train.watch import Start

            return Behind(Start(epochs, state), pool.curves(row), found)
    return None


def kinds_of(options: ExperimentOptions, split: Split, row: int) -> list[str]:
    """Return what is kept of a model after every epoch."""
    leakage = [LEAKAGE] if row == 0 and len(Judged.of(options, split, row).index) else []
    return [*leakage, *([TRACE] if wants_trace(options, row) else [])]


@dataclass
class Epochs:
    """Collects what a training call shows; models of shorter trainings are handed on as they come by."""

    places: Places
    split: Split
    rows: Sequence[int]  # of the models that are trained, in the order of the call
    last: int  # epoch of the call
    kept: Mapping[int, Sequence[int]]  # row -> epochs after which the model is saved, the last of them `last`
    asked: Int[np.ndarray, "N"]  # records whose loss is traced, as the training counts them
    behind: Mapping[int, Behind]  # by row
    snapshot: "Callable[[int, int, Trained], None]"  # row, epochs, the model
    _values: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = self.places.options
        self._kinds = {row: kinds_of(options, self.split, row) for row in self.rows}
        self._judged = {row: Judged.of(options, self.split, row) for row, kinds in self._kinds.items() if kinds}

    def watch(self) -> "Watch | None":
        """Return what the training is to show; None where nothing is kept."""
        from mia.train.watch import Watch

        nothing = not any(self._epochs(position) for position in range(len(self.rows)))
        return None if nothing else Watch(self._epochs, self._show)

    def save_beside(self, row: int, epochs: int) -> None:
        """Write what was collected of a model up to an epoch; the model itself is saved afterwards.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        pool = self.places.pool(row, epochs)
        names = {TRACE: "loss", LEAKAGE: "loss_auc"}
        for kind in self._kinds[row]:
            pool.save_beside(row, kind, {names[kind]: self._values[kind, row][:epochs]})

    def curves(self, row: int, trained: "Trained") -> dict[str, Float[np.ndarray, "E"]]:
        """Return a model's learning curves, with what lies behind them."""
        curves = {name: getattr(trained, name) for name in CURVES}
        for name in ("train_loss", "train_accuracy"):  # means over all places
            share = np.float32(self.split.members.shape[1] / len(self.split.members_of(row)))
            curves[name] = curves[name] * share
        if behind := self.behind.get(row):
            for name, curve in curves.items():
                curve[: behind.start.epoch] = behind.curves[name]
        return curves

    def _epochs(self, position: int) -> Sequence[int]:
        row = self.rows[position]
        if self._kinds[row]:
            return range(1, self.last + 1)
        return self.kept[row] if self.places.options.engine.keep_state else self.kept[row][:-1]

    def _show(self, shown: "Shown") -> None:
        row, epoch = self.rows[shown.position], shown.epoch
        for kind in self._kinds[row]:
            self._of(kind, row)[epoch - 1] = self._measure(kind, row, shown)
        if epoch in self.kept[row][:-1]:
            self.snapshot(row, epoch, shown.finished())
        if epoch == self.last and self.places.options.engine.keep_state:
            self.places.pool(row, epoch).save_beside(row, STATE, shown.state())

    def _measure(self, kind: str, row: int, shown: "Shown") -> "np.ndarray | float":
        if kind == TRACE:
            return shown.losses(self.asked)
        judged = self._judged[row]
        return placements(-shown.losses(judged.index).astype(np.float64), judged.is_member).auc

    def _of(self, kind: str, row: int) -> np.ndarray:
        """Return the array that a kind is collected in, with what lies behind."""
        if (kind, row) not in self._values:
            shape = (self.last, len(self.asked)) if kind == TRACE else (self.last,)
            values = self._values[kind, row] = np.full(shape, np.nan, np.float32)
            if behind := self.behind.get(row):
                values[: behind.start.epoch] = behind.beside[kind]
        return self._values[kind, row]
