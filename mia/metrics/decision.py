"""Metrics at a decision rule: takes predictions learnt without the target's membership, gives flat floats.

Never chooses a threshold.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Shaped

from mia.metrics.clusters import Trials, effective_trials, group_codes
from mia.metrics.rates import CONFIDENCE, Estimate, clopper_pearson, difference, lower_limit, upper_limit


@dataclass(frozen=True)
class Confusion:
    """How many members and non-members were predicted to be members."""

    true_positives: int
    num_members: int
    false_positives: int
    num_nonmembers: int

    @property
    def num_positives(self) -> int:
        """Records predicted to be members."""
        return self.true_positives + self.false_positives

    @property
    def num_correct(self) -> int:
        """Records whose membership was predicted rightly."""
        return self.true_positives + self.num_nonmembers - self.false_positives

    @property
    def num_records(self) -> int:
        """All records predicted."""
        return self.num_members + self.num_nonmembers


class Rates(NamedTuple):
    """Successes among trials of each rate; effective ones where records are grouped, which change no value."""

    accuracy: Trials
    precision: Trials
    recall: Trials
    false_positive: Trials


def confusion(is_predicted: Bool[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"]) -> Confusion:
    """Count predictions against the truth."""
    num_members = int(is_member.sum())
    true_positives = int((is_predicted & is_member).sum())
    num_positives = int(is_predicted.sum())
    return Confusion(true_positives, num_members, num_positives - true_positives, len(is_member) - num_members)


def rates(counts: Confusion) -> Rates:
    """Return the rates of a rule, each record a trial of its own."""
    return Rates(
        Trials(counts.num_correct, counts.num_records),
        Trials(counts.true_positives, counts.num_positives),
        Trials(counts.true_positives, counts.num_members),
        Trials(counts.false_positives, counts.num_nonmembers),
    )


def grouped_rates(
    is_predicted: Bool[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    groups: Shaped[np.ndarray, "Q"],
    confidence: float = CONFIDENCE,
) -> Rates:
    """Return the rates of a rule over records of which those of a group are not independent of one another.

    Intervals made of them cover 93 of 100 and more; with few groups, and for accuracy where members and non-members
    are predicted at different rates, up to all.
    """
    codes: Int[np.ndarray, "Q"] = group_codes(groups)
    hit = is_predicted & is_member
    return Rates(
        effective_trials(is_predicted == is_member, codes, confidence),
        *(
            effective_trials(which[among], codes[among], confidence)
            for which, among in ((hit, is_predicted), (hit, is_member), (is_predicted, ~is_member))
        ),
    )


def decision_metrics(counts: Confusion | Rates, prior: float, confidence: float = CONFIDENCE) -> dict[str, float]:
    """Return accuracy, precision, recall, balanced accuracy, advantage, and precision at a prior, with intervals.

    Accuracy, precision and recall have Clopper-Pearson intervals, which cover at least as often as they say. Advantage
    is the true-positive rate minus the false-positive rate of the rule (Yeom et al. 2018), with Newcombe's interval for
    a difference of two independent proportions; balanced accuracy is (1 + advantage) / 2. What is undefined -
    precision where nobody is predicted a member, anything that needs the kind of record which is absent - is not in
    the result.

    Args:
        counts: predictions against the truth, or the rates that grouped records are worth.
        prior: share of members among the records that a real attacker would meet.
        confidence: of the intervals.
    """
    found = rates(counts) if isinstance(counts, Confusion) else counts
    metrics: dict[str, float] = {}
    for name in ("accuracy", "precision", "recall"):
        successes, trials = getattr(found, name)
        if trials:
            metrics |= clopper_pearson(successes, trials, confidence).named(name)
    if found.recall.trials and found.false_positive.trials:
        advantage = rule_advantage(found, confidence)
        metrics |= Estimate(*((1 + end) / 2 for end in advantage)).named("balanced_accuracy")
        metrics |= advantage.named("advantage")
        if found.precision.trials:
            metrics |= precision_at_prior(found, prior, confidence).named("precision_at_prior")
    return metrics


def rule_advantage(counts: Confusion | Rates, confidence: float = CONFIDENCE) -> Estimate:
    """Return the advantage of a rule with its interval; needs a member and a non-member."""
    found = rates(counts) if isinstance(counts, Confusion) else counts
    return difference(*found.recall, *found.false_positive, confidence)


def precision_at_prior(counts: Confusion | Rates, prior: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return the precision of a rule among records of which a share `prior` are members.

    PPV = prior TPR / (prior TPR + (1 - prior) FPR). The interval combines exact limits for the two rates, each at half
    the error: its coverage is never below `confidence`. Needs a member, a non-member, and a record predicted to be a
    member.
    """
    found = rates(counts) if isinstance(counts, Confusion) else counts

    def precision(tpr: float, fpr: float) -> float:
        positives = prior * tpr + (1 - prior) * fpr
        return prior * tpr / positives if positives > 0 else 0.0

    error = (1 - confidence) / 4
    hits, misses = found.recall, found.false_positive
    low = precision(float(lower_limit(*hits, error)), float(upper_limit(*misses, error)))
    high = precision(float(upper_limit(*hits, error)), float(lower_limit(*misses, error)))
    return Estimate(precision(hits[0] / hits[1], misses[0] / misses[1]), low, high)
