"""Charts to matplotlib figures and files.

Uses `Figure` and the Agg canvas directly, never pyplot, so that nothing global is touched and threads may draw.
Text from outside is never read as mathematics (a class named "$x$" stays what it is).
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mia.report import style
from mia.report.chart import Axis, Chart, Guide, Series
from mia.report.placing import label_places, span
from mia.report.shapes import SHAPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
COLOURS = style.LIGHT
TITLE_WIDTH = 54  # characters over one panel


def draw_figure(charts: Sequence[Chart], title: str = "") -> "Figure":
    """Return a figure with one panel for each chart, a shared legend below where the panels show the same series."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if len(charts) == 4 else min(len(charts), 3)
    rows = math.ceil(len(charts) / columns)
    heights = [max(c.height for c in charts[r * columns : (r + 1) * columns]) for r in range(rows)]
    size = (style.PANEL_WIDTH * max(columns, 1.25), style.PANEL_HEIGHT * sum(heights) + 0.6)
    figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns, height_ratios=heights)
    handles: dict[str, Any] = {}
    most = 0
    for position, chart in enumerate(charts):
        axes = figure.add_subplot(grid[divmod(position, columns)])
        found = draw_chart(axes, chart, TITLE_WIDTH if columns > 1 else int(1.25 * TITLE_WIDTH))
        handles |= {name: handle for name, handle in found.items() if name not in handles}
        most = max(most, len(found))
    if title and len(charts) > 1:
        figure.suptitle(_wrapped(title, TITLE_WIDTH * columns), fontsize=style.FONT_SIZE + 2, parse_math=False)
    if most > 1:
        _add_legend(figure, handles, columns)
    return figure


def _add_legend(figure: "Figure", handles: Mapping[str, Any], columns: int) -> None:
    longest = max(len(name) for name in handles)
    fitting = max(1, int(max(columns, 1.25) * 58 / (longest + 8)))
    legend = figure.legend(
        list(handles.values()),
        [f" {name}" if name.startswith("_") else name for name in handles],
        loc="outside lower center",
        ncols=min(fitting, len(handles)),
        fontsize=style.FONT_SIZE - 0.5,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def draw_chart(axes: "Axes", chart: Chart, title_width: int = TITLE_WIDTH) -> dict[str, Any]:
    """Draw one chart into `axes`; return the legend's handles by name."""
    handles: dict[str, Any] = {}
    for series in chart.series:
        handle = SHAPES[series.shape](axes, series)
        if series.in_legend:
            handles.setdefault(series.name, handle)
    _set_axis(axes, "x", chart.x, _extent(chart, "x"), is_tight=any(s.shape in {"hbars", "area"} for s in chart.series))
    _set_axis(axes, "y", chart.y, _extent(chart, "y"), is_tight=any(s.shape == "bars" for s in chart.series))
    for guide in chart.guides:
        _draw_guide(axes, guide)
    for series, places in zip(chart.series, label_places(chart), strict=True):
        _draw_labels(axes, series, places)
    axes.set_title(
        _wrapped(chart.title, title_width - _longest_tick(chart.y)),
        fontsize=style.FONT_SIZE + 0.5,
        loc="left",
        parse_math=False,
    )
    axes.grid(visible=True, color=COLOURS["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return handles


def _extent(chart: Chart, axis: str) -> list[float]:
    """Return all values that must be seen along an axis: points, ends of intervals, guides."""
    sides = [side for s in chart.series for side in (getattr(s, axis), *(getattr(s, f"{axis}_bounds") or ()))]
    return [v for side in sides for v in side] + [g.value for g in chart.guides if g.is_vertical == (axis == "x")]


def _longest_tick(axis: Axis) -> int:
    return max((len(text) for text in (axis.ticks or {}).values()), default=4) - 4


def _set_axis(axes: "Axes", name: Literal["x", "y"], axis: Axis, values: Sequence[float], *, is_tight: bool) -> None:
    which = {"x": axes.xaxis, "y": axes.yaxis}[name]
    if axis.is_log:
        getattr(axes, f"set_{name}scale")("log")
    if axis.limits:
        getattr(axes, f"set_{name}lim")(*axis.limits)
    elif not is_tight:
        getattr(axes, f"set_{name}lim")(*span(values, is_log=axis.is_log))
    if axis.ticks is not None:
        which.set_ticks(list(axis.ticks), labels=list(axis.ticks.values()), parse_math=False)
        which.set_minor_locator(_no_ticks())
    which.set_label_text(axis.label, fontsize=style.FONT_SIZE, parse_math=False)
    axes.tick_params(axis=name, labelsize=style.FONT_SIZE - 0.5, color=COLOURS["quiet"])
    if name == "x" and axis.ticks and sum(len(text) + 2 for text in axis.ticks.values()) > 58:
        axes.tick_params(axis="x", rotation=45)


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _draw_guide(axes: "Axes", guide: Guide) -> None:
    line = axes.axvline if guide.is_vertical else axes.axhline
    line(guide.value, color=COLOURS["quiet"], linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
    if not guide.text:
        return
    look: dict[str, Any] = {
        "fontsize": style.FONT_SIZE - 1.5,
        "color": COLOURS["quiet"],
        "parse_math": False,
        "zorder": 5,
    }
    if guide.is_vertical:
        axes.annotate(guide.text, (guide.value, 1), xycoords=axes.get_xaxis_transform(), xytext=(2, -3),
                      textcoords="offset points", rotation=90, va="top", **look)  # fmt: skip
    else:
        axes.annotate(guide.text, (1, guide.value), xycoords=axes.get_yaxis_transform(), xytext=(3, 0),
                      textcoords="offset points", va="center", **look)  # fmt: skip


def _draw_labels(axes: "Axes", series: Series, places: Sequence[str]) -> None:
    for x, y, text, place in zip(series.x, series.y, series.labels, places, strict=False):
        if place:
            up, right = place.startswith("top"), place.endswith("right")
            axes.annotate(
                text,
                (x, y),
                xytext=(4 if right else -4, 3 if up else -3),
                textcoords="offset points",
                ha="left" if right else "right",
                va="bottom" if up else "top",
                fontsize=style.FONT_SIZE - 2,
                color=COLOURS["ink"],
                parse_math=False,
                zorder=6,
            )


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width, break_on_hyphens=False)) if len(text) > width else text


def save_figure(figure: "Figure", stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write `stem`.png, .pdf and .svg (text in a PDF stays text); return the paths."""
    import matplotlib as mpl

    paths = []
    for kind in formats:
        path = stem.with_suffix(f".{kind}")
        settings: Any = {"pdf.fonttype": 42, "svg.hashsalt": stem.name}
        with mpl.rc_context(settings):
            figure.savefig(path, format=kind, metadata={"Date": None} if kind == "svg" else None)
        paths.append(path)
    return paths
