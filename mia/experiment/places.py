"""Where models belong: the pool of each, after any number of epochs.

Takes the options, what makes a pool, and a store; gives pools. A model after some epochs is the same whether training
ends there or goes on, so it lies where a training of so many epochs looks for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from mia.experiment.options import ExperimentOptions
from mia.store import Pool, PoolStore
from mia.train.options import TrainOptions

Identity = Callable[[TrainOptions], Mapping[str, Any]]


class Places:
    """The pools of some rows of a split."""

    def __init__(
        self, options: ExperimentOptions, store: PoolStore, rows: Iterable[int], identity: Identity, *, is_shared: bool
    ) -> None:
        """Look nothing up yet.

        Args:
            options: The experiment's.
            store: Where pools lie.
            rows: Of the models: 0 is the target.
            identity: What makes a pool of models trained so.
            is_shared: Whether trainings of other lengths train on the same records.
        """
        self.options, self.store, self.rows, self.is_shared = options, store, tuple(rows), is_shared
        self._identity = identity
        self._pools: dict[tuple[int, int], Pool] = {}
        self._by_name: dict[str, Pool] = {}

    def train(self, row: int, epochs: int | None = None) -> TrainOptions:
        """Return how a model is trained, for so many epochs (None: for the experiment's)."""
        train = self.options.shadow_train if row else self.options.train
        return train if epochs in (None, train.epochs) else replace(train, epochs=epochs)

    def pool(self, row: int, epochs: int | None = None) -> Pool:
        """Return where a model of so many epochs belongs; one object for one pool."""
        train = self.train(row, epochs)
        key = int(row > 0), train.epochs
        if key not in self._pools:
            pool = self.store.pool(self._identity(train))
            self._pools[key] = self._by_name.setdefault(pool.fingerprint, pool)
        return self._pools[key]

    def kept(self, row: int) -> list[int]:
        """Return the epochs after which a model is kept: the experiment's, and those that are asked for beside it."""
        train = self.train(row)
        others = [] if train.depends_on_epochs() or not self.is_shared else self.options.engine.snapshots
        return sorted({train.epochs, *others})

    @cached_property
    def has_states(self) -> bool:
        """Whether the store holds any training that can go on."""
        return any(self.store.folder.glob("*/state"))

    def all(self) -> list[Pool]:
        """Return every pool that a training may write to."""
        return list({pool.fingerprint: pool for row in self.rows for pool in self._of(row)}.values())

    def _of(self, row: int) -> list[Pool]:
        return [self.pool(row, epochs) for epochs in self.kept(row)]
