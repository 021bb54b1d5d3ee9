"""One experiment from beginning to end: split, train, signals, attacks, metrics, in this order.

Takes options, a data set and a pool store; gives a `Result`. Pure but for the store: the same options and data give the
same result, whatever the store already held.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from mia.attacks import check_possible, run_attack
from mia.experiment.attacker import gather, plan_split
from mia.experiment.clock import Clock
from mia.experiment.growth import grow
from mia.experiment.judge import judge_attacks, privacy_cost, shadow_accuracies, utility
from mia.experiment.observer import Observer, Silent
from mia.experiment.options import ExperimentOptions
from mia.experiment.pools import Ensemble
from mia.experiment.signals import Question, make_questions, true_class_confidence
from mia.metrics.comparison import over_targets
from mia.metrics.evaluation import per_class
from mia.records import Dataset, Result, Scores, Signals
from mia.seeds import stage_seed
from mia.split.make import relaxed_rules
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
    for name, attack in options.attack.chosen.items():
        check_possible(name, attack, options.split.protocol, options.split.num_shadows)


def run_experiment(
    options: ExperimentOptions, data: Dataset, store: PoolStore, observer: Observer | None = None
) -> tuple[Result, Ensemble]:
    """Return what the experiment found out, and where its models lie.

    Raises:
        RequestError: the options do not fit the data.
        DivergedError: a loss became infinite or not a number.
        StorageError: a model could not be saved.
    """
    observer, clock = observer or Silent(), Clock()
    check_request(options, data)
    split = plan_split(options, data)
    world = gather(options, data, split, store, observer, clock)
    ensemble = world.ensemble
    observer.stage("signals")
    with clock.stage("signals"):
        questions = make_questions(options, world.data, split, ensemble)
    observer.stage("attack")
    with clock.stage("attack"):
        scores = [attack_target(options, question.signals, observer) for question in questions]
    observer.stage("metrics")
    with clock.stage("metrics"):
        metrics, warnings = _judge(options, questions, scores)
        first = questions[0]
        labels = first.signals.labels[first.signals.candidates]
        rows = [
            {"attack": name, **row}
            for name, one in scores[0].items()
            for row in per_class(one, first.is_member, labels, data.class_names)
        ]
    reused = len(ensemble.rows) - ensemble.num_trained
    spent, notes = privacy_cost(options.train, options.split.size)
    metrics |= world.metrics | spent | {"pool/models_trained": ensemble.num_trained, "pool/models_reused": reused}
    said = [*options.train.idle(), *relaxed_rules(options.split, split)]
    result = Result(
        metrics=metrics | clock.metrics(),
        index=first.index,
        is_member=first.is_member,
        labels=labels,
        confidence=true_class_confidence(first.signals),
        scores=scores[0],
        per_class=rows,
        curves=ensemble.curves(),
        shadow_accuracy=shadow_accuracies(first.signals),
        class_names=data.class_names,
        warnings=tuple(dict.fromkeys([*said, *ensemble.warnings, *world.warnings, *warnings, *notes])),
        growth=grow(options.attack, first, options.seed) if options.attack.growth else (),
    )
    return result, ensemble


def attack_target(options: ExperimentOptions, signals: Signals, observer: Observer) -> dict[str, Scores]:
    """Return the scores of every chosen attack on one target."""
    return {
        name: run_attack(
            name,
            signals,
            chosen,
            stage_seed(options.seed, f"attack/{name}"),
            progress=partial(observer.attacking, name),
        )
        for name, chosen in options.attack.chosen.items()
    }


def _judge(
    options: ExperimentOptions, questions: list[Question], scores: list[dict[str, Scores]]
) -> tuple[dict[str, float], list[str]]:
    """Return flat metrics (means and deviations where there are several targets) and warnings of the first target."""
    judged = [
        judge_attacks(by_name, question.is_member, options.attack.prior, options.seed, question.target)
        for question, by_name in zip(questions, scores, strict=True)
    ]
    metrics = [
        utility(question.signals, question.is_member) | found
        for question, (found, _) in zip(questions, judged, strict=True)
    ]
    return (metrics[0] if len(metrics) == 1 else over_targets(metrics)), judged[0][1]


def scores_file(result: Result) -> Mapping[str, np.ndarray]:
    """Return the arrays of `scores.npz`: one per attack, and `index` and `member`."""
    scores = {name: one.score for name, one in result.scores.items()}
    return {"index": result.index, "member": result.is_member.astype(np.int8)} | scores
