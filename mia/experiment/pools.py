"""The target and its shadows: found in the store, or trained and saved one by one.

Takes options, data, a split and a store; gives the place of every model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mia.checks import RequestError
from mia.experiment.epochs import read_leakage
from mia.experiment.identity import foreign_pool_identity, own_pool_identity, pool_identity
from mia.experiment.observer import Observe, PoolNeeded, Step
from mia.experiment.options import ExperimentOptions
from mia.experiment.own_training import OwnTraining
from mia.experiment.places import Places
from mia.experiment.training import TrainingData, train_missing
from mia.models import model_kind
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
        stored = [pool.curves(row) for row, pool in enumerate(self.rows)]
        curves = {name: np.stack([curves[name] for curves in stored]) for name in CURVES}
        return Curves(**curves, loss_auc=read_leakage(self.rows[0], 0))


@dataclass(frozen=True)
class Materials:
    """All records and all models of an experiment."""

    data: Dataset  # the attacker's own records last
    num_real: int  # records of the data set proper
    ensemble: Ensemble
    metrics: Mapping[str, float] = field(default_factory=dict)  # what the attacker's own records cost
    warnings: tuple[str, ...] = ()


def gather_foreign(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observe: Observe, own: OwnTraining
) -> Ensemble:
    """Return the ensemble whose models somebody's own training makes, one after another.

    Raises:
        RequestError: it gives no logits.
        StorageError: a model could not be saved.
    """
    pool = store.pool(foreign_pool_identity(options, data, own.name))
    rows = range(split.num_models)
    todo = pool.missing(rows)
    if todo:
        observe(PoolNeeded(pool.fingerprint))
        with store.training([pool]):
            todo = pool.missing(rows)
            for done, row in enumerate(todo):
                observe(Step(f"train: model {done + 1} of {len(todo)}", done, len(todo)))
                logits = own.logits(data, split.members_of(row), stage_seed(options.seed, "train", row))
                curves = {name: np.empty(0, np.float32) for name in CURVES}
                pool.save(row, TrainedModel({}, curves, logits))
    return _ensemble((pool,) * split.num_models, len(todo))


def gather_models(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observe: Observe
) -> Ensemble:
    """Return the ensemble of the experiment, with whatever was missing trained and saved.

    Raises:
        DivergedError: a loss became infinite or not a number.
        StorageError: a model could not be saved.
    """
    return _gather(_places(options, data, store, range(split.num_models)), data, split, observe)


def gather_target(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observe: Observe
) -> Ensemble:
    """Return the target alone, from the pool that it shares with shadows on real records."""
    return _gather(_places(options, data, store, [0]), data, split, observe)


def _places(options: ExperimentOptions, data: Dataset, store: PoolStore, rows: Iterable[int]) -> Places:
    return Places(options, store, rows, lambda train: pool_identity(options, data, train), is_shared=True)


def _gather(places: Places, data: Dataset, split: Split, observe: Observe) -> Ensemble:
    told: list[str] = []
    num_trained = train_missing(places, TrainingData(data, data), split, observe, told)
    return _ensemble(tuple(places.pool(row) for row in places.rows), num_trained, told)


def gather_shadows(
    options: ExperimentOptions,
    data: Dataset,
    own: Dataset,
    split: Split,
    store: PoolStore,
    observe: Observe,
    target: Ensemble,
) -> Ensemble:
    """Return the target and shadows that are trained on the attacker's `own` records, the last ones of `data`.

    The shadows' training is handed `own` and nothing else; afterwards they are asked about all records.
    """
    places = Places(
        options,
        store,
        range(1, split.num_models),
        lambda train: own_pool_identity(options, data, own, train),
        is_shared=options.shadow_data.name == "noisy",  # others are made of the target's answers
    )
    given = TrainingData(own, data, len(data.x) - len(own.x))
    told = [*target.warnings]
    num_trained = train_missing(places, given, split, observe, told)
    rows = (*target.rows, *(places.pool(row) for row in places.rows))
    return _ensemble(rows, target.num_trained + num_trained, told)


def _ensemble(rows: tuple[Pool, ...], num_trained: int, told: Sequence[str] = ()) -> Ensemble:
    pools = {id(pool): pool for pool in rows}.values()
    set_aside = [line for pool in pools for line in pool.set_aside]
    return Ensemble(rows, num_trained, tuple(dict.fromkeys([*set_aside, *told])))


def check_places(options: ExperimentOptions) -> None:
    """Refuse training that an empty place would have a part in.

    Raises:
        RequestError: a defence that gives records losses or targets of its own or sets some aside, or a model whose
            records influence one another.
    """
    if options.split.protocol != "canary":
        return
    for defence in options.train.defences():
        if defence.share or any(
            defence.has(hook) for hook in ("batch", "targets", "record_losses", "mean_loss", "prepare")
        ):
            raise RequestError(
                f"split=canary leaves the places of absent canaries empty, where {defence.key} would give a loss: "
                "leave one of the two out"
            )
    if mixing := model_kind(options.model).mixes(options.model):
        raise RequestError(f"split=canary leaves the places of absent canaries empty, and {mixing} would see them")
