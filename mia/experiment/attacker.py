"""An attacker without real records: its own ones are made from the target's answers, and shadows train on nothing else.

Takes options, the data set and the split over both; gives the ensemble and the data set with the attacker's records
behind the real ones. The target is trained first: then it is only queried, through its output defence.
"""

from dataclasses import dataclass, replace

import numpy as np

from mia.experiment.clock import Clock
from mia.experiment.observer import Observer
from mia.experiment.options import ExperimentOptions
from mia.experiment.pools import Ensemble, gather_models, gather_shadows, gather_target
from mia.experiment.signals import DefendedAnswers, as_probabilities
from mia.records import Dataset, Split
from mia.seeds import stage_generator
from mia.shadow_data.make import Known, OwnRecords, count_records, make_records
from mia.shadow_data.query import Target
from mia.split.make import make_split
from mia.store import PoolStore


@dataclass(frozen=True)
class World:
    """All records of an experiment and all its models."""

    data: Dataset  # the attacker's own records last
    ensemble: Ensemble
    metrics: dict[str, float]
    warnings: tuple[str, ...]


def plan_split(options: ExperimentOptions, data: Dataset) -> Split:
    """Return the split, over the data set and the attacker's own records behind it.

    The target's part is the same whatever the attacker has.

    Raises:
        RequestError: there are too few records.
    """
    if options.shadow_data.name == "real":
        return make_split(options.split, len(data.x), options.seed)
    left = max(len(data.x) - 2 * options.split.size, 0)
    count = count_records(options.shadow_data, left, options.split.size, data.num_classes)
    own = np.arange(len(data.x), len(data.x) + count)
    return make_split(options.split, len(data.x) + count, options.seed, shadow_records=own)


def gather(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observer: Observer, clock: Clock
) -> World:
    """Return all models, with whatever was missing trained and saved, and the records that they know.

    Raises:
        RequestError: no own records could be made.
        DivergedError: a loss became infinite or not a number.
        StorageError: a model could not be saved.
    """
    observer.stage("train")
    if options.shadow_data.name == "real":
        with clock.stage("train"):
            return World(data, gather_models(options, data, split, store, observer), {}, ())
    with clock.stage("train"):
        target = gather_target(options, data, split, store, observer)
    observer.stage("shadow_data")
    with clock.stage("shadow_data"):
        made = make_own_records(options, data, split, target, observer)
    own = replace(data, x=made.x, y=made.y)
    everything = replace(data, x=np.concatenate([data.x, own.x]), y=np.concatenate([data.y, own.y]))
    observer.stage("train")
    with clock.stage("train"):
        ensemble = gather_shadows(options, everything, own, split, store, observer, target)
    return World(everything, ensemble, _metrics(made), _absent_classes(options, made, data))


def make_own_records(
    options: ExperimentOptions, data: Dataset, split: Split, target: Ensemble, observer: Observer
) -> OwnRecords:
    """Return the attacker's own records: of the data set it is given only what the target leaves."""
    left = np.setdiff1d(np.arange(len(data.x)), np.concatenate([split.members[0], split.nonmembers[0]]))
    known = Known(data.x[left], data.y[left], data.features, data.num_classes)
    answers = DefendedAnswers(options, data, split, target)
    return make_records(
        options.shadow_data,
        known,
        split.num_records - len(data.x),
        Target(lambda x: as_probabilities(*answers.ask(0, x)), data.x.shape[1:]),
        stage_generator(options.seed, "shadow_data"),
        observer.making,
    )


def _metrics(made: OwnRecords) -> dict[str, float]:
    return {
        "shadow_data/records": len(made.x),
        "shadow_data/classes": len(np.unique(made.y)),
        "shadow_data/queries": made.queries,
        "shadow_data/queries_per_record": made.queries / len(made.x),
    }


def _absent_classes(options: ExperimentOptions, made: OwnRecords, data: Dataset) -> tuple[str, ...]:
    absent = np.setdiff1d(np.arange(data.num_classes), made.y)
    if not len(absent):
        return ()
    names = ", ".join(data.class_names[label] if data.class_names else str(label) for label in absent)
    line = (
        f"shadow_data={options.shadow_data.name}: no record of {len(absent)} of {data.num_classes} classes ({names}); "
        "shadows and attack models know nothing of them"
    )
    return (line,)
