"""The attacks and metrics of an experiment, on predictions from elsewhere: the same stages, without training."""

from mia.attacks.options import AttackOptions
from mia.attacks.registry import ATTACKS, check_signals
from mia.audit import Audit
from mia.checks import RequestError
from mia.experiment.attacking import attack_target, grow, quick_first
from mia.experiment.clock import Clock
from mia.experiment.observer import Observe, ignore
from mia.experiment.result import build_result
from mia.records import Result

LARGEST_FOR_CLASSIFIERS = 200_000
"""Rows of shadow answers above which classifiers run only when asked for by name."""


def run_audit(audit: Audit, options: AttackOptions, seed: int, *, is_chosen: bool, observe: Observe = ignore) -> Result:
    """Return what the attacks found out.

    Args:
        audit: The targets, and what is known of them.
        options: The attacks to run.
        seed: The root seed.
        is_chosen: Whether a person named the attacks: then one that is impossible is an error, otherwise it is left out
            and a warning says why.
        observe: Told of progress.

    Raises:
        RequestError: a chosen attack lacks what it needs, or no attack is possible.
    """
    clock = Clock(observe)
    left_out: list[str] = [] if is_chosen else _too_large(audit, options)
    attacks = {name: one for name, one in quick_first(options).items() if name not in left_out}
    lines = [f"{name} left out: too many rows; name it in attack=[...] to run it" for name in left_out]

    def leave_out(_: str, error: RequestError) -> None:
        lines.append(f"left out: {error}")

    with clock.stage("attack"):
        scores = [attack_target(attacks, task, seed, observe, None if is_chosen else leave_out) for task in audit.tasks]
    possible = [name for name in scores[0] if all(name in found for found in scores)]
    if not possible:
        raise RequestError(f"no attack is possible on this file: {'; '.join(dict.fromkeys(lines))}")
    scores = [{name: found[name] for name in possible} for found in scores]
    growth: list[dict[str, str | float]] = []
    if options.growth:
        with clock.stage("growth"):
            growth = grow(attacks, audit.tasks[0], scores[0], options.prior, seed, observe)
    with clock.stage("metrics"):
        return build_result(
            audit.tasks,
            scores,
            prior=options.prior,
            seed=seed,
            class_names=audit.class_names,
            warnings=[*audit.warnings, *lines],
            growth=growth,
        )


def check_attacks(audit: Audit, options: AttackOptions) -> None:
    """Refuse attacks that lack what they need, before any is run.

    Raises:
        RequestError: one line that says what is lacking.
    """
    for name in options.chosen():
        for task in audit.tasks:
            check_signals(name, task.signals)


def _too_large(audit: Audit, options: AttackOptions) -> list[str]:
    """Return the attacks that would take their time on so many rows of shadows' answers."""
    rows = sum(int(task.signals.shadow_own.sum()) for task in audit.tasks)
    return [name for name in options.chosen() if ATTACKS[name].is_slow and rows > LARGEST_FOR_CLASSIFIERS]
