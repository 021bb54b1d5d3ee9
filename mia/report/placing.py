"""Where the labels of points go, so that they do not cover one another.

Takes a chart, gives one place for each label, in the words of plotly ("top right" ...; "" hides it). Greedy, in the
order of the series: a label tries four corners of its point and is left out when all are taken; the page still tells
it on hover, and the table has it.
"""

import math
from collections.abc import Sequence

from mia.report.chart import Axis, Chart, Series, extent

PLACES = {"top right": (0, 0), "top left": (-1, 0), "bottom right": (0, -1), "bottom left": (-1, -1)}
CHARACTER, LINE, GAP, POINT = 0.019, 0.052, 0.012, 0.012  # sizes of text and marks in units of a panel

Box = tuple[float, float, float, float]  # left, bottom, right, top


def label_places(chart: Chart) -> list[list[str]]:
    """Return the place of each label of each series (an empty list where a series has no labels)."""
    where = [_positions(chart, series) for series in chart.series]
    taken = [
        (x - POINT, y - POINT, x + POINT, y + POINT) for points in where for x, y in points if math.isfinite(x + y)
    ]
    places: list[list[str]] = []
    for series, points in zip(chart.series, where, strict=True):
        row = []
        for (x, y), text in zip(points, series.labels, strict=False):
            place, box = _first_free(x, y, text, taken)
            if box:
                taken.append(box)
            row.append(place)
        places.append(row)
    return places


def _first_free(x: float, y: float, text: str, taken: Sequence[Box]) -> tuple[str, Box | None]:
    if not text or not math.isfinite(x + y):
        return "", None
    width = CHARACTER * len(text)
    for place, (right, up) in PLACES.items():
        left = x + right * (width + 2 * GAP) + GAP
        bottom = y + up * (LINE + 2 * GAP) + GAP
        box = (left, bottom, left + width, bottom + LINE)
        if box[0] > -0.02 and box[2] < 1.03 and not any(_overlap(box, other) for other in taken):
            return place, box
    return "", None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _positions(chart: Chart, series: Series) -> list[tuple[float, float]]:
    """Return the points of a series in units of the panel, 0 to 1."""
    if not series.labels:
        return []
    x = _unit(chart.x, axis_limits(chart, "x"), series.x)
    y = _unit(chart.y, axis_limits(chart, "y"), series.y)
    return list(zip(x, y, strict=True))


def _unit(axis: Axis, limits: tuple[float, float], values: Sequence[float]) -> list[float]:
    low, high = (_scaled(end, axis) for end in limits)
    return [(_scaled(v, axis) - low) / (high - low) if high > low else 0.5 for v in values]


def _scaled(value: float, axis: Axis) -> float:
    if not axis.is_log:
        return value
    return math.log10(value) if value > 0 else math.nan


def axis_limits(chart: Chart, axis: str) -> tuple[float, float]:
    """Return the limits of "x" or "y": those given, else all that must be seen with a margin; bars stand on zero."""
    given: Axis = getattr(chart, axis)
    if given.limits:
        return given.limits
    values = extent(chart, axis)
    shapes = {s.shape for s in chart.series}
    if ("bars" if axis == "y" else "hbars") in shapes and not given.is_log:
        ends = [v + b for s in chart.series for v, b in zip(getattr(s, axis), s.base or [0.0] * len(s.x), strict=True)]
        return 0.0, 1.05 * max([v for v in [*ends, *values] if math.isfinite(v)], default=1.0) or 1.0
    if ("bars" if axis == "x" else "hbars") in shapes and values:
        return min(values) - 0.6, max(values) + 0.6
    if "area" in shapes and axis == "x":
        return min(values), max(values)
    return span(values, is_log=given.is_log)


def span(values: Sequence[float], *, is_log: bool = False, margin: float = 0.06) -> tuple[float, float]:
    """Return limits that hold all finite `values` (positive ones on a log axis) with a margin on both sides."""
    finite = [float(v) for v in values if math.isfinite(v) and (v > 0 or not is_log)]
    if not finite:
        return (0.1, 1.0) if is_log else (0.0, 1.0)
    low, high = min(finite), max(finite)
    if is_log:
        factor = max((high / low) ** margin, 1.1)
        return low / factor, high * factor
    step = (high - low) * margin or abs(high) * margin or 0.5
    return low - step, high + step
