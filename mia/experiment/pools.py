"""The target and its shadows: found in the store, or trained and saved one by one.

Takes options, data, a split and a store; gives the place of every model. Training happens under the pools' locks, so
that two processes never train the same model, and each model is saved as soon as its group is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int

from mia.checks import RequestError
from mia.experiment.epochs import Epochs, read_trace, wants_trace
from mia.experiment.identity import foreign_pool_identity, own_pool_identity, pool_identity
from mia.experiment.observer import Observe, PoolNeeded, Step, Trained
from mia.experiment.options import ExperimentOptions
from mia.experiment.own_training import OwnTraining
from mia.models import model_kind
from mia.records import Curves, Dataset, Split
from mia.seeds import stage_seed
from mia.split import EMPTY
from mia.store import CURVES, Pool, PoolStore, TrainedModel
from mia.train.privacy import with_noise


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
        return Curves(**{name: np.stack([curves[name] for curves in stored]) for name in CURVES})


@dataclass(frozen=True)
class Materials:
    """All records and all models of an experiment."""

    data: Dataset  # the attacker's own records last
    num_real: int  # records of the data set proper
    ensemble: Ensemble
    metrics: Mapping[str, float] = field(default_factory=dict)  # what the attacker's own records cost
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingData:
    """What models are trained on and what they are asked about."""

    trained_on: Dataset
    asked: Dataset  # whose logits are stored
    first: int = 0  # position of the first record trained on, as the split counts


def gather_foreign(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observe: Observe, own: OwnTraining
) -> Ensemble:
    """Return the ensemble whose models somebody's own training makes, one after another.

    Raises:
        RequestError: it gives no logits.
        StorageError: a model could not be saved.
    """
    pool = store.pool(foreign_pool_identity(options, data, own.name))
    models = dict.fromkeys(range(split.num_models), pool)
    todo = _missing(models)
    if todo:
        observe(PoolNeeded(pool.fingerprint))
        with store.training([pool]):
            todo = _missing(models)
            for done, row in enumerate(todo):
                observe(Step(f"train: model {done + 1} of {len(todo)}", done, len(todo)))
                logits = own.logits(data, split.members_of(row), stage_seed(options.seed, "train", row))
                curves = {name: np.empty(0, np.float32) for name in CURVES}
                pool.save(row, TrainedModel({}, curves, logits))
    return _ensemble(tuple(models.values()), len(todo))


def gather_models(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observe: Observe
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
    told: list[str] = []
    num_trained = _gather(options, dict(enumerate(rows)), TrainingData(data, data), split, store, observe, told)
    return _ensemble(rows, num_trained, told)


def gather_target(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observe: Observe
) -> Ensemble:
    """Return the target alone, from the pool that it shares with shadows on real records."""
    rows = (store.pool(pool_identity(options, data, options.train)),)
    told: list[str] = []
    num_trained = _gather(options, dict(enumerate(rows)), TrainingData(data, data), split, store, observe, told)
    return _ensemble(rows, num_trained, told)


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
    pool = store.pool(own_pool_identity(options, data, own))
    shadows = dict.fromkeys(range(1, split.num_models), pool)
    given = TrainingData(own, data, len(data.x) - len(own.x))
    told = [*target.warnings]
    num_trained = _gather(options, shadows, given, split, store, observe, told)
    return _ensemble((*target.rows, *shadows.values()), target.num_trained + num_trained, told)


def _ensemble(rows: tuple[Pool, ...], num_trained: int, told: Sequence[str] = ()) -> Ensemble:
    pools = {id(pool): pool for pool in rows}.values()
    set_aside = [line for pool in pools for line in pool.set_aside]
    return Ensemble(rows, num_trained, tuple(dict.fromkeys([*set_aside, *told])))


def _gather(
    options: ExperimentOptions,
    models: dict[int, Pool],
    given: TrainingData,
    split: Split,
    store: PoolStore,
    observe: Observe,
    told: list[str],
) -> int:
    """Train what is missing of some models, and return how many those were; `told` gets what a person should know."""
    todo = _missing(models, options)
    if todo:
        observe(PoolNeeded(models[todo[0]].fingerprint))
        with store.training({pool.fingerprint: pool for pool in models.values()}.values()):
            todo = _missing(models, options)  # another process may have trained them meanwhile
            if todo:
                _train(options, given, split, models, todo, observe, told)
    return len(todo)


def _missing(models: dict[int, Pool], options: ExperimentOptions | None = None) -> list[int]:
    """Return the rows whose model is not there, or lacks what is to be kept of its training."""
    return [
        row
        for row, pool in models.items()
        if pool.missing([row]) or (options and wants_trace(options, row) and read_trace(pool, row) is None)
    ]


def _train(
    options: ExperimentOptions,
    given: TrainingData,
    split: Split,
    models: dict[int, Pool],
    todo: list[int],
    observe: Observe,
    told: list[str],
) -> None:
    from mia.train.many import train_many
    from mia.train.predict import predict

    asked = given.asked
    trained_on, members = with_empty_places(given.trained_on, split.members[todo] - np.int32(given.first))
    epochs = Epochs(options, models, todo, np.arange(len(given.trained_on.x)))
    finished = train_many(
        trained_on,
        members,
        split.nonmembers[todo] - np.int32(given.first),
        np.array([stage_seed(options.seed, "train", row) for row in todo], np.uint32),
        options.model,
        [with_noise(options.shadow_train if row else options.train, options.split.size) for row in todo],
        options.engine,
        lambda progress: observe(Trained(progress)),
        epochs.watch(),
    )
    for model in finished:
        row = todo[model.position]
        logits = predict(options.model, model.parameters, asked.x, asked.scale, asked.num_classes)
        curves = {name: getattr(model, name) for name in CURVES}
        for name in ("train_loss", "train_accuracy"):  # means over all places
            curves[name] = curves[name] * np.float32(split.members.shape[1] / len(split.members_of(row)))
        epochs.save(row)
        models[row].save(row, TrainedModel(model.parameters, curves, logits))
        told += model.warnings


def with_empty_places(data: Dataset, members: Int[np.ndarray, "M n"]) -> tuple[Dataset, Int[np.ndarray, "M n"]]:
    """Return a data set with a record of no class behind its own, which stands for the empty places among the members.

    It has no target, so its loss is 0 and so is its gradient, to the last bit: under DP-SGD as everywhere it is as good
    as absent. `check_places` refuses what would give it one.
    """
    if (members >= 0).all():
        return data, members
    nothing = replace(
        data,
        x=np.concatenate([data.x, np.zeros_like(data.x[:1])]),
        y=np.append(data.y, np.array(EMPTY, data.y.dtype)),
        groups=None,
        slices={},
    )
    return nothing, np.where(members < 0, np.int32(len(data.x)), members).astype(np.int32)


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
