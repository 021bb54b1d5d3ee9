"""The target and its shadows: found in the store, or trained and saved one by one.

Takes options, data, a split and a store; gives the place of every model. Training happens under the pools' locks, so
that two processes never train the same model, and each model is saved as soon as its group is done.
"""

from dataclasses import dataclass

import numpy as np

from mia.experiment.identity import pool_identity
from mia.experiment.observer import Observer
from mia.experiment.options import ExperimentOptions
from mia.records import Curves, Dataset, Split
from mia.seeds import stage_seed
from mia.store import CURVES, Pool, PoolStore, TrainedModel


@dataclass(frozen=True)
class Ensemble:
    """Where each model lies: row 0 is the target, row k is shadow k."""

    rows: tuple[Pool, ...]
    num_trained: int
    warnings: tuple[str, ...]

    @property
    def fingerprints(self) -> list[str]:
        """The pools in use: one, or two where the attacker does not know of the defence."""
        return sorted({pool.fingerprint for pool in self.rows})

    def curves(self) -> Curves:
        """Return every model's learning curves."""
        stored = [pool.signals(row)[1] for row, pool in enumerate(self.rows)]
        return Curves(**{name: np.stack([curves[name] for curves in stored]) for name in CURVES})


def gather_models(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observer: Observer
) -> Ensemble:
    """Return the ensemble of the experiment, with whatever was missing trained and saved.

    Raises:
        DivergedError: a loss became infinite or not a number.
        StorageError: a model could not be saved.
    """
    target = store.pool(pool_identity(options, data, options.train))
    shadow = store.pool(pool_identity(options, data, options.shadow_train))
    if shadow.fingerprint == target.fingerprint:
        shadow = target
    rows = (target, *[shadow] * (split.num_models - 1))
    todo = _missing(rows)
    if todo:
        observer.waiting(target.fingerprint)
        with store.training({pool.fingerprint: pool for pool in (target, shadow)}.values()):
            todo = _missing(rows)  # another process may have trained them meanwhile
            _train(options, data, split, rows, todo, observer)
    warnings = dict.fromkeys(target.set_aside + shadow.set_aside)
    return Ensemble(rows, len(todo), tuple(warnings))


def _missing(rows: tuple[Pool, ...]) -> list[int]:
    return [row for row, pool in enumerate(rows) if pool.missing([row])]


def _train(
    options: ExperimentOptions,
    data: Dataset,
    split: Split,
    rows: tuple[Pool, ...],
    todo: list[int],
    observer: Observer,
) -> None:
    from mia.train.many import train_many
    from mia.train.predict import predict

    finished = train_many(
        data,
        split.members[todo],
        split.nonmembers[todo],
        np.array([stage_seed(options.seed, "train", row) for row in todo], np.uint32),
        options.model,
        [options.shadow_train if row else options.train for row in todo],
        options.engine,
        observer.training,
    )
    for model in finished:
        row = todo[model.position]
        logits = predict(options.model, model.parameters, data.x, data.scale, data.num_classes)
        curves = {name: getattr(model, name) for name in CURVES}
        rows[row].save(row, TrainedModel(model.parameters, curves, logits))
        observer.saved(row)
