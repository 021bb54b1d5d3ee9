"""The attacks and metrics of an experiment, on predictions from elsewhere: the same stages, without training."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mia.attacks import ATTACKS
from mia.attacks.run import check_signals
from mia.checks import RequestError
from mia.experiment.attacking import attack_target, grow
from mia.experiment.clock import Clock
from mia.experiment.judge import Terms
from mia.experiment.observer import Observe, Scored, ignore
from mia.experiment.result import Judged, build_result, judge
from mia.predictions.audit import Audit
from mia.records import AttackTask, Result, Scores

NOT_BY_COINS = (
    "no bound on epsilon: it needs each record in or out of the training set by its own fair coin; where that is so, "
    "the file says independent=true"
)
LARGEST_FOR_CLASSIFIERS = 200_000
"""Rows of shadow answers above which slow attacks run only when asked for by name."""


def run_audit(
    audit: Audit,
    attacks: Mapping[str, Any],
    seed: int,
    *,
    is_chosen: bool,
    terms: Terms | None = None,
    growth: bool = False,
    observe: Observe = ignore,
) -> Result:
    """Return what the attacks found out.

    Args:
        audit: The targets, and what is known of them.
        attacks: The attacks to run, by name: their options, or functions `(signals, seed) -> scores`.
        seed: The root seed.
        is_chosen: Whether a person named the attacks: then one that is impossible is an error, otherwise it is left out
            and a warning says why.
        terms: On what terms they are judged.
        growth: Whether to attack with the first 1, 2, 4 ... shadows, too.
        observe: Told of progress.

    Raises:
        RequestError: a chosen attack lacks what it needs, or no attack is possible.
    """
    clock, terms = Clock(observe), terms or Terms()
    lines: list[str] = []
    if audit.scores:
        return _of_scores(audit, terms, seed, observe)
    if not is_chosen:
        attacks = _affordable(attacks, audit.tasks[0], lines)

    def leave_out(name: str, error: RequestError) -> None:
        impossible.add(name)
        lines.append(f"left out: {error}")

    impossible: set[str] = set()
    judged: list[Judged] = []
    first, scores = audit.tasks[0], dict[str, Scores]()
    rows: list[dict[str, str | float]] = []
    for position, task in enumerate(audit.tasks):
        with clock.stage("attack"):
            possible = {name: chosen for name, chosen in attacks.items() if name not in impossible}
            found = attack_target(possible, task, seed, observe, None if is_chosen else leave_out)
            if not found:
                raise RequestError(f"no attack is possible here: {'; '.join(dict.fromkeys(lines))}")
        if not position:
            first, scores = task, found
            if growth:
                with clock.stage("growth"):
                    rows = grow(attacks, task, found, terms.prior, seed, observe)
        with clock.stage("metrics"):
            judged.append(judge(task, found, terms, seed))
    return build_result(
        first,
        {name: one for name, one in scores.items() if name not in impossible},
        judged,
        class_names=audit.class_names,
        warnings=[*audit.warnings, *dict.fromkeys(lines), *why_no_bound(first)],
        growth=rows,
    )


def check_attacks(audit: Audit, attacks: Mapping[str, Any]) -> None:
    """Refuse attacks that lack what they need, before any is run.

    Raises:
        RequestError: one line that says what is lacking.
    """
    if not audit.scores:
        for name, chosen in attacks.items():
            if not callable(chosen):
                check_signals(name, audit.tasks[0].signals)


def _of_scores(audit: Audit, terms: Terms, seed: int, observe: Observe) -> Result:
    """Return what scores that were made elsewhere are worth."""
    (task,) = audit.tasks
    for name, scores in audit.scores.items():
        observe(Scored(name, scores, task.is_member))
    judged = [judge(task, audit.scores, terms, seed)]
    warnings = [*audit.warnings, *why_no_bound(task)]
    return build_result(task, audit.scores, judged, class_names=audit.class_names, warnings=warnings)


def why_no_bound(task: AttackTask) -> list[str]:
    """Return why there is no bound on epsilon, where nobody said that coins drew the members."""
    return [] if np.any(task.is_independent) else [NOT_BY_COINS]


def _affordable(attacks: Mapping[str, Any], task: AttackTask, lines: list[str]) -> Mapping[str, Any]:
    """Return the attacks that do not take their time on so many rows of shadows' answers."""
    rows = int(task.signals.shadow_own.sum())
    if rows <= LARGEST_FOR_CLASSIFIERS:
        return attacks
    slow = [name for name in attacks if name in ATTACKS and ATTACKS[name].is_slow]
    lines += [f"{name} left out: {rows:,} rows; name it in attack=[...] to run it" for name in slow]
    return {name: chosen for name, chosen in attacks.items() if name not in slow}
