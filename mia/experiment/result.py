"""From what attacks found to a `Result`: the one place where scores meet the truth, for experiments and audits alike.

Takes targets and their scores; gives the result with metrics, tables and warnings. Runs no attack and stores nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mia.experiment.judge import Terms, judge_attacks, shadow_accuracies, utility
from mia.experiment.shadows_say import learnt_threshold
from mia.metrics.comparison import over_targets
from mia.metrics.controls import NULL_CONFIDENCE
from mia.metrics.evaluation import per_class
from mia.metrics.slices import slice_rows, standard_slices, value_names
from mia.metrics.words import FAILED
from mia.probabilities import softmax
from mia.records import AttackTask, Curves, Result, Scores, Signals

BOUND = re.compile(r"^attack/[^/]+/(epsilon_|mu_gdp|bayesian_epsilon)|^privacy/epsilon_lower_bound")
"""Names of bounds on epsilon."""
SEVERAL = (
    "no bound on epsilon: there are several targets, each training has bounds of its own, and their mean bounds "
    "nothing; audit one target"
)


@dataclass(frozen=True)
class Judged:
    """What attacks achieved against one target."""

    metrics: Mapping[str, float]
    warnings: Sequence[str]


def judge(task: AttackTask, scores: Mapping[str, Scores], terms: Terms, seed: int) -> Judged:
    """Return utility and leakage of one target."""
    metrics, warnings = judge_attacks(task, scores, terms, seed)
    return Judged(utility(task.signals, task.is_member) | metrics, warnings)


def build_result(
    task: AttackTask,
    scores: Mapping[str, Scores],
    judged: Sequence[Judged],
    *,
    class_names: tuple[str, ...] = (),
    metrics: Mapping[str, float] | None = None,
    warnings: Sequence[str] = (),
    curves: Curves | None = None,
    growth: Sequence[Mapping[str, str | float]] = (),
    pools: Sequence[str] = (),
) -> Result:
    """Return everything that was found out.

    Args:
        task: The first target; scores, tables and warnings in the result are its.
        scores: What each attack says about its candidates.
        judged: What attacks achieved, against it and every other target.
        class_names: One per class, or empty.
        metrics: What is known beside the attacks: costs, times.
        warnings: What a person should know before what the judge has to say.
        curves: Learning curves, if models were trained.
        growth: Rows of the growth table.
        pools: Fingerprints of the pools in use.

    Returns:
        Metrics of the target; with several targets means over them, and deviations as `<name>_sd`.
    """
    found, more = dict(judged[0].metrics), _failed_elsewhere(judged)
    if len(judged) > 1:  # each training has bounds of its own, which are never averaged
        more += [SEVERAL] if any(map(BOUND.search, found)) else []
        found = over_targets([{k: v for k, v in one.metrics.items() if not BOUND.search(k)} for one in judged])
    signals = task.signals
    labels = signals.labels[signals.candidates]
    has_classes = signals.num_classes > 1
    slices, left_out = _slices(task, scores, labels, class_names)
    return Result(
        metrics=found | dict(metrics or {}),
        index=task.index,
        is_member=task.is_member,
        labels=labels,
        confidence=true_class_confidence(signals),
        scores=scores,
        per_class=[
            {"attack": name, **row}
            for name, one in scores.items()
            for row in (per_class(one, task.is_member, labels, class_names) if has_classes else ())
        ],
        curves=curves,
        shadow_accuracy=shadow_accuracies(signals) if signals.num_shadows and has_classes else None,
        class_names=class_names,
        warnings=tuple(
            sorted(
                dict.fromkeys([*_failed_elsewhere(judged), *more, *warnings, *judged[0].warnings, *left_out]),
                key=_urgency,
            )
        ),
        growth=growth,
        pools=tuple(pools),
        slices=slices,
        num_shadows=signals.num_shadows,
    )


def _slices(
    task: AttackTask, scores: Mapping[str, Scores], labels: np.ndarray, class_names: tuple[str, ...]
) -> tuple[Sequence[Mapping[str, str | float]], tuple[str, ...]]:
    """Return who is exposed: rows by class, right or wrong, confidence and the task's own properties."""
    signals = task.signals
    if signals.num_classes > 1:
        is_correct = signals.target_outputs[signals.candidates].argmax(axis=1) == labels
        slices = standard_slices(labels, is_correct, true_class_confidence(signals), class_names, task.slices)
    else:
        slices = {name: value_names(values) for name, values in task.slices.items()}
    if not slices or task.is_member.all() or not task.is_member.any():
        return (), ()
    by_attack = {name: one.score for name, one in scores.items()}
    thresholds = {name: learnt_threshold(one) for name, one in scores.items()}
    return slice_rows(by_attack, task.is_member, slices, thresholds=thresholds, groups=task.groups)


def _failed_elsewhere(judged: Sequence[Judged]) -> list[str]:
    """Return a line where controls failed for more targets than chance allows, but not for the first, which is told."""
    from scipy.special import bdtrc

    failed = [lines for one in judged if (lines := [line for line in one.warnings if FAILED in line])]
    is_first = any(FAILED in line for line in judged[0].warnings)
    if not failed or is_first or bdtrc(len(failed) - 1, len(judged), 1 - NULL_CONFIDENCE) > 1 - NULL_CONFIDENCE:
        return []
    return [f"{FAILED} for {len(failed)} of {len(judged)} targets, as one of them says: {failed[0][0]}"]


def _urgency(line: str) -> int:
    """Return where a line stands: controls that failed first, rates that so few records cannot resolve last."""
    return -1 if FAILED in line else int("pct_fpr left out" in line)


def true_class_confidence(signals: Signals) -> Float[np.ndarray, "Q"]:
    """Return the target's probability of the true class of every candidate; exp(-loss) of losses, else NaN."""
    outputs = signals.target_outputs[signals.candidates].astype(np.float64)
    if signals.num_classes < 2:
        return np.exp(np.minimum(outputs[:, 0], 0)) if signals.num_classes else np.full(len(outputs), np.nan)
    probabilities = outputs if signals.is_probability else softmax(outputs)
    return probabilities[np.arange(len(outputs)), signals.labels[signals.candidates]]


def scores_file(result: Result) -> Mapping[str, np.ndarray]:
    """Return the arrays of `scores.npz`: one per attack, and `index` and `member`."""
    scores = {name: one.score for name, one in result.scores.items()}
    return {"index": result.index, "member": result.is_member.astype(np.int8)} | scores
