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
from mia.report.placing import axis_limits, label_places
from mia.report.shapes import SHAPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf")
COLOURS = style.LIGHT
TITLE_WIDTH = 52  # characters over one panel


def draw_figure(charts: Sequence[Chart], title: str = "") -> "Figure":
    """Return a figure with one panel for each chart, a shared legend below where the panels show the same series."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 2 if len(charts) == 4 else min(len(charts), 3)
    rows = math.ceil(len(charts) / columns)
    heights = [max(c.height for c in charts[r * columns : (r + 1) * columns]) for r in range(rows)]
    size = (style.PANEL_WIDTH * max(columns, 1.25), style.PANEL_HEIGHT * sum(heights) + 0.5)
    figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns, height_ratios=heights)
    width = TITLE_WIDTH if columns > 1 else int(1.25 * TITLE_WIDTH)
    panels = [figure.add_subplot(grid[divmod(position, columns)]) for position in range(len(charts))]
    handles = [draw_chart(axes, chart, width) for axes, chart in zip(panels, charts, strict=True)]
    if title and len(charts) > 1:
        figure.suptitle(_wrapped(title, TITLE_WIDTH * columns), fontsize=style.FONT_SIZE + 2, parse_math=False)
    rows_of_legend = max(len(found) for found in handles) // 2
    figure.set_size_inches(size[0], size[1] + 0.16 * rows_of_legend * (1 if columns == 1 else rows))
    is_shared = all(len(found) < 2 or found.keys() == handles[0].keys() for found in handles)
    if is_shared and any(len(found) > 1 for found in handles):
        _add_legend(figure, max(handles, key=len), int(max(columns, 1.25) * 58), loc="outside lower center")
    for axes, found in zip(panels, handles, strict=True):
        if len(found) > 1 and not is_shared:
            _add_legend(axes, found, 58, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return figure


def _add_legend(owner: "Figure | Axes", handles: Mapping[str, Any], characters: int, **place: Any) -> None:
    fitting = max(1, characters // (max(len(name) for name in handles) + 8))
    legend = owner.legend(
        list(handles.values()),
        [f" {name}" if name.startswith("_") else name for name in handles],
        ncols=min(fitting, len(handles)),
        fontsize=style.FONT_SIZE - 0.5,
        frameon=False,
        **place,
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
    _set_axis(axes, "x", chart.x, axis_limits(chart, "x"))
    _set_axis(axes, "y", chart.y, axis_limits(chart, "y"))
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


def _longest_tick(axis: Axis) -> int:
    return max((len(text) for text in (axis.ticks or {}).values()), default=4) - 4


def _set_axis(axes: "Axes", name: Literal["x", "y"], axis: Axis, limits: tuple[float, float]) -> None:
    which = {"x": axes.xaxis, "y": axes.yaxis}[name]
    if axis.is_log:
        getattr(axes, f"set_{name}scale")("log")
    getattr(axes, f"set_{name}lim")(*limits)
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
    """Write `stem`.png and .pdf (whose text stays text), laid out once; return the paths."""
    import matplotlib as mpl

    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    paths = []
    for kind in formats:
        path = stem.with_suffix(f".{kind}")
        with mpl.rc_context({"pdf.fonttype": 42}):
            figure.savefig(path, format=kind)
        paths.append(path)
    return paths
