"""Charts to the data that plotly.js draws on the page.

Takes charts, gives plain values for JSON. Colours stay roles, "@c0" (half transparent "@c0~"), which the page's script
replaces by those of the reader's theme. Plotly reads a subset of HTML in texts, so everything that comes from outside
is escaped here.
"""

import html
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from mia.report.chart import Axis, Chart, Series
from mia.report.placing import axis_limits, label_places

PANEL = 330  # pixels
TICK_WIDTH, TICK_ROW = 24, 14
MODES = {"line": "lines", "points": "markers", "line+points": "lines+markers"}


def plotly_chart(chart: Chart) -> dict[str, Any]:
    """Return title, height, data and layout of a chart."""
    places = label_places(chart)
    data = [one for series, row in zip(chart.series, places, strict=True) for one in _traces(series, row)]
    return {
        "title": chart.title,
        "height": _height(chart),
        "data": data,
        "layout": {
            "xaxis": _axis(chart, "x"),
            "yaxis": _axis(chart, "y"),
            "shapes": [_guide_line(guide.value, is_vertical=guide.is_vertical) for guide in chart.guides],
            "annotations": [_guide_text(chart, k) for k, guide in enumerate(chart.guides) if guide.text],
            "barmode": "overlay",
        },
    }


def safe(text: str) -> str:
    """Return text that plotly shows as it is; line breaks become breaks."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def numbers(values: Sequence[float]) -> list[float | None]:
    """Return values as JSON takes them, with no more digits than anyone can see."""
    return [float(f"{v:.5g}") if math.isfinite(v) else None for v in values]


def _axis(chart: Chart, name: str) -> dict[str, Any]:
    axis: Axis = getattr(chart, name)
    low, high = axis_limits(chart, name)
    found: dict[str, Any] = {"title": {"text": safe(axis.label)}, "range": numbers([low, high])}
    if axis.is_log:
        found |= {"type": "log", "range": numbers([math.log10(low), math.log10(high)])}
    if axis.ticks is not None:
        found |= {"tickvals": numbers(list(axis.ticks)), "ticktext": [safe(text) for text in _tick_texts(axis)]}
    return found


def _tick_texts(axis: Axis) -> list[str]:
    """Return the names of ticks, long ones on several lines."""
    return ["\n".join(textwrap.wrap(text, TICK_WIDTH, break_on_hyphens=False)) for text in (axis.ticks or {}).values()]


def _height(chart: Chart) -> int:
    """Return the height of the plot itself; names of several lines need room."""
    lines = sum(1 + text.count("\n") for text in _tick_texts(chart.y))
    return max(round(PANEL * chart.height), TICK_ROW * lines + 60)


def _guide_line(value: float, *, is_vertical: bool) -> dict[str, Any]:
    along, across = ("x", "y") if is_vertical else ("y", "x")
    line = {"color": "@quiet", "width": 1, "dash": "dot"}
    ends = {f"{along}0": value, f"{along}1": value, f"{across}0": 0, f"{across}1": 1}
    return {"type": "line", "layer": "between", f"{across}ref": "paper", "line": line, **ends}


def _guide_text(chart: Chart, position: int) -> dict[str, Any]:
    guide = chart.guides[position]
    axis = chart.x if guide.is_vertical else chart.y
    value = math.log10(guide.value) if axis.is_log else guide.value
    shared = {"text": safe(guide.text), "showarrow": False, "font": {"size": 10, "color": "@quiet"}}
    if guide.is_vertical:
        return shared | {"x": value, "y": 1, "yref": "paper", "textangle": -90, "xanchor": "left", "yanchor": "top"}
    return shared | {"y": value, "x": 1, "xref": "paper", "xanchor": "right", "yanchor": "bottom"}


def _traces(series: Series, places: Sequence[str]) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {
        "name": safe(series.name),
        "x": numbers(series.x),
        "y": numbers(series.y),
        "opacity": series.opacity,
        "showlegend": series.in_legend,
        "legendgroup": series.group or series.name,
    }
    if series.hover:
        shared |= {"hovertext": [safe(text) for text in series.hover], "hoverinfo": "text"}
    if series.shape in {"bars", "hbars"}:
        return [shared | _bars(series)]
    if series.shape == "area":
        return [shared | {"type": "scatter", "mode": "lines", "fill": "tozeroy",
                          "line": {"shape": "hv", "color": f"@{series.colour}"}}]  # fmt: skip
    if series.shape == "band":
        return _band(series, shared)
    return [shared | _line(series, places)]


def _line(series: Series, places: Sequence[str]) -> dict[str, Any]:
    colour = f"@{series.colour}"
    symbol = f"{series.mark}-open" if series.is_hollow else series.mark
    found: dict[str, Any] = {
        "type": "scatter",
        "mode": MODES[series.shape],
        "line": {"color": colour, "width": series.width, "dash": "dash" if series.is_dashed else "solid"},
        "marker": {
            "symbol": symbol,
            "size": 12 if series.is_hollow else 8,
            "color": colour,
            "line": {"width": 1.5 if series.is_hollow else 0},
        },
        **_error_bars(series),
    }
    if any(places):
        found |= {
            "mode": f"{found['mode']}+text",
            "text": [safe(text) if place else "" for text, place in zip(series.labels, places, strict=True)],
            "textposition": [place or "top right" for place in places],
            "textfont": {"size": 10, "color": "@ink"},
        }
    return found


def _bars(series: Series) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "bar", "marker": {"color": f"@{series.colour}"}, "width": series.thickness}
    if series.base is not None:
        found["base"] = numbers(series.base)
    if series.shape == "hbars":
        found["orientation"] = "h"
    return found | _error_bars(series, "@ink")


def _band(series: Series, shared: dict[str, Any]) -> list[dict[str, Any]]:
    low, high = series.y_bounds or (series.y, series.y)
    edge = {"type": "scatter", "mode": "lines", "line": {"width": 0, "color": f"@{series.colour}"}, "hoverinfo": "skip"}
    below = {**shared, **edge, "y": numbers(low), "showlegend": False}
    return [below, {**shared, **edge, "y": numbers(high), "fill": "tonexty", "opacity": 0.3}]


def _error_bars(series: Series, colour: str = "") -> dict[str, Any]:
    found = {}
    for name in ("x", "y"):
        bounds = getattr(series, f"{name}_bounds")
        if bounds is not None:
            values = getattr(series, name)
            found[f"error_{name}"] = {
                "type": "data",
                "symmetric": False,
                "array": numbers([max(h - v, 0.0) for v, h in zip(values, bounds[1], strict=True)]),
                "arrayminus": numbers([max(v - low, 0.0) for v, low in zip(values, bounds[0], strict=True)]),
                "thickness": 1,
                "width": 0,
                "color": colour or f"@{series.colour}~",
            }
    return found
