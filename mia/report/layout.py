"""Where everything on a figure goes, counted in characters before anything is drawn.

Takes charts, gives sizes and places in inches and fractions. Searching for a layout by drawing, as matplotlib would,
takes half of all time; the names of ticks, titles and legends are known, so their room can be counted.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mia.report import style
from mia.report.chart import Axis, Chart
from mia.report.placing import axis_limits

CHARACTER, LINE = 0.073, 0.175  # inches, of the usual text
EDGE, LABEL, TICK = 0.1, 0.22, 0.2
KEY = 0.5  # the mark and the space of a legend's entry
MOST_TICKS = 7
MOST_COLUMNS = 2  # three would be too small to read in print


@dataclass(frozen=True)
class Panel:
    """One chart's place: fractions of the figure, and room around it in inches."""

    left: float
    bottom: float
    width: float
    height: float
    room_left: float
    room_below: float  # of ticks and label; a legend of its own comes after it
    title: str  # on as many lines as it needs
    size: tuple[float, float]  # inches


@dataclass(frozen=True)
class Sheet:
    """A figure's size in inches, its panels, and whether one legend serves them all."""

    width: float
    height: float
    panels: tuple[Panel, ...]
    has_shared_legend: bool


def legend_names(chart: Chart) -> list[str]:
    """Return the entries of a chart's legend; a single one needs no legend."""
    names = list(dict.fromkeys(series.name for series in chart.series if series.in_legend))
    return names if len(names) > 1 else []


def legend_columns(names: Sequence[str], width: float) -> int:
    """Return how many entries fit beside one another."""
    longest = max((len(name) for name in names), default=1)
    return max(1, min(len(names), int(width / (CHARACTER * longest + KEY))))


def ticks_of(chart: Chart, name: str) -> Mapping[float, str]:
    """Return the ticks of "x" or "y": those given, else a few round numbers."""
    axis: Axis = getattr(chart, name)
    low, high = axis_limits(chart, name)
    if axis.ticks is not None:
        return axis.ticks
    if axis.is_log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        return {10.0**k: f"{10.0**k:g}" for k in powers if low <= 10.0**k <= high}
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return {}
    scale = 10.0 ** math.floor(math.log10(span))
    step = next(f * scale / 10 for f in (1, 2, 2.5, 5, 10, 20, 25, 50, 100) if span / (f * scale / 10) <= MOST_TICKS)
    values = [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    digits = next((d for d in range(12) if all(abs(round(v, d) - v) < 1e-6 * step for v in values)), 12)
    return {value: f"{value + 0.0:,.{digits}f}" for value in values}


def is_turned(chart: Chart, width: float) -> bool:
    """Whether the names of ticks along x must be slanted to fit."""
    names = list((chart.x.ticks or {}).values())
    return bool(names) and CHARACTER * (max(map(len, names)) + 1.5) > width / len(names)


def lay_out(charts: Sequence[Chart], title: str) -> Sheet:
    """Return the places of panels in rows of two."""
    columns = min(len(charts), MOST_COLUMNS)
    width = style.PANEL_WIDTH * max(columns, 1.25)
    names = [legend_names(chart) for chart in charts]
    is_shared = len({tuple(sorted(found)) for found in names if found}) <= 1
    rows = [range(start, min(start + columns, len(charts))) for start in range(0, len(charts), columns)]
    shared = _legend_height(max(names, key=len), width) if is_shared else 0.0
    tops = [_row_heights([charts[k] for k in row], width / columns, own_legend=not is_shared) for row in rows]
    height = shared + sum(map(sum, tops)) + EDGE + (2 * LINE if title and len(charts) > 1 else 0.0)
    panels, below = [], shared + sum(map(sum, tops))
    for row, (top, plot, bottom) in zip(rows, tops, strict=True):
        below -= top + plot
        panels += [_panel(charts[k], (k - row[0]) * width / columns, below, width / columns, plot) for k in row]
        below -= bottom
    return Sheet(width, height, tuple(_as_fractions(panel, width, height) for panel in panels), is_shared)


def _legend_height(names: Sequence[str], width: float) -> float:
    if not names:
        return 0.0
    return EDGE + LINE * 1.12 * math.ceil(len(names) / legend_columns(names, width))


def _row_heights(charts: Sequence[Chart], width: float, *, own_legend: bool) -> tuple[float, float, float]:
    """Return the heights of titles, plots, and what stands below them."""
    lines = max(_title(chart, width).count("\n") + 1 for chart in charts)
    below = max(_room_below(chart, width - _room_left(chart) - _room_right(chart)) for chart in charts)
    legends = max(_legend_height(legend_names(chart), width) for chart in charts) if own_legend else 0.0
    return EDGE + LINE * 1.1 * lines, style.PLOT_HEIGHT * max(chart.height for chart in charts), below + legends + EDGE


def _title(chart: Chart, width: float) -> str:
    most = int((width - 2 * EDGE) / (CHARACTER * 1.1))
    return "\n".join(textwrap.wrap(chart.title, most, break_on_hyphens=False))


def _room_left(chart: Chart) -> float:
    longest = max((len(text) for text in ticks_of(chart, "y").values()), default=0)
    return EDGE + (LABEL if chart.y.label else 0.0) + CHARACTER * longest + 0.1


def _room_right(chart: Chart) -> float:
    words = [guide.text for guide in chart.guides if not guide.is_vertical]
    return EDGE * 1.8 + CHARACTER * max((len(text) for text in words), default=0)


def _room_below(chart: Chart, width: float) -> float:
    longest = max((len(text) for text in ticks_of(chart, "x").values()), default=0)
    ticks = 0.72 * CHARACTER * longest + 0.12 if is_turned(chart, width) else TICK
    return ticks + (LABEL if chart.x.label else 0.0)


def _panel(chart: Chart, left: float, bottom: float, width: float, height: float) -> Panel:
    """Return a panel in inches."""
    before, after = _room_left(chart), _room_right(chart)
    size = width - before - after, height
    return Panel(left + before, bottom, *size, before, _room_below(chart, size[0]), _title(chart, width), size)


def _as_fractions(panel: Panel, width: float, height: float) -> Panel:
    return Panel(
        panel.left / width,
        panel.bottom / height,
        panel.width / width,
        panel.height / height,
        panel.room_left,
        panel.room_below,
        panel.title,
        panel.size,
    )
