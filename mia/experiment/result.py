"""From what attacks found to a `Result`: the one place where scores meet the truth, for experiments and audits alike.

Takes tasks and their scores; gives the result with metrics, tables and warnings. Runs no attack and stores nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mia.experiment.judge import judge_attacks, shadow_accuracies, utility
from mia.metrics.comparison import over_targets
from mia.metrics.evaluation import per_class
from mia.probabilities import softmax
from mia.records import AttackTask, Curves, Result, Scores, Signals


def build_result(
    tasks: Sequence[AttackTask],
    scores: Sequence[Mapping[str, Scores]],
    *,
    prior: float,
    seed: int,
    class_names: tuple[str, ...] = (),
    metrics: Mapping[str, float] | None = None,
    warnings: Sequence[str] = (),
    curves: Curves | None = None,
    growth: Sequence[Mapping[str, str | float]] = (),
    pools: Sequence[str] = (),
) -> Result:
    """Return everything that was found out.

    Args:
        tasks: The targets; scores, tables and warnings in the result are the first one's.
        scores: What each attack says about each target's candidates.
        prior: Share of members that precision is stated for.
        seed: The root seed.
        class_names: One per class, or empty.
        metrics: What is known beside the attacks: costs, times.
        warnings: What a person should know before what the judge has to say.
        curves: Learning curves, if models were trained.
        growth: Rows of the growth table.
        pools: Fingerprints of the pools in use.

    Returns:
        Metrics of the target; with several targets means over them, and deviations as `<name>_sd`.
    """
    judged = [
        judge_attacks(found, task.is_member, prior, seed, task.target)
        for task, found in zip(tasks, scores, strict=True)
    ]
    of_targets = [utility(task.signals, task.is_member) | found for task, (found, _) in zip(tasks, judged, strict=True)]
    first, found = tasks[0], scores[0]
    labels = first.signals.labels[first.signals.candidates]
    return Result(
        metrics=(of_targets[0] if len(tasks) == 1 else over_targets(of_targets)) | dict(metrics or {}),
        index=first.index,
        is_member=first.is_member,
        labels=labels,
        confidence=true_class_confidence(first.signals),
        scores=found,
        per_class=[
            {"attack": name, **row}
            for name, one in found.items()
            for row in per_class(one, first.is_member, labels, class_names)
        ],
        curves=curves,
        shadow_accuracy=shadow_accuracies(first.signals) if first.signals.num_shadows else None,
        class_names=class_names,
        warnings=tuple(dict.fromkeys([*warnings, *judged[0][1]])),
        growth=growth,
        pools=tuple(pools),
    )


def true_class_confidence(signals: Signals) -> Float[np.ndarray, "Q"]:
    """Return the target's probability of the true class of every candidate."""
    outputs = signals.target_outputs[signals.candidates].astype(np.float64)
    probabilities = outputs if signals.is_probability else softmax(outputs)
    return probabilities[np.arange(len(outputs)), signals.labels[signals.candidates]]


def scores_file(result: Result) -> Mapping[str, np.ndarray]:
    """Return the arrays of `scores.npz`: one per attack, and `index` and `member`."""
    scores = {name: one.score for name, one in result.scores.items()}
    return {"index": result.index, "member": result.is_member.astype(np.int8)} | scores
