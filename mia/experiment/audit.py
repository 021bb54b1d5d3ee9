"""The attacks and metrics of an experiment, on predictions from a file: the same stages, without training."""

from functools import partial

from mia.attacks import run_attack
from mia.attacks.options import AttackOptions
from mia.audit import Audit
from mia.checks import RequestError
from mia.experiment.judge import judge_attacks, shadow_accuracies, utility
from mia.experiment.observer import Observer, Silent
from mia.experiment.signals import true_class_confidence
from mia.metrics.evaluation import per_class
from mia.records import Result, Scores
from mia.seeds import stage_seed

LARGEST_FOR_CLASSIFIERS = 200_000
"""Rows of shadow answers above which classifiers run only when asked for by name."""


def run_audit(
    audit: Audit, options: AttackOptions, seed: int, *, is_chosen: bool, observer: Observer | None = None
) -> Result:
    """Return what the attacks found out.

    Args:
        audit: The file.
        options: The attacks to run.
        seed: The root seed.
        is_chosen: Whether a person named the attacks: then one that is impossible is an error, otherwise it is left out
            and a warning says why.
        observer: Told of progress.

    Raises:
        RequestError: a chosen attack lacks what it needs, or no attack is possible.
    """
    observer = observer or Silent()
    observer.stage("attack")
    scores: dict[str, Scores] = {}
    left_out: list[str] = []
    for name, chosen in options.chosen.items():
        if not is_chosen and ATTACKS[name].is_slow and audit.signals.shadow_own.sum() > LARGEST_FOR_CLASSIFIERS:
            left_out.append(
                f"{name} left out: {audit.signals.shadow_own.sum():,} rows; name it in attack=[...] to run it"
            )
            continue
        try:
            scores[name] = run_attack(
                name,
                audit.signals,
                chosen,
                stage_seed(seed, f"attack/{name}"),
                progress=partial(observer.attacking, name),
            )
        except RequestError as error:
            if is_chosen:
                raise
            left_out.append(f"left out: {error}")
    if not scores:
        raise RequestError(f"no attack is possible on this file: {'; '.join(left_out)}")
    observer.stage("metrics")
    metrics, warnings = judge_attacks(scores, audit.is_member, options.prior, seed)
    labels = audit.signals.labels[audit.signals.candidates]
    return Result(
        metrics=utility(audit.signals, audit.is_member) | metrics,
        index=audit.index,
        is_member=audit.is_member,
        labels=labels,
        confidence=true_class_confidence(audit.signals),
        scores=scores,
        per_class=[
            {"attack": name, **row}
            for name, one in scores.items()
            for row in per_class(one, audit.is_member, labels, audit.class_names)
        ],
        curves=None,
        shadow_accuracy=shadow_accuracies(audit.signals) if audit.signals.num_shadows else None,
        class_names=audit.class_names,
        warnings=tuple(dict.fromkeys([*audit.warnings, *left_out, *warnings])),
    )
