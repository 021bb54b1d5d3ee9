"""One attack judged: takes its scores and the truth, gives flat metrics without the attack's name, and warnings.

Never chooses a threshold with the truth in hand, save for the one number named `hindsight`. Records the attack could
not score (NaN) are left out and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from mia.metrics.auc import auc
from mia.metrics.decision import confusion, decision_metrics, rule_advantage
from mia.metrics.rates import Estimate
from mia.metrics.roc import hindsight_balanced_accuracy, roc, tpr_at_low_fpr
from mia.records import Scores

_NULL_STREAM = 0x6E756C6C  # a stream of its own: a seed that also made the membership must not undo the permutation
NULL_CONFIDENCE = 0.99
"""Of the null control's intervals: a sweep has dozens of them, and at 95% one in twenty would cry wolf."""


@dataclass(frozen=True)
class Evaluation:
    """What an attack achieved."""

    metrics: dict[str, float]  # flat names; `_low` and `_high` end an interval
    warnings: tuple[str, ...] = ()  # one line each, for a person


def evaluate(scores: Scores, is_member: Bool[np.ndarray, "Q"], *, prior: float = 0.5, seed: int = 0) -> Evaluation:
    """Return all metrics of one attack, with 95% intervals where they have one, and the null control beside them.

    Ranking: `auc`, `tpr_at_*_fpr` with `fpr_reached_at_*`, `hindsight_balanced_accuracy`. At the attack's own rule,
    where it has one: `accuracy`, `balanced_accuracy`, `precision`, `recall`, `advantage`, `precision_at_prior`. Null
    control: `null_auc`, `null_balanced_accuracy` (intervals at 99%). Counts: `num_scored`, `num_masked`, and `num_in`,
    `num_out`, the mean number of models behind a score. What the data cannot say is absent, and a warning tells why.

    Args:
        scores: of the candidate records, high = member.
        is_member: whether each candidate was in the target's training set.
        prior: share of members among the records a real attacker would meet, for `precision_at_prior`.
        seed: of the null control's permutation.
    """
    kept = ~np.isnan(scores.score)
    score, member = scores.score[kept], is_member[kept]
    predicted = None if scores.is_predicted is None else scores.is_predicted[kept]
    metrics = {"num_scored": float(kept.sum()), "num_masked": float((~kept).sum())}
    warnings = []
    if not kept.all():
        warnings.append(f"{int((~kept).sum()):,} of {len(kept):,} records could not be scored and are left out")
    if not kept.any():
        return Evaluation(metrics, tuple(warnings))
    metrics |= {"num_in": float(scores.num_in[kept].mean()), "num_out": float(scores.num_out[kept].mean())}
    if predicted is not None:
        metrics |= decision_metrics(confusion(predicted, member), prior)
        if "precision" not in metrics:
            warnings.append("precision left out: no record is predicted to be a member")
    if member.all() or not member.any():
        kind = "non-members" if member.all() else "members"
        warnings.append(f"auc and the like left out: there are no {kind} among the scored records")
        return Evaluation(metrics, tuple(warnings))
    curve = roc(score, member)
    at_low_fpr, unresolved = tpr_at_low_fpr(curve)
    metrics |= auc(score, member).named("auc") | at_low_fpr
    metrics["hindsight_balanced_accuracy"] = hindsight_balanced_accuracy(curve)
    metrics |= null_control(score, predicted, member, seed)
    return Evaluation(metrics, (*warnings, *unresolved))


def null_control(
    score: np.ndarray, predicted: np.ndarray | None, member: Bool[np.ndarray, "Q"], seed: int
) -> dict[str, float]:
    """Return what the same scores achieve against permuted membership, where there is nothing to find.

    Its intervals hold 0.5 for 99 seeds of 100; one that does not, time and again, is a mistake in the evaluation.
    """
    permuted = np.random.default_rng([seed, _NULL_STREAM]).permutation(member)
    metrics = auc(score, permuted, NULL_CONFIDENCE).named("null_auc")
    if predicted is not None:
        advantage = rule_advantage(confusion(predicted, permuted), NULL_CONFIDENCE)
        metrics |= Estimate(*[(1 + end) / 2 for end in advantage]).named("null_balanced_accuracy")
    return metrics


def per_class(
    scores: Scores, is_member: Bool[np.ndarray, "Q"], labels: Int[np.ndarray, "Q"], class_names: Sequence[str] = ()
) -> list[Mapping[str, str | float]]:
    """Return one table row per class that has a scored record: its name, its counts, and the metrics it allows.

    Args:
        scores: of the candidate records.
        is_member: whether each candidate was in the target's training set.
        labels: the candidates' classes.
        class_names: one per class; where empty, a class is called by its number.
    """
    rows: list[Mapping[str, str | float]] = []
    kept = ~np.isnan(scores.score)
    for label in np.unique(labels[kept]):
        chosen = kept & (labels == label)
        score, member = scores.score[chosen], is_member[chosen]
        name = class_names[label] if class_names else str(label)
        row: dict[str, str | float] = {"class": name, "count": float(len(member)), "num_members": float(member.sum())}
        if scores.is_predicted is not None:
            rates = decision_metrics(confusion(scores.is_predicted[chosen], member), prior=0.5)
            row |= {key: value for key, value in rates.items() if not key.startswith("precision_at_prior")}
        if member.any() and not member.all():
            row |= auc(score, member).named("auc")
        rows.append(row)
    return rows
