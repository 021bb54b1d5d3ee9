"""An attacker without real records: its own ones are made from the target's answers, and shadows train on nothing else.

Takes options, the data set and the split over both; gives the ensemble and the data set with the attacker's records
behind the real ones. The target is trained first: then it is only queried, through its output defence.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from mia.experiment.clock import Clock
from mia.experiment.observer import Observe, Step
from mia.experiment.options import ExperimentOptions
from mia.experiment.pools import Ensemble, Materials, gather_models, gather_shadows, gather_target
from mia.experiment.signals import DefendedAnswers
from mia.probabilities import softmax
from mia.records import Dataset, Split
from mia.seeds import stage_generator
from mia.shadow_data.make import Known, OwnRecords, count_records, make_records
from mia.shadow_data.query import Target
from mia.split import make_split, mislabelled
from mia.store import PoolStore


def plan_split(options: ExperimentOptions, data: Dataset) -> Split:
    """Return the split, over the data set and the attacker's own records behind it.

    The target's part is the same whatever the attacker has.

    Raises:
        RequestError: there are too few records.
    """
    if options.shadow_data.name == "real":
        return make_split(options.split, len(data.x), options.seed, groups=data.groups)
    left = max(len(data.x) - 2 * options.split.size, 0)
    count = count_records(options.shadow_data, left, options.split.size, data.num_classes)
    own = np.arange(len(data.x), len(data.x) + count)
    return make_split(options.split, len(data.x) + count, options.seed, shadow_records=own, groups=data.groups)


def as_trained(options: ExperimentOptions, data: Dataset) -> Dataset:
    """Return the data set as models are trained on it: with wrong labels for canaries, where that is asked for."""
    return mislabelled(data, options.split, plan_split(options, data), options.seed) if options.split.mislabel else data


def gather(
    options: ExperimentOptions, data: Dataset, split: Split, store: PoolStore, observe: Observe, clock: Clock
) -> Materials:
    """Return all models, with whatever was missing trained and saved, and the records that they know.

    Raises:
        RequestError: no own records could be made.
        DivergedError: a loss became infinite or not a number.
        StorageError: a model could not be saved.
    """
    if options.shadow_data.name == "real":
        with clock.stage("train"):
            return Materials(data, len(data.x), gather_models(options, data, split, store, observe))
    with clock.stage("train"):
        target = gather_target(options, data, split, store, observe)
    with clock.stage("shadow_data"):
        made = make_own_records(options, data, split, target, observe)
    own = replace(data, x=made.x, y=made.y, groups=None, slices={})  # nobody's records
    everything = replace(own, x=np.concatenate([data.x, own.x]), y=np.concatenate([data.y, own.y]))
    with clock.stage("train"):
        ensemble = gather_shadows(options, everything, own, split, store, observe, target)
    return Materials(everything, len(data.x), ensemble, _metrics(made), _absent_classes(options, made, data))


def make_own_records(
    options: ExperimentOptions, data: Dataset, split: Split, target: Ensemble, observe: Observe
) -> OwnRecords:
    """Return the attacker's own records: of the data set it is given only what the target leaves."""
    left = np.setdiff1d(np.arange(len(data.x)), np.concatenate([split.members[0], split.nonmembers[0]]))
    known = Known(data.x[left], data.y[left], data.features, data.num_classes)
    answers = DefendedAnswers(options, data, split, target, num_real=len(data.x))

    def ask(x: Shaped[np.ndarray, "B *features"]) -> Float[np.ndarray, "B C"]:
        outputs, is_probability = answers.ask(0, x)
        return outputs if is_probability else softmax(outputs)

    return make_records(
        options.shadow_data,
        known,
        split.num_records - len(data.x),
        Target(ask, data.x.shape[1:]),
        stage_generator(options.seed, "shadow_data"),
        lambda done, total: observe(Step(f"shadow data: {done:,} of {total:,} records", done, total)),
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
