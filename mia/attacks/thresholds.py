"""Thresholds: from scores whose membership is known (shadows, never the target) to a rule for the target.

Takes scores, membership and classes; gives the threshold with the best balanced accuracy, for all records or per class.
A record is predicted a member if its score is at or above the threshold, rounding aside.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.ties import reaches

PerRecord = Float[np.ndarray, "N"]


@dataclass(frozen=True)
class Thresholds:
    """One threshold per class, or one for all."""

    values: Float[np.ndarray, "C"]
    substituted: tuple[int, ...] = ()  # classes that could not be learnt: the threshold of all classes stands in

    def predict(self, score: PerRecord, labels: Int[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
        """Return who is predicted a member; a score of NaN never is."""
        return reaches(score, self.values[labels])

    def details(self) -> dict[str, str | float]:
        """Return the thresholds by name, for the record of a run."""
        if len(np.unique(self.values)) == 1:
            return {"threshold": float(self.values[0])}
        return {f"threshold_class_{label}": float(value) for label, value in enumerate(self.values)}


def best_threshold(score: PerRecord, is_member: Bool[np.ndarray, "N"], weight: PerRecord | None = None) -> float:
    """Return the threshold with the best balanced accuracy: one of the scores, the highest of several as good.

    Args:
        score: High = member; no NaN.
        is_member: Known membership; both kinds must be there.
        weight: Weight of each record; members and non-members are brought to the same total in any case.
    """
    weight = np.ones(len(score)) if weight is None else weight
    members, nonmembers = weight[is_member].sum(), weight[~is_member].sum()
    assert members > 0, "there are members to learn from"
    assert nonmembers > 0, "there are non-members to learn from"
    signed = np.where(is_member, weight / members, -weight / nonmembers)
    order = np.argsort(-score)  # of equal ones the last alone counts
    ordered = score[order]
    gain = np.cumsum(signed[order])  # true minus false positive rate when all down to here are predicted members
    is_last_of_ties = np.append(ordered[1:] != ordered[:-1], True)
    gain = np.where(is_last_of_ties, gain, -np.inf)
    best = np.flatnonzero(gain >= gain.max() - 1e-12)[0]  # sums of the same terms may differ in the last digit
    return float(ordered[best])


def area_under_curve(score: PerRecord, is_member: Bool[np.ndarray, "N"]) -> float:
    """Return the share of pairs of a member and a non-member that the score orders rightly, ties counted half.

    Args:
        score: High = member; no NaN.
        is_member: Known membership; both kinds must be there.
    """
    others = np.sort(score[~is_member])
    below, up_to = (np.searchsorted(others, score[is_member], side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(others))


def learn_thresholds(
    score: PerRecord,
    is_member: Bool[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"] | None,
    num_classes: int,
    weight: PerRecord | None = None,
) -> Thresholds | None:
    """Return thresholds learnt from known membership; None where members or non-members are missing altogether.

    Args:
        score: High = member; records of NaN are left out.
        is_member: Known membership.
        labels: True classes, for one threshold per class; None for one threshold.
        num_classes: Number of classes.
        weight: Weight of each record.
    """
    weight = np.ones(len(score)) if weight is None else weight
    use = ~np.isnan(score)
    if not is_member[use].any() or is_member[use].all():
        return None
    values = np.full(num_classes, np.nan)
    groups = (
        [(use, slice(None))] if labels is None else [(use & (labels == label), label) for label in range(num_classes)]
    )
    for mine, where in groups:
        if is_member[mine].any() and not is_member[mine].all():
            values[where] = best_threshold(score[mine], is_member[mine], weight[mine])
    substituted = np.flatnonzero(np.isnan(values))
    if len(substituted):
        values[substituted] = best_threshold(score[use], is_member[use], weight[use])
    return Thresholds(values, tuple(map(int, substituted)))
