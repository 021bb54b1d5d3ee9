"""Low false-positive rates as an attacker has them: takes stand-ins' scores, gives thresholds and what they achieve.

A threshold is learnt where membership is known - on models that stand in for the target - for a wanted false-positive
rate, and then judged on the target: the true-positive rate, and the false-positive rate it really had. The metrics
`tpr_at_*_fpr` take their threshold from the target's own non-members instead, as papers do; no attacker has those.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped

from mia.metrics.clusters import effective_trials, group_codes
from mia.metrics.decision import Rates, confusion, precision_at_prior, rates
from mia.metrics.rates import CONFIDENCE, clopper_pearson

LEARNT_RATES = {"1pct": 0.01, "0.1pct": 0.001}
"""Wanted false-positive rates, by the unit in the metric's name."""
PRIORS = (0.01, 0.1, 0.5)
"""Shares of members among the records that a real attacker would meet."""


def learn_rate_threshold(score: Float[np.ndarray, "S"], is_member: Bool[np.ndarray, "S"], rate: float) -> float | None:
    """Return the threshold for a false-positive rate, from scores whose membership is known; None if too few say.

    Just above the k-th highest non-member, k = floor(rate (n + 1)) of n: a further non-member of the same kind reaches
    it with probability `rate` at most (conformal prediction), and those that tie with the k-th stay below. At least
    1 / rate - 1 non-members are needed. Predict a member where score >= threshold; NaN predicts nobody.

    Args:
        score: of the stand-ins' records, high = member; NaN is left out.
        is_member: whether the stand-in was trained on each.
        rate: the wanted false-positive rate.
    """
    nonmembers = score[~is_member & ~np.isnan(score)]
    allowed = math.floor(rate * (len(nonmembers) + 1) * (1 + 1e-12))  # 10 of 1,000 is 1%, whatever rounding says
    if allowed < 1:
        return None
    highest = float(np.partition(nonmembers, -allowed)[-allowed])
    return math.nan if highest == math.inf else float(np.nextafter(highest, math.inf))


def learnt_rate_metrics(
    score: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    stand_in_score: Float[np.ndarray, "S"],
    stand_in_is_member: Bool[np.ndarray, "S"],
    *,
    priors: Sequence[float] = PRIORS,
    confidence: float = CONFIDENCE,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return what thresholds learnt for 1% and 0.1% achieve on the target, and a line for each that cannot be learnt.

    `tpr_at_learnt_1pct_fpr` and `fpr_at_learnt_1pct_fpr` (and `0.1pct`) with Clopper-Pearson intervals, the threshold
    taken as given; where somebody is predicted, `precision_at_learnt_1pct_fpr_prior_0.01` and so on: the share of
    members among those predicted if a share `prior` of all were members, with its conservative interval.

    Args:
        score: of the target's records, high = member; NaN is left out.
        is_member: the target's membership; without members or non-members there is nothing to tell.
        stand_in_score: of stand-ins' records, by the same attack.
        stand_in_is_member: whether the stand-in was trained on each.
        priors: shares of members that a real attacker would meet.
        confidence: of the intervals.
        groups: whose record each is, where the intervals have to take that into account.
    """
    kept = ~np.isnan(score)
    score, is_member = score[kept], is_member[kept]
    whose = None if groups is None else groups[kept]
    if not is_member.any() or is_member.all():
        return {}, ()
    metrics: dict[str, float] = {}
    warnings = []
    for unit, rate in LEARNT_RATES.items():
        threshold = learn_rate_threshold(stand_in_score, stand_in_is_member, rate)
        if threshold is None:
            known = int(np.count_nonzero(~stand_in_is_member & ~np.isnan(stand_in_score)))
            needed = math.ceil(1 / rate) - 1
            warnings.append(
                f"tpr_at_learnt_{unit}_fpr left out: it takes {needed:,} non-members of stand-ins, there are {known:,}"
            )
            continue
        metrics |= _at(score >= threshold, is_member, whose, unit, priors, confidence)
    return metrics, tuple(warnings)


def _at(
    is_predicted: np.ndarray,
    is_member: np.ndarray,
    groups: np.ndarray | None,
    unit: str,
    priors: Sequence[float],
    confidence: float,
) -> dict[str, float]:
    found: Rates = rates(confusion(is_predicted, is_member))
    if groups is not None:
        codes = group_codes(groups)
        found = found._replace(
            recall=effective_trials(is_predicted[is_member], codes[is_member], confidence),
            false_positive=effective_trials(is_predicted[~is_member], codes[~is_member], confidence),
        )
    metrics = clopper_pearson(*found.recall, confidence).named(f"tpr_at_learnt_{unit}_fpr")
    metrics |= clopper_pearson(*found.false_positive, confidence).named(f"fpr_at_learnt_{unit}_fpr")
    if is_predicted.any():
        for prior in priors:
            name = f"precision_at_learnt_{unit}_fpr_prior_{prior:g}"
            metrics |= precision_at_prior(found, prior, confidence).named(name)
    return metrics
