"""A lower bound on differential privacy's epsilon: takes attacks' scores and the truth, gives one float.

The attack, the threshold and the side are chosen on one half of the records and the bound is computed on the other, so
that choosing costs nothing: a bound computed where its threshold was chosen is positive for far too many attacks that
know nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mia.metrics.rates import Counts, lower_limit, upper_limit
from mia.metrics.roc import Roc, roc
from mia.records import Scores

_CANDIDATES = 64  # thresholds tried per tail, evenly on a logarithmic scale of the number of records beyond


class _Rule(NamedTuple):
    """Bet on membership from a threshold up, or on non-membership below it."""

    bound: float  # on the half where the rule was chosen
    score: Float[np.ndarray, "Q"]
    threshold: float
    bets_on_members: bool


def epsilon_lower_bound(
    scores: Scores | Sequence[Scores],
    is_member: Bool[np.ndarray, "Q"],
    *,
    delta: float = 1e-5,
    confidence: float = 0.95,
    seed: int = 0,
) -> float:
    """Return the largest epsilon that the attacks refute with this confidence; 0 where they refute none.

    For any set of outputs S, (epsilon, delta)-DP gives P(S | member) <= exp(epsilon) P(S | non-member) + delta, and the
    same the other way round (Kairouz et al. 2015). One set is chosen on half of the records; on the other half one
    exact lower and one exact upper limit, each at half the error, bound the ratio. Under the null the result is
    positive with probability 1 - confidence at most. Records count as independent trials: exact for one record per
    training run, the usual approximation for the many records of one run.

    Args:
        scores: of one attack, or of several over the same candidates, of which the best is chosen as well.
        is_member: whether each candidate was in the target's training set.
        delta: the delta of the guarantee tested.
        confidence: of the bound.
        seed: of the division into halves.
    """
    attacks = [scores] if isinstance(scores, Scores) else list(scores)
    is_choosing = _half(is_member, np.random.default_rng(seed))
    error = (1 - confidence) / 2
    rules = [rule for attack in attacks for rule in _candidates(attack.score, is_member, is_choosing, delta, error)]
    if not rules:
        return 0.0
    best = max(rules, key=lambda rule: rule.bound)
    judged = ~is_choosing & ~np.isnan(best.score)
    if best.bets_on_members:
        bet, truth = best.score[judged] >= best.threshold, is_member[judged]
    else:
        bet, truth = best.score[judged] < best.threshold, ~is_member[judged]
    right, wrong = (int((bet & side).sum()) for side in (truth, ~truth))
    return max(float(_bound((right, int(truth.sum())), (wrong, int((~truth).sum())), delta, error)), 0.0)


def _half(is_member: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Mark half of the members and half of the non-members."""
    marked = np.zeros(len(is_member), bool)
    for side in (np.flatnonzero(is_member), np.flatnonzero(~is_member)):
        marked[generator.permutation(side)[: len(side) // 2]] = True
    return marked


def _candidates(
    score: np.ndarray, is_member: np.ndarray, is_choosing: np.ndarray, delta: float, error: float
) -> list[_Rule]:
    """The best rule for either side on the records for choosing; none where a side has no record."""
    chosen = is_choosing & ~np.isnan(score)
    curve = roc(score[chosen], is_member[chosen])
    if not curve.num_members or not curve.num_nonmembers:
        return []
    points = _spread(curve)
    hits, alarms = curve.true_positives[points], curve.false_positives[points]
    members, nonmembers = curve.num_members, curve.num_nonmembers
    sides = (
        (True, _bound((hits, members), (alarms, nonmembers), delta, error)),
        (False, _bound((nonmembers - alarms, nonmembers), (members - hits, members), delta, error)),
    )
    return [
        _Rule(float(bounds.max()), score, float(curve.thresholds[points[bounds.argmax()]]), bets_on_members)
        for bets_on_members, bounds in sides
    ]


def _spread(curve: Roc) -> np.ndarray:
    """Points of a curve at logarithmic distances from both its ends, so that few records beyond are well resolved."""
    beyond = curve.true_positives + curve.false_positives
    total = beyond[-1]
    counts = np.geomspace(1, total, _CANDIDATES).astype(np.int64)
    wanted = np.concatenate([counts, total - counts])
    return np.unique(np.clip(np.searchsorted(beyond, wanted), 0, len(beyond) - 1))


def _bound(right: tuple[Counts, int], wrong: tuple[Counts, int], delta: float, error: float) -> np.ndarray:
    """Lower limit of log((P(bet | right) - delta) / P(bet | wrong)), from bets and records on either side.

    Minus infinity where the ratio says nothing.
    """
    if not right[1] or not wrong[1]:
        return np.asarray(-np.inf)
    numerator = lower_limit(*right, error) - delta
    denominator = upper_limit(*wrong, error)
    return np.where(numerator > 0, np.log(np.maximum(numerator, 1e-300) / denominator), -np.inf)
