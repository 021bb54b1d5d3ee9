"""What attacks take for granted: takes shadows' answers or scores, says how far it does not hold, and what to do."""

import numpy as np
from jaxtyping import Bool, Float

from mia.metrics.rates import clopper_pearson

LEVEL = 0.05
"""Of the normality test: the share of truly normal records that it rejects."""
FEWEST_ANSWERS = 8
"""OUT answers of a record below which no test of normality says anything."""
CRITICAL = 0.752
"""Of Anderson and Darling's statistic at that level, location and scale estimated, corrected for small samples."""
SATURATED = 0.05
"""Share of scores at the top from which they are worth a line."""


def normality(
    phi: Float[np.ndarray, "K N"], is_out: Bool[np.ndarray, "K N"], confidence: float = 0.95
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return how many records have OUT answers that are not normal, as LiRA takes them to be, and a line if many.

    `normality_rejected`: the share of testable records that Anderson and Darling's test (with Stephens's correction)
    rejects at 5%; `normality_excess`: the share beyond what chance rejects, (rejected - .05) / .95 or 0. Records with
    fewer than eight OUT answers, or with equal ones, cannot be tested: `normality_tested` counts those that can.

    Args:
        phi: logit-scaled confidence by shadow and record; not finite: not counted.
        is_out: whether the answer is one of a shadow that has not seen the record.
        confidence: that there are more than chance rejects, for the line to appear.
    """
    statistic = anderson_darling(phi, is_out)
    tested = ~np.isnan(statistic)
    number = int(tested.sum())
    if not number:
        return {"normality_tested": 0.0}, ()
    rejected = int(np.count_nonzero(statistic[tested] > CRITICAL))
    share = rejected / number
    excess = max(0.0, (share - LEVEL) / (1 - LEVEL))
    metrics = {"normality_tested": float(number), "normality_rejected": share, "normality_excess": excess}
    if clopper_pearson(rejected, number, 2 * confidence - 1).low <= LEVEL:
        return metrics, ()
    line = (
        f"the OUT answers of {share:.0%} of the records are not normal (chance: {LEVEL:.0%}): what Gaussians say of "
        "them is off; compare with rmia or calibration, which assume nothing of the kind"
    )
    return metrics, (line,)


def anderson_darling(phi: Float[np.ndarray, "K N"], is_out: Bool[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
    """Return Anderson and Darling's statistic of each record's OUT answers against a normal fitted to them.

    Corrected for few answers: A^2 (1 + .75/n + 2.25/n^2) (Stephens 1986). NaN where there are fewer than eight, or no
    spread beyond rounding.
    """
    from scipy.special import log_ndtr

    use = is_out & np.isfinite(phi)
    counts = use.sum(axis=0)
    statistic = np.full(phi.shape[1], np.nan)
    for count in np.unique(counts[counts >= FEWEST_ANSWERS]):
        records = np.flatnonzero(counts == count)
        ordered = np.sort(np.where(use[:, records], phi[:, records], np.inf), axis=0)[:count].astype(np.float64)
        spread = ordered.std(axis=0, ddof=1)
        scale = np.maximum(np.abs(ordered[[0, -1]]).max(axis=0), 1)
        has_spread = spread > 1e-6 * scale
        z = (ordered - ordered.mean(axis=0)) / np.where(has_spread, spread, 1)
        odd = 2 * np.arange(1, count + 1)[:, None] - 1
        squared = -count - np.mean(odd * (log_ndtr(z) + log_ndtr(-z[::-1])), axis=0)
        corrected = squared * (1 + 0.75 / count + 2.25 / count**2)
        statistic[records] = np.where(has_spread, corrected, np.nan)
    return statistic


def saturation(score: Float[np.ndarray, "Q"], highest: float = 1.0) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the share of scores at the highest value there is, as RMIA's are at 1, and a line if it is large.

    Args:
        score: of the candidates; NaN is left out.
        highest: the value that scores cannot exceed.
    """
    known = score[~np.isnan(score)]
    if not len(known):
        return {}, ()
    share = float(np.mean(known >= highest))
    if share <= SATURATED:
        return {"saturation": share}, ()
    line = (
        f"{share:.0%} of the scores are at {highest:g}, where they no longer rank: low false-positive rates may be out "
        "of reach; raise gamma or the number of population records"
    )
    return {"saturation": share}, (line,)
