"""One experiment from beginning to end: split, train, signals, attacks, metrics, in this order.

Takes options, a data set and a pool store; gives a `Result`. Pure but for the store: the same options and data give the
same result, whatever the store already held.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from mia.attacks import check_possible
from mia.experiment.attacker import as_trained, gather, plan_split
from mia.experiment.attacking import attack_target, grow, quick_first
from mia.experiment.clock import Clock
from mia.experiment.judge import Terms, privacy_cost
from mia.experiment.needs import check_known_nonmembers, check_needs
from mia.experiment.observer import Observe, ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.own_training import OwnTraining
from mia.experiment.pools import Materials, check_places, gather_foreign
from mia.experiment.result import build_result, judge
from mia.experiment.signals import make_tasks, utility_of_canary_models
from mia.records import AttackTask, Dataset, Result
from mia.split import relaxed_rules
from mia.store import PoolStore
from mia.train.compatible import check_compatible

MOST_TRIED = 1000
"""Shadows whose records are drawn, where groups stay together, to see whether they can be."""


def check_request(options: ExperimentOptions, data: Dataset, own: OwnTraining | None = None) -> None:
    """Refuse what cannot work, before anything is trained.

    Raises:
        RequestError: too few records for the split, a model or a defence that does not go with them, or an attack that
            lacks what it needs.
    """
    _try_split(options, data)
    if own is None:
        check_compatible(options.train, options.model, data.x.shape[1:], options.split.size)
    else:
        own.check(options)
    check_places(options)
    for name, attack in options.attack.chosen.items():
        check_possible(name, attack, options.split.protocol, options.split.num_shadows, options.split.num_targets)
        check_needs(name, options.model, options.train, is_own=own is not None)
        check_known_nonmembers(name, options.split, len(data.x))


def _try_split(options: ExperimentOptions, data: Dataset) -> None:
    """Draw the records of as many models as tell whether all can have theirs.

    Whether they can depends on their number only where groups stay together, and there by chance.

    Raises:
        RequestError: they cannot.
    """
    shadows = min(options.split.num_shadows, 1 if data.groups is None else MOST_TRIED)
    plan_split(replace(options, split=replace(options.split, num_shadows=shadows, num_targets=1)), data)


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
    data = as_trained(options, data)
    if own is None:
        materials = gather(options, data, split, store, observe, clock)
    else:
        with clock.stage("train"):
            materials = Materials(data, len(data.x), gather_foreign(options, data, split, store, observe, own))
    ensemble = materials.ensemble
    with clock.stage("signals"):
        made = make_tasks(options, materials, split, can_ask=own is None, observe=observe)
        tasks = [told_about(task, data) for task in made]
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
        *why_no_bound(options),
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
        delta = options.train.dp.delta if options.audit.delta is None else options.audit.delta
        terms = Terms(options.attack.prior, delta, options.audit.confidence)
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
        if split.canaries is not None:
            result = with_utility(result, utility_of_canary_models(options, materials, split))
    return result.with_metrics(clock.metrics())


def why_no_bound(options: ExperimentOptions) -> list[str]:
    """Return why a run whose training promises an epsilon tells no bound on it; nothing where it does, or need not."""
    if options.split.protocol == "canary" or not options.train.dp.is_on:
        return []
    line = (
        f"no bound on epsilon: split={options.split.protocol} draws a fixed number of members; a bound needs each "
        "record in or out by its own coin, as split=canary has it"
    )
    return [line]


def with_utility(result: Result, accuracy: Float[np.ndarray, "M 2"]) -> Result:
    """Return a result with the accuracies of the target, the first row, and of the shadows."""
    found = dict(zip(("target/train_accuracy", "target/test_accuracy"), map(float, accuracy[0]), strict=True))
    found["target/generalization_gap"] = found["target/train_accuracy"] - found["target/test_accuracy"]
    shadows = accuracy[1:] if len(accuracy) > 1 else None
    if shadows is not None:
        means = map(float, shadows.mean(axis=0))
        found |= dict(zip(("shadow/train_accuracy", "shadow/test_accuracy"), means, strict=True))
    return replace(result, shadow_accuracy=shadows).with_metrics(found)


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
