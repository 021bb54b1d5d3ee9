"""How much of a data set was used in training: takes predictions and a stand-in's rates, gives the share with interval.

Predictions of membership are wrong at known rates, so that their mean can be corrected (data-set usage cardinality
inference: Tong et al. 2025): share = (mean predicted - FPR) / (TPR - FPR).
"""

import math

from mia.metrics.decision import Confusion
from mia.metrics.rates import CONFIDENCE, Estimate, normal_quantile


def share_used(
    num_predicted: int, num_records: int, stand_in: Confusion, confidence: float = CONFIDENCE
) -> Estimate | None:
    """Return the share of a data set's records that the target was trained on; None where the rule tells nothing.

    The interval is Fieller's for a ratio, with the variances of the three rates as they are at each share (those of the
    stand-in smoothed by half a record, lest a perfect rule look certain), cut to [0, 1]. It knows nothing of how a
    target differs from its stand-in: take rates from a model trained the same way.

    Args:
        num_predicted: records of the data set that the rule predicts members.
        num_records: records of the data set.
        stand_in: the same rule on a model whose membership is known.
        confidence: of the interval.
    """
    if not num_records or not stand_in.num_members or not stand_in.num_nonmembers:
        return None
    mean = num_predicted / num_records
    tpr = stand_in.true_positives / stand_in.num_members
    fpr = stand_in.false_positives / stand_in.num_nonmembers
    gain = tpr - fpr
    if gain <= 0:
        return None
    value = min(max((mean - fpr) / gain, 0.0), 1.0)
    hits = _variance(stand_in.true_positives, stand_in.num_members)
    alarms = _variance(stand_in.false_positives, stand_in.num_nonmembers)
    # The share s is refuted where (mean - fpr - s gain)^2 > z^2 times the variance of that difference, which is
    # s^2 hits / m + (1 - s)^2 alarms / n + (s hits + (1 - s) alarms) / N: a quadratic in s.
    square = normal_quantile(confidence) ** 2
    of_hits, of_alarms = hits / stand_in.num_members, alarms / stand_in.num_nonmembers
    a = gain**2 - square * (of_hits + of_alarms)
    b = -2 * gain * (mean - fpr) - square * (-2 * of_alarms + (hits - alarms) / num_records)
    c = (mean - fpr) ** 2 - square * (of_alarms + alarms / num_records)
    root = b * b - 4 * a * c
    if a <= 0 or root < 0:  # the rule may tell nothing: no share is refuted
        return Estimate(value, 0.0, 1.0)
    low, high = ((-b - math.sqrt(root)) / (2 * a), (-b + math.sqrt(root)) / (2 * a))
    return Estimate(value, min(max(low, 0.0), value), max(min(high, 1.0), value))


def _variance(successes: int, trials: int) -> float:
    """Of one trial, smoothed."""
    share = (successes + 0.5) / (trials + 1)
    return share * (1 - share)
