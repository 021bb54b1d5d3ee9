"""Leakage against the number of shadows: one panel for each metric, one line for each attack.

Takes a result's growth rows; gives charts.
"""

import math

from mia.records import Result
from mia.report import style
from mia.report.chart import Axis, Chart, Series

PANELS = {"auc": "AUC", "tpr_at_1pct_fpr": "TPR at 1% FPR", "tpr_at_0.1pct_fpr": "TPR at 0.1% FPR"}


def growth_charts(result: Result) -> list[Chart]:
    """Return a panel for each metric that the rows have, or nothing without rows."""
    counts = sorted({int(row["shadows"]) for row in result.growth})
    attacks = list(dict.fromkeys(str(row["attack"]) for row in result.growth))
    ticks = {float(count): str(count) for count in counts}
    charts = []
    for metric, words in PANELS.items():
        lines = [_line(result, attack, metric, position) for position, attack in enumerate(attacks)]
        lines = [line for line in lines if any(math.isfinite(value) for value in line.y)]
        if lines:
            x = Axis("number of shadows", is_log=True, ticks=ticks)
            charts.append(Chart(f"{words} by number of shadows", x, Axis(words), lines))
    return charts


def _line(result: Result, attack: str, metric: str, position: int) -> Series:
    rows = [row for row in result.growth if row["attack"] == attack]
    low, middle, high = ([float(row.get(f"{metric}{end}", math.nan)) for row in rows] for end in ("_low", "", "_high"))
    return Series(
        attack,
        [float(row["shadows"]) for row in rows],
        middle,
        shape="line+points",
        colour=style.category_colour(position),
        mark=style.category_mark(position),
        y_bounds=(low, high),
    )
