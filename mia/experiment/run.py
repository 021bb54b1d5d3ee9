"""One experiment from beginning to end: split, train, signals, attacks, metrics, in this order.

Takes options, a data set and a pool store; gives a `Result`. Pure but for the store: the same options and data give the
same result, whatever the store already held.
"""

from mia.attacks.registry import check_possible
from mia.experiment.attacker import gather, plan_split
from mia.experiment.attacking import attack_target, grow, quick_first
from mia.experiment.clock import Clock
from mia.experiment.judge import privacy_cost
from mia.experiment.observer import Observe, ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.result import build_result
from mia.experiment.signals import make_tasks
from mia.records import Dataset, Result
from mia.split import relaxed_rules
from mia.store import PoolStore
from mia.train.compatible import check_compatible


def check_request(options: ExperimentOptions, data: Dataset) -> None:
    """Refuse what cannot work, before anything is trained.

    Raises:
        RequestError: too few records for the split, a model or a defence that does not go with them, or an attack that
            lacks what it needs.
    """
    plan_split(options, data)
    check_compatible(options.train, options.model, data.x.shape[1:], options.split.size)
    for name, attack in options.attack.chosen().items():
        check_possible(name, attack, options.split.protocol, options.split.num_shadows)


def run_experiment(options: ExperimentOptions, data: Dataset, store: PoolStore, observe: Observe = ignore) -> Result:
    """Return what the experiment found out.

    Raises:
        RequestError: the options do not fit the data.
        DivergedError: a loss became infinite or not a number.
        StorageError: a model could not be saved.
    """
    clock, attacks = Clock(observe), quick_first(options.attack)
    check_request(options, data)
    split = plan_split(options, data)
    materials = gather(options, data, split, store, observe, clock)
    ensemble = materials.ensemble
    with clock.stage("signals"):
        tasks = make_tasks(options, materials, split)
    with clock.stage("attack"):
        scores = [attack_target(attacks, task, options.seed, observe) for task in tasks]
    growth: list[dict[str, str | float]] = []
    if options.attack.growth:
        with clock.stage("growth"):
            growth = grow(attacks, tasks[0], scores[0], options.attack.prior, options.seed, observe)
    spent, notes = privacy_cost(options.train, options.split.size)
    said = [*options.train.idle(), *relaxed_rules(options.split, split), *ensemble.warnings, *materials.warnings]
    models = {
        "pool/models_trained": ensemble.num_trained,
        "pool/models_reused": len(ensemble.rows) - ensemble.num_trained,
    }
    with clock.stage("metrics"):
        result = build_result(
            tasks,
            scores,
            prior=options.attack.prior,
            seed=options.seed,
            class_names=data.class_names,
            metrics={**materials.metrics, **spent, **models},
            warnings=[*said, *notes],
            curves=ensemble.curves(),
            growth=growth,
            pools=ensemble.fingerprints,
        )
    return result.with_metrics(clock.metrics())
