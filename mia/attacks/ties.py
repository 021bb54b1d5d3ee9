"""Numbers that differ by rounding alone are equal: what a referee would call a tie is one, to the last bit.

Takes numbers with the size of what they were made of; gives numbers of which those within rounding of each other are
the same. Nothing is rounded to a grid: far apart numbers keep all their digits.
"""

import numpy as np
from jaxtyping import Float

PRECISION = 1e-12
"""What sums of some hundred terms in double precision may be off by, relative to the largest term, with room."""
AT_THRESHOLD = 1e-9
"""The same for scores of different models, compared with one threshold."""

PerRecord = Float[np.ndarray, "N"]


def difference(one: PerRecord, other: PerRecord) -> PerRecord:
    """Return `one` - `other`, exactly 0 where they differ by rounding."""
    found = one - other
    return np.where(np.abs(found) <= PRECISION * (np.abs(one) + np.abs(other)), 0.0, found)


def settle(score: PerRecord, size: PerRecord | None = None) -> PerRecord:
    """Return scores of which those within rounding of one another are equal: to the lowest of their group.

    Args:
        score: NaN stays NaN.
        size: Of the numbers that each score was made of, by differences for example; None: of the score itself.
    """
    order = np.argsort(score, kind="stable" if size is not None else None)  # NaN last
    order = order[: np.count_nonzero(~np.isnan(score))]
    if not len(order):
        return score
    ordered, slack = score[order], PRECISION * np.abs(score if size is None else size)[order]
    slack[~np.isfinite(slack)] = 0
    with np.errstate(invalid="ignore"):  # infinite scores of one sign
        is_first = np.append(True, np.diff(ordered) > np.maximum(slack[1:], slack[:-1]))
    settled = score.copy()
    settled[order] = ordered[np.flatnonzero(is_first)[np.cumsum(is_first) - 1]]
    return settled


def reaches(score: PerRecord, threshold: PerRecord) -> np.ndarray:
    """Return which scores are at or above the threshold, rounding aside; NaN never is."""
    return score >= threshold - AT_THRESHOLD * np.abs(threshold)
