"""Several attacks as one: the weighted sum of their log odds, and at the top the one that ranks best at low rates.

Takes scores of records whose membership is known, a column per attack; gives a rule that turns scores of any records
into one each. Log odds have few known non-members to tell the surest records apart by, where an attack's own score
still may: above what all but a hundredth of the non-members stay below, a single attack ranks alone if it ranks better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.log_odds import SLOPE, TIE_BREAK, LogOdds, add_up, fit_log_odds, fit_weights
from mia.attacks.ties import settle

HEAD = 0.01
"""Share of known non-members above which one attack ranks alone: the highest of the low rates that are reported."""
LOWEST = 0.001
"""The lowest rate that attacks are compared at to choose it."""
FEWEST_ABOVE = 10
"""Non-members above, with fewer of which nothing is known of low rates."""

Scores = Float[np.ndarray, "R A"]
PerRecord = Float[np.ndarray, "R"]


@dataclass(frozen=True)
class Head:
    """The attack that ranks the surest records alone."""

    attack: int  # its column
    start: float  # its score from which on it does
    unit: float  # how far above that its scores lie: what is told apart does not depend on their scale


@dataclass(frozen=True)
class Together:
    """A rule for scores of all the attacks."""

    odds: Sequence[LogOdds]
    weights: Float[np.ndarray, "A"]
    head: Head | None

    def __call__(self, scores: Scores) -> PerRecord:
        """Return one score per record; NaN where an attack says nothing."""
        total = add_up(_said(self.odds, scores), self.weights)
        if self.head is None:
            return total
        own = (scores[:, self.head.attack] - self.head.start) / self.head.unit
        highest = (self.weights + TIE_BREAK) @ [one.value.max() + SLOPE for one in self.odds]
        return np.where(np.isnan(total) | ~(own > 0), total, highest + own)


def fit_together(scores: Float[np.ndarray, "S A"], is_member: Bool[np.ndarray, "S"]) -> Together:
    """Fit the rule by which no attack ranks alone."""
    odds = [fit_log_odds(one, is_member) for one in scores.T]
    return Together(odds, fit_weights(_said(odds, scores), is_member), None)


def led_by(
    leader: int | None, rule: Together, scores: Float[np.ndarray, "S A"], is_member: Bool[np.ndarray, "S"]
) -> Together:
    """Return the rule by which one attack ranks the surest alone; of the same records. The same rule without one."""
    if leader is None:
        return rule
    others = np.sort(scores[~is_member, leader])
    start = others[-1 - int(HEAD * len(others))]
    above = scores[scores[:, leader] > start, leader] - start
    unit = float(np.median(above)) if len(above) else 1.0
    return replace(rule, head=Head(leader, float(start), unit if 0 < unit < np.inf else 1.0))


def fit_with_leader(
    scores: Float[np.ndarray, "S A"], is_member: Bool[np.ndarray, "S"], fold: Int[np.ndarray, "S"]
) -> tuple[Together, Float[np.ndarray, "S"]]:
    """Return the rule, and each fold's scores by the rule that the others give: these choose who leads, if any does."""
    mine = [fold == one for one in np.unique(fold)]
    rest = [~one if np.unique(is_member[~one]).size == 2 else np.ones(len(fold), bool) for one in mine]
    rules = [fit_together(scores[one], is_member[one]) for one in rest]

    def crossed() -> Float[np.ndarray, "S"]:
        found = np.full(len(fold), np.nan)
        for one, rule in zip(mine, rules, strict=True):
            found[one] = rule(scores[one])
        return settle(found)

    leader = choose_leader(scores, is_member, fold, crossed())
    rules = [led_by(leader, rule, scores[one], is_member[one]) for one, rule in zip(rest, rules, strict=True)]
    return led_by(leader, fit_together(scores, is_member), scores, is_member), crossed()


def choose_leader(
    scores: Float[np.ndarray, "S A"],
    is_member: Bool[np.ndarray, "S"],
    fold: Int[np.ndarray, "S"],
    together: Float[np.ndarray, "S"],
) -> int | None:
    """Return the column of the attack that ranks best at low rates; None if all together do better in each fold.

    `together`: What the attacks say together, by a rule that was learnt on other folds.
    """
    if HEAD * np.count_nonzero(~is_member) < FEWEST_ABOVE:
        return None
    best = int(np.argmax([early_area(one, is_member) for one in scores.T]))
    parts = [fold == one for one in np.unique(fold)]
    gains = [
        early_area(together[mine], is_member[mine]) - early_area(scores[mine, best], is_member[mine]) for mine in parts
    ]
    return None if min(gains) > 0 else best


def early_area(score: Float[np.ndarray, "S"], is_member: Bool[np.ndarray, "S"]) -> float:
    """Return the mean true positive rate over false positive rates from `LOWEST` to `HEAD`, on a logarithmic axis.

    That is the area under the left end of a ROC curve as it is drawn; ties find nobody, and nobody is found where there
    are too few others for such rates.
    """
    others, members = np.sort(score[~is_member])[::-1], np.sort(score[is_member])
    place = np.arange(int(LOWEST * len(others)), int(HEAD * len(others)))
    if not len(place) or not len(members):
        return 0.0
    found = 1 - np.searchsorted(members, others[place], side="right") / len(members)
    return float(np.average(found, weights=1 / (place + 1)))


def _said(odds: Sequence[LogOdds], scores: Scores) -> Float[np.ndarray, "R A"]:
    return np.stack([one(score) for one, score in zip(odds, scores.T, strict=True)], axis=1)
