"""Training what is missing: which models, for how long and from where; each is saved as soon as its group is done.

Takes the places of models, the data and a split; leaves models in their pools. Training happens under the pools' locks,
so that two processes never train the same model, and of trainings that differ in their length alone only the longest
takes place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from mia.experiment.epochs import Behind, Epochs, find_behind, read_trace, wants_trace
from mia.experiment.observer import Observe, PoolNeeded, Trained
from mia.experiment.places import Places
from mia.files import StorageError
from mia.records import Dataset, Split
from mia.registry import naming
from mia.seeds import stage_seed
from mia.split import EMPTY
from mia.store import TrainedModel
from mia.train.compatible import outside_parts
from mia.train.privacy import with_noise

FEW = 8192
"""Records that every model is asked about at once; of more, it is asked about those that a run needs, when it does."""


@dataclass(frozen=True)
class TrainingData:
    """What models are trained on and what they are asked about."""

    trained_on: Dataset
    asked: Dataset  # whose logits are stored, if they are few
    first: int = 0  # position of the first record trained on, as the split counts


def train_missing(places: Places, given: TrainingData, split: Split, observe: Observe, told: list[str]) -> int:
    """Train what is missing of some models, and return how many those were; `told` gets what a person should know."""
    todo = _missing(places)
    if todo:
        observe(PoolNeeded(places.pool(todo[0]).fingerprint))
        with places.store.training(places.all()):
            todo = _missing(places)  # another process may have trained them meanwhile
            for (last, _), rows in _by_length(places, split, todo).items():
                _train(places, given, split, rows, last, observe, told)
    return len(todo)


def _missing(places: Places) -> list[int]:
    return [row for row in places.rows if not _is_there(places, row)]


def _is_there(places: Places, row: int, epochs: int | None = None) -> bool:
    """Whether a model lies in its pool, with what is to be kept of its training."""
    pool = places.pool(row, epochs)
    return not pool.missing([row]) and not (wants_trace(places.options, row) and read_trace(pool, row) is None)


@dataclass(frozen=True)
class _Row:
    """One model to train."""

    row: int
    kept: Sequence[int]  # epochs after which it is saved
    behind: Behind | None


def _by_length(places: Places, split: Split, rows: Sequence[int]) -> Mapping[tuple[int, int], list[_Row]]:
    """Return the models to train, by how long they train and how much of that lies behind."""
    found: dict[tuple[int, int], list[_Row]] = {}
    for row in rows:
        kept = [epochs for epochs in places.kept(row) if not _is_there(places, row, epochs)]
        behind = find_behind(places, row, kept[0], split)
        key = kept[-1], behind.start.epoch if behind else 0
        found.setdefault(key, []).append(_Row(row, kept, behind))
    return found


def _train(
    places: Places,
    given: TrainingData,
    split: Split,
    models: Sequence[_Row],
    last: int,
    observe: Observe,
    told: list[str],
) -> None:
    from mia.train import group, many
    from mia.train.predict import predict

    options, asked, rows = places.options, given.asked, [one.row for one in models]
    trained_on, members = with_empty_places(given.trained_on, split.members[rows] - np.int32(given.first))
    behind = {one.row: one.behind for one in models if one.behind}

    def save(row: int, epochs: int, trained: group.Trained) -> None:
        logits = None
        if len(asked.x) <= FEW:
            logits = predict(options.model, trained.parameters, asked.x, asked.scale, asked.num_classes)
        collected.save_beside(row, epochs)
        model = TrainedModel(trained.parameters, collected.curves(row, trained), logits)
        places.pool(row, epochs).save(row, model)

    records = np.arange(len(given.trained_on.x))
    kept = {one.row: one.kept for one in models}
    collected = Epochs(places, split, rows, last, kept, records, behind, save)
    trainings = [with_noise(places.train(row, last), options.split.size) for row in rows]
    passing = (group.DivergedError, group.DeviceError, StorageError)
    with naming(outside_parts(options.model, trainings), *passing):
        finished = many.train_many(
            trained_on,
            members,
            split.nonmembers[rows] - np.int32(given.first),
            np.array([stage_seed(options.seed, "train", row) for row in rows], np.uint32),
            options.model,
            trainings,
            options.engine,
            lambda progress: observe(Trained(progress)),
            collected.watch(),
            {position: behind[row].start for position, row in enumerate(rows) if row in behind},
        )
        for trained in finished:
            save(rows[trained.position], last, trained)
            told += trained.warnings


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
