"""The attack stage: every chosen attack on one target, and again with fewer shadows where growth is asked for.

Takes a task and the attacks' options; gives scores, and table rows for `growth.csv`. Trains no model, and judges
nothing but the growth.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mia.attacks import ATTACKS, run_attack
from mia.attacks.growth import growth
from mia.attacks.options import AttackOptions
from mia.attacks.run import with_placebo
from mia.checks import RequestError
from mia.experiment.observer import Observe, Scored, Step
from mia.metrics.evaluation import evaluate
from mia.records import AttackTask, Scores
from mia.seeds import stage_seed

GROWTH_METRICS = ("auc", "balanced_accuracy", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")


def attack_target(
    attacks: Mapping[str, Any],
    task: AttackTask,
    seed: int,
    observe: Observe,
    leave_out: Callable[[str, RequestError], None] | None = None,
) -> dict[str, Scores]:
    """Return the scores of every attack, in the given order.

    Args:
        attacks: The attacks to run, by name: their options, or functions `(signals, seed) -> scores`.
        task: The target.
        seed: The root seed.
        observe: Told of the steps of slow attacks, and of each attack that is done.
        leave_out: Told of an attack that is impossible, which is then left out; None: it is an error.

    Raises:
        RequestError: an attack lacks what it needs.
    """
    scores = {}
    for name, chosen in attacks.items():
        try:
            scores[name] = _run(name, task, chosen, _seed_of(seed, name), _step(observe, f"attack: {name}"))
        except RequestError as error:
            if leave_out is None:
                raise
            leave_out(name, error)
        else:
            observe(Scored(name, scores[name], task.is_member))
    return scores


def grow(
    attacks: Mapping[str, Any],
    task: AttackTask,
    scores: Mapping[str, Scores],
    prior: float,
    seed: int,
    observe: Observe,
) -> list[dict[str, str | float]]:
    """Return a row per attack and number of shadows (1, 2, 4 ... all), for the attacks that use shadows.

    Args:
        attacks: The attacks, by name, with their options.
        task: The target.
        scores: What the attacks found with all shadows.
        prior: As for `evaluate`.
        seed: The root seed.
        observe: Told of each point of the curve.
    """
    rows = []
    for name, chosen in attacks.items():
        if name not in scores or not _uses_shadows(name):
            continue
        points = growth(
            name,
            task.signals,
            chosen,
            _seed_of(seed, name),
            known=scores[name],
            progress=_step(observe, f"growth: {name} with fewer shadows"),
        )
        rows += [_row(name, count, one, task, prior, seed) for count, one in points.items()]
    return rows


def quick_first(options: AttackOptions) -> dict[str, Any]:
    """Return the options of the attacks to run by name, those that take their time last."""
    chosen = options.chosen
    return {name: chosen[name] for name in sorted(chosen, key=lambda name: ATTACKS[name].is_slow)}


def _run(name: str, task: AttackTask, chosen: Any, seed: int, progress: Callable[[int, int], None]) -> Scores:
    """Run an attack by name, or a function `(signals, seed) -> Scores, or an array [Q]`, which never sees the truth."""
    signals = task.signals
    if not callable(chosen):
        is_member, groups = task.is_member, task.groups
        return run_attack(name, signals, chosen, seed, progress=progress, is_member=is_member, groups=groups)
    given = chosen(signals, seed)
    if isinstance(given, Scores):
        return with_placebo(given, signals, lambda asked: chosen(asked, seed)) if given.placebo is None else given
    score, count = np.asarray(given), len(signals.candidates)
    if score.shape != (count,) or score.dtype.kind not in "fiub":
        raise RequestError(
            f"attack={name} gave {score.dtype} of shape {score.shape}, not one number for each of {count} candidates"
        )
    if np.isnan(score.astype(np.float64)).all():
        raise RequestError(f"attack={name} scores no record: all are NaN")
    none = np.zeros(count, np.int64)
    scores = Scores(score.astype(np.float64), None, none, none)
    return with_placebo(scores, signals, lambda asked: chosen(asked, seed))


def _uses_shadows(name: str) -> bool:
    return name in ATTACKS and "shadows" in ATTACKS[name].needs


def _seed_of(seed: int, name: str) -> int:
    return stage_seed(seed, f"attack/{name}")


def _step(observe: Observe, what: str) -> Callable[[int, int], None]:
    return lambda done, total: observe(Step(what, done, total))


def _row(name: str, count: int, scores: Scores, task: AttackTask, prior: float, seed: int) -> dict[str, str | float]:
    found = evaluate(scores, task.is_member, prior=prior, seed=stage_seed(seed, "growth", count)).metrics
    shown = {
        key: value for key, value in found.items() if key.removesuffix("_low").removesuffix("_high") in GROWTH_METRICS
    }
    return {"attack": name, "shadows": count, **shown}
