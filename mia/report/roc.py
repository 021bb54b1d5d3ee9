"""ROC lines for drawing on logarithmic axes.

Takes scores and membership, gives a few hundred points of the exact curve. Decides nothing: the numbers in tables come
from the metrics, not from here.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from mia.metrics.roc import FPR_LIMITS, roc
from mia.report.chart import Axis, Chart, Guide, Series
from mia.report.words import percent_words


def roc_line(
    score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], points: int = 240
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "P"]]:
    """Return false and true positive rates at (0, 0), (1, 1) and about `points` log-spaced thresholds in between.

    Records of equal score are counted together; records without a score (NaN) are left out.
    """
    is_scored = ~np.isnan(score)
    curve = roc(score[is_scored], is_member[is_scored])
    if not curve.num_members or not curve.num_nonmembers:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    fpr, tpr = curve.fpr, curve.tpr
    if len(fpr) <= points:
        return fpr, tpr
    wanted = np.geomspace(0.5 / curve.num_nonmembers, 1, points)
    kept = np.unique([0, *(np.searchsorted(fpr, wanted, side="right") - 1), len(fpr) - 1])
    return fpr[kept], tpr[kept]


def roc_series(
    name: str,
    score: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    colour: str,
    *,
    is_dashed: bool = False,
    points: int = 240,
) -> Series:
    """Return an attack's ROC line; what lies at a false positive rate of zero is drawn at the left edge."""
    fpr, tpr = roc_line(score, is_member, points)
    floor = left_edge(int((~is_member).sum()))
    x, y = np.maximum(fpr, floor), np.where(tpr > 0, tpr, np.nan)
    return Series(name, x.tolist(), y.tolist(), colour=colour, is_dashed=is_dashed)


def left_edge(num_nonmembers: int) -> float:
    """Return where the axes begin: half of the smallest rate that so many non-members can show."""
    return 0.5 / max(num_nonmembers, 5)


def roc_chart(title: str, lines: Sequence[Series], num_nonmembers: int) -> Chart:
    """Return a chart of ROC lines on logarithmic axes with chance, the reported rates and the end of resolution."""
    low = left_edge(num_nonmembers)
    chance = Series("chance", [low, 1.0], [low, 1.0], colour="quiet", is_dashed=True, width=1.2)
    guides = [
        Guide(rate, f"{percent_words(rate)} FPR", is_vertical=True)
        for rate in FPR_LIMITS.values()
        if rate * num_nonmembers > 1
    ]
    if num_nonmembers:
        guides.append(Guide(1 / num_nonmembers, f"1 of {num_nonmembers:,} non-members", is_vertical=True))
    ticks = {10.0**-k: percent_words(10.0**-k) for k in range(6) if 10.0**-k >= low}
    return Chart(
        title,
        Axis("false positive rate", is_log=True, limits=(low, 1.06), ticks=ticks),
        Axis("true positive rate", is_log=True, limits=(low, 1.06), ticks=ticks),
        [*lines, chance],
        guides,
    )
