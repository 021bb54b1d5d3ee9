"""One attack judged: takes its scores and the truth, gives flat metrics without the attack's name, and warnings.

Never chooses a threshold with the truth in hand, save for the one number named `hindsight`. Records the attack could
not score (NaN) are left out and counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Shaped

from mia.metrics.auc import auc
from mia.metrics.controls import null_control, null_line
from mia.metrics.decision import confusion, decision_metrics, grouped_rates
from mia.metrics.roc import Owned, hindsight_balanced_accuracy, roc, tpr_at_low_fpr
from mia.records import Scores


@dataclass(frozen=True)
class Evaluation:
    """What an attack achieved."""

    metrics: dict[str, float]  # flat names; `_low` and `_high` end an interval
    warnings: tuple[str, ...] = ()  # one line each, for a person


def evaluate(
    scores: Scores,
    is_member: Bool[np.ndarray, "Q"],
    *,
    prior: float = 0.5,
    seed: int = 0,
    num_attacks: int = 1,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> Evaluation:
    """Return all metrics of one attack, with 95% intervals where they have one, and the null control beside them.

    Ranking: `auc`, `tpr_at_*_fpr` with `fpr_reached_at_*`, `hindsight_balanced_accuracy`. At the attack's own rule,
    where it has one: `accuracy`, `balanced_accuracy`, `precision`, `recall`, `advantage`, `precision_at_prior`. Null
    control: `null_auc`, `null_balanced_accuracy` (intervals at 99%). Counts: `num_scored`, `num_masked`, and `num_in`,
    `num_out`, the mean number of models behind a score. What the data cannot say is absent, and a warning tells why.

    Args:
        scores: of the candidate records, high = member.
        is_member: whether each candidate was in the target's training set.
        prior: share of members among the records a real attacker would meet, for `precision_at_prior`.
        seed: of the null control's permutations; each attack of a run should have its own.
        num_attacks: how many attacks the run asks; the null control's intervals hold for all of them together.
        groups: whose record each candidate is, where the records of one person are not independent: values stay,
            intervals take it into account.
    """
    kept = ~np.isnan(scores.score)
    score, member = scores.score[kept], is_member[kept]
    whose = None if groups is None else groups[kept]
    predicted = None if scores.is_predicted is None else scores.is_predicted[kept]
    metrics = {"num_scored": float(kept.sum()), "num_masked": float((~kept).sum())}
    warnings = []
    if not kept.all():
        warnings.append(f"{int((~kept).sum()):,} of {len(kept):,} records could not be scored and are left out")
    if not kept.any():
        return Evaluation(metrics, tuple(warnings))
    metrics |= {"num_in": float(scores.num_in[kept].mean()), "num_out": float(scores.num_out[kept].mean())}
    if predicted is not None:
        rates = confusion(predicted, member) if whose is None else grouped_rates(predicted, member, whose)
        metrics |= decision_metrics(rates, prior)
        if "precision" not in metrics:
            warnings.append("precision left out: no record is predicted to be a member")
    if member.all() or not member.any():
        kind = "non-members" if member.all() else "members"
        warnings.append(f"auc and the like left out: there are no {kind} among the scored records")
        return Evaluation(metrics, tuple(warnings))
    curve = roc(score, member)
    at_low_fpr, unresolved = tpr_at_low_fpr(curve, None if whose is None else Owned(score, member, whose))
    metrics |= auc(score, member, groups=whose).named("auc") | at_low_fpr
    metrics["hindsight_balanced_accuracy"] = hindsight_balanced_accuracy(curve)
    metrics |= null_control(score, predicted, member, seed, num_attacks=num_attacks)
    return Evaluation(metrics, (*null_line(metrics), *warnings, *unresolved))


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
