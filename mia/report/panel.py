"""One chart into one pair of matplotlib axes.

Takes axes, a chart and its place; draws, returns what the legend shows. Text from outside is never read as mathematics:
a class named "$x$" stays what it is.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mia.report import style
from mia.report.chart import Chart, Guide, Series
from mia.report.layout import EDGE, Panel, is_turned, ticks_of
from mia.report.placing import axis_limits, label_places
from mia.report.shapes import SHAPES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = style.LIGHT


def draw_chart(axes: "Axes", chart: Chart, panel: Panel) -> dict[str, Any]:
    """Draw one chart; return the legend's handles by name."""
    handles: dict[str, Any] = {}
    for series in chart.series:
        handle = SHAPES[series.shape](axes, series)
        if series.in_legend:
            handles.setdefault(series.name, handle)
    _set_axis(axes, chart, "x")
    _set_axis(axes, chart, "y")
    _place_words(axes, chart, panel)
    for guide in chart.guides:
        _draw_guide(axes, guide)
    for series, places in zip(chart.series, label_places(chart), strict=True):
        _draw_labels(axes, series, places)
    axes.grid(visible=True, color=COLOURS["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return handles


def _set_axis(axes: "Axes", chart: Chart, name: Literal["x", "y"]) -> None:
    from matplotlib.ticker import NullLocator

    which = {"x": axes.xaxis, "y": axes.yaxis}[name]
    if getattr(chart, name).is_log:
        getattr(axes, f"set_{name}scale")("log")
    ticks = ticks_of(chart, name)
    which.set_ticks(list(ticks), labels=list(ticks.values()), parse_math=False)
    which.set_minor_locator(NullLocator())
    getattr(axes, f"set_{name}lim")(*axis_limits(chart, name))
    axes.tick_params(axis=name, labelsize=style.FONT_SIZE - 0.5, color=COLOURS["quiet"])


def _place_words(axes: "Axes", chart: Chart, panel: Panel) -> None:
    """Put title and labels where the layout left room for them, so that matplotlib need not search."""
    width, height = panel.size
    label: Mapping[str, Any] = {"fontsize": style.FONT_SIZE, "parse_math": False}
    axes.set_title(
        panel.title,
        x=(EDGE - panel.room_left) / width,
        y=1.0,
        loc="left",
        fontsize=style.FONT_SIZE + 0.5,
        parse_math=False,
    )
    axes.set_xlabel(chart.x.label, va="bottom", **label)
    axes.xaxis.set_label_coords(0.5, -panel.room_below / height)
    axes.set_ylabel(chart.y.label, va="top", **label)
    axes.yaxis.set_label_coords((EDGE / 2 - panel.room_left) / width, 0.5)
    if is_turned(chart, width):
        axes.tick_params(axis="x", rotation=45)


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
