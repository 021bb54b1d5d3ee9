"""Comparing evaluations: takes metrics of several targets, or two attacks' scores on the same records; gives floats."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from mia.metrics.auc import auc_difference
from mia.metrics.rates import Estimate as Interval
from mia.metrics.rates import paired_difference as paired_rates
from mia.records import Scores


def over_targets(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over several targets, and its standard deviation as `<name>_sd`.

    Only metrics that every target has are in the result. The ends of intervals are averaged too: such an interval is as
    wide as one target's, which does not overstate what is known when targets share a pool. With one target there is no
    deviation. `num_targets` is added.
    """
    shared = [name for name in metrics[0] if all(name in others for others in metrics)]
    means: dict[str, float] = {}
    for name in shared:
        values = np.array([target[name] for target in metrics], dtype=np.float64)
        means[name] = float(values.mean())
        if len(values) > 1 and not name.endswith(("_low", "_high")):
            means[f"{name}_sd"] = float(values.std(ddof=1))
    return means | {"num_targets": float(len(metrics))}


def paired_auc(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], attack: str) -> Interval | None:
    """Return the AUC of an attack on one run less that on another, paired (DeLong); None where that is impossible.

    Args:
        a: `index` and `member` of a run's records, and scores by attack.
        b: The same of the other; without a score of the same records, of the same truth, nothing is paired.
        attack: Its name.
    """
    if attack not in a or attack not in b or any(not np.array_equal(a[one], b[one]) for one in ("index", "member")):
        return None
    kept = ~np.isnan(a[attack]) & ~np.isnan(b[attack])
    member = a["member"].astype(bool)[kept]
    if member.all() or not member.any():
        return None
    return auc_difference(a[attack][kept].astype(float), b[attack][kept].astype(float), member)


def paired_difference(
    scores_a: Scores, scores_b: Scores, is_member: Bool[np.ndarray, "Q"], confidence: float = 0.95
) -> dict[str, float]:
    """Return how much better the first of two attacks, or configurations, does on the same records, with intervals.

    `auc_difference` (DeLong, paired) where both kinds of record are there; `accuracy_difference` (Newcombe's paired
    method) where both have a decision rule; `num_scored`: the records that both could score, on which this rests.
    """
    kept = ~np.isnan(scores_a.score) & ~np.isnan(scores_b.score)
    member = is_member[kept]
    metrics = {"num_scored": float(kept.sum())}
    if member.any() and not member.all():
        areas = auc_difference(scores_a.score[kept], scores_b.score[kept], member, confidence)
        metrics |= areas.named("auc_difference")
    if kept.any() and scores_a.is_predicted is not None and scores_b.is_predicted is not None:
        right_a, right_b = scores_a.is_predicted[kept] == member, scores_b.is_predicted[kept] == member
        both, only_a = int((right_a & right_b).sum()), int((right_a & ~right_b).sum())
        only_b, neither = int((~right_a & right_b).sum()), int((~right_a & ~right_b).sum())
        metrics |= paired_rates(both, only_a, only_b, neither, confidence).named("accuracy_difference")
    return metrics
