"""From what attacks found to a `Result`: the one place where scores meet the truth, for experiments and audits alike.

Takes targets and their scores; gives the result with metrics, tables and warnings. Runs no attack and stores nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mia.experiment.judge import judge_attacks, shadow_accuracies, utility
from mia.metrics.comparison import over_targets
from mia.metrics.evaluation import per_class
from mia.probabilities import softmax
from mia.records import AttackTask, Curves, Result, Scores, Signals


@dataclass(frozen=True)
class Judged:
    """What attacks achieved against one target."""

    metrics: Mapping[str, float]
    warnings: Sequence[str]


def judge(task: AttackTask, scores: Mapping[str, Scores], prior: float, seed: int) -> Judged:
    """Return utility and leakage of one target."""
    metrics, warnings = judge_attacks(scores, task.is_member, prior, seed, task.target)
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
    found = dict(judged[0].metrics) if len(judged) == 1 else over_targets([one.metrics for one in judged])
    signals = task.signals
    labels = signals.labels[signals.candidates]
    has_classes = signals.num_classes > 1
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
        warnings=tuple(sorted(dict.fromkeys([*warnings, *judged[0].warnings]), key=_is_about_few)),
        growth=growth,
        pools=tuple(pools),
    )


def _is_about_few(line: str) -> bool:
    """Whether a line is about rates that so few records cannot resolve: these come last."""
    return "pct_fpr left out" in line


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
