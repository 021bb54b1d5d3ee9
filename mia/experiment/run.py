"""One experiment from beginning to end: split, train, signals, attacks, metrics, in this order.

Takes options, a data set and a pool store; gives a `Result`. Pure but for the store: the same options and data give the
same result, whatever the store already held.
"""

from dataclasses import replace

import numpy as np

from mia.attacks import check_possible
from mia.experiment.attacker import gather, plan_split
from mia.experiment.attacking import attack_target, grow, quick_first
from mia.experiment.clock import Clock
from mia.experiment.judge import Terms, privacy_cost
from mia.experiment.observer import Observe, ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.own_training import OwnTraining
from mia.experiment.pools import Materials, gather_foreign
from mia.experiment.result import build_result, judge
from mia.experiment.signals import make_tasks
from mia.records import AttackTask, Dataset, Result
from mia.split import relaxed_rules
from mia.store import PoolStore
from mia.train.compatible import check_compatible


def check_request(options: ExperimentOptions, data: Dataset, own: OwnTraining | None = None) -> None:
    """Refuse what cannot work, before anything is trained.

    Raises:
        RequestError: too few records for the split, a model or a defence that does not go with them, or an attack that
            lacks what it needs.
    """
    plan_split(options, data)
    if own is None:
        check_compatible(options.train, options.model, data.x.shape[1:], options.split.size)
    else:
        own.check(options)
    for name, attack in options.attack.chosen.items():
        check_possible(name, attack, options.split.protocol, options.split.num_shadows, options.split.num_targets)


def run_experiment(
    options: ExperimentOptions,
    data: Dataset,
    store: PoolStore,
    observe: Observe = ignore,
    own: OwnTraining | None = None,
) -> Result:
    """Return what the experiment found out.

    Args:
        options: What to do.
        data: The data set.
        store: Where models are looked for and kept.
        observe: Told of progress.
        own: Somebody's own training in place of ours: `options.model` and `options.train` do not count then.

    Raises:
        RequestError: the options do not fit the data.
        DivergedError: a loss became infinite or not a number.
        StorageError: a model could not be saved.
    """
    clock, attacks = Clock(observe), quick_first(options.attack)
    check_request(options, data, own)
    split = plan_split(options, data)
    if own is None:
        materials = gather(options, data, split, store, observe, clock)
    else:
        with clock.stage("train"):
            materials = Materials(data, len(data.x), gather_foreign(options, data, split, store, observe, own))
    ensemble = materials.ensemble
    with clock.stage("signals"):
        tasks = [told_about(task, data) for task in make_tasks(options, materials, split, can_ask=own is None)]
    with clock.stage("attack"):
        scores = [attack_target(attacks, task, options.seed, observe) for task in tasks]
    growth: list[dict[str, str | float]] = []
    if options.attack.growth:
        with clock.stage("growth"):
            growth = grow(attacks, tasks[0], scores[0], options.attack.prior, options.seed, observe)
    spent, notes = privacy_cost(options.train, options.split.size) if own is None else ({}, [])
    idle = options.train.idle() if own is None else []
    said = [
        *idle,
        *data.notes,
        *copies_on_both_sides(tasks[0], data),
        *relaxed_rules(options.split, split),
        *ensemble.warnings,
        *materials.warnings,
    ]
    models = {
        "pool/models_trained": ensemble.num_trained,
        "pool/models_reused": len(ensemble.rows) - ensemble.num_trained,
    }
    with clock.stage("metrics"):
        terms = Terms(options.attack.prior, options.train.dp.delta)
        judged = [judge(task, found, terms, options.seed) for task, found in zip(tasks, scores, strict=True)]
        result = build_result(
            tasks[0],
            scores[0],
            judged,
            class_names=data.class_names,
            metrics={**materials.metrics, **spent, **models},
            warnings=[*said, *notes],
            curves=ensemble.curves() if own is None else None,
            growth=growth,
            pools=ensemble.fingerprints,
        )
    return result.with_metrics(clock.metrics())


def told_about(task: AttackTask, data: Dataset) -> AttackTask:
    """Return the task with what the data set says of its candidate records: whose they are, and what tells them apart.

    Candidates are the data set's own records, whatever the attacker's shadows were trained on.
    """
    groups = None if data.groups is None else data.groups[task.index]
    return replace(task, groups=groups, slices={name: values[task.index] for name, values in data.slices.items()})


def copies_on_both_sides(task: AttackTask, data: Dataset) -> tuple[str, ...]:
    """Return a line that counts the non-members of which the target trained on an exact copy, if there are any."""
    first = data.first_copy[task.index]
    seen = int(np.isin(first[~task.is_member], first[task.is_member]).sum())
    if not seen:
        return ()
    line = (
        f"{seen} of {int((~task.is_member).sum())} non-members are exact copies of members: no attack can tell them "
        "apart, and all leakage is understated; data.duplicates=drop leaves copies of a table out"
    )
    return (line,)
