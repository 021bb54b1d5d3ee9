"""Scores as log odds, and their sum with weights: what an ensemble of attacks is made of.

Takes scores of records whose membership is known; gives, for any score, how many times as many members as others score
like that, never falling as the score rises. Only the order of the scores counts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

MOST_BINS = 40
FEWEST_IN_BIN = 20
AT_THE_TOP = 20
"""Edges of narrow bins at the upper end: what low false-positive rates are decided by."""
RIDGE = 1e-3
"""Penalty on squared weights, per record: attacks that say the same share what they weigh."""
TIE_BREAK = 1e-6
"""Weight of an attack that has none: equal sums, or all of them, are told apart by the mean of the attacks."""
SLOPE = 0.01
"""Of log odds on the rank: within a bin, and beyond the last, higher stays higher."""

PerRecord = Float[np.ndarray, "R"]


@dataclass(frozen=True)
class LogOdds:
    """Log odds by rank among known scores."""

    known: Float[np.ndarray, "S"]  # sorted
    rank: Float[np.ndarray, "B"]  # from 0 to 1
    value: Float[np.ndarray, "B"]

    def __call__(self, score: PerRecord) -> PerRecord:
        """Return the log odds of scores; NaN stays NaN."""
        rank = _rank(self.known, score)
        return np.where(np.isnan(score), np.nan, np.interp(rank, self.rank, self.value) + SLOPE * rank)


def fit_log_odds(score: Float[np.ndarray, "S"], is_member: Bool[np.ndarray, "S"]) -> LogOdds:
    """Fit log odds in bins of the rank, narrow ones at the upper end, that do not fall (isotonic regression).

    Args:
        score: High = member; no NaN.
        is_member: Known membership; both kinds must be there.
    """
    from scipy.optimize import isotonic_regression

    known = np.sort(score)
    rank = _rank(known, score)
    bins = int(np.clip(len(known) // FEWEST_IN_BIN, 1, MOST_BINS))
    least = min(FEWEST_IN_BIN / len(known), 0.5)
    edges = np.unique(np.append(np.linspace(0, 1, bins + 1), 1 - np.geomspace(0.5, least, AT_THE_TOP)))
    place = np.clip(np.searchsorted(edges, rank, side="right") - 1, 0, len(edges) - 2)
    members, others = (np.bincount(place[kind], minlength=len(edges) - 1) for kind in (is_member, ~is_member))
    some = np.flatnonzero(members + others)
    number = (members + others)[some]
    share = np.log((members[some] + 0.5) / (is_member.sum() + 0.5)) - np.log(
        (others[some] + 0.5) / ((~is_member).sum() + 0.5)
    )
    middle = np.bincount(place, rank, minlength=len(edges) - 1)[some] / number
    return LogOdds(known, middle, isotonic_regression(share, weights=number).x)


def fit_weights(said: Float[np.ndarray, "S A"], is_member: Bool[np.ndarray, "S"]) -> Float[np.ndarray, "A"]:
    """Return the weights of attacks, none below 0, by logistic regression on their log odds.

    Members and others count the same in all.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    order = np.lexsort((is_member, *said.T))  # sums depend on no order of records
    said, is_member = said[order], is_member[order]
    each = np.where(is_member, 0.5 / is_member.sum(), 0.5 / (~is_member).sum())

    def loss(chosen: np.ndarray) -> tuple[float, np.ndarray]:
        z = said @ chosen[:-1] + chosen[-1]
        value = each @ (np.logaddexp(0, z) - is_member * z) + RIDGE * chosen[:-1] @ chosen[:-1]
        residual = each * (expit(z) - is_member)
        return value, np.append(said.T @ residual + 2 * RIDGE * chosen[:-1], residual.sum())

    attacks = said.shape[1]
    start = np.append(np.full(attacks, 1 / attacks), 0.0)
    bounds = [(0, None)] * attacks + [(None, None)]
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]


def add_up(said: Float[np.ndarray, "R A"], weights: Float[np.ndarray, "A"]) -> PerRecord:
    """Return the weighted sum; NaN where an attack says nothing."""
    return said @ (weights + TIE_BREAK)


def _rank(known: Float[np.ndarray, "S"], score: PerRecord) -> PerRecord:
    """Return the share of known scores below, equal ones counted half."""
    below, up_to = (np.searchsorted(known, score, side) for side in ("left", "right"))
    return (below + up_to) / 2 / len(known)
