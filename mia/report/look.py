"""How figures look and how they are drawn: colours, marks, the parts that figures share, and PNG, PDF and SVG.

A specification names its data ("settings", "points" ...) and holds none, so that a page keeps one copy of everything.
Colours are those of the light theme; the page replaces each by its dark counterpart. Categories differ in colour and in
mark: ten colours and nine marks, so that the first ninety differ in one of them at least and the first nine in both.
Three things Vega-Lite cannot say are patched into what it compiles to: labels that avoid one another, axis titles that
follow a choice, and no grid line where a guide stands. The page's script does the same.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

INK, QUIET, GRID, PAPER = "#1b1f24", "#6b7280", "#e3e6ea", "#ffffff"
CATEGORIES = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#b07d00",
    "#4f9fd6",
    "#7a5195",
    "#7b8b1f",
    "#8c4a2f",
    "#c2185b",
)
RAMP = ("#352a87", "#2c5aa0", "#1f829c", "#2ea178", "#7fa82a", "#c58c00", "#d95f0e", "#a8173b")
DARK = dict(
    zip(
        (INK, QUIET, GRID, PAPER, *CATEGORIES, *RAMP),
        ("#e8eaed", "#9aa3af", "#31363f", "#16191f",
         "#4aa8e0", "#f0803c", "#2cc79a", "#e39ac3", "#e0ad33", "#86c5f2", "#b393d3", "#b3c24d", "#cf8b6d", "#f06292",
         "#9c94f0", "#6f9fe8", "#4fb9d0", "#4cc99a", "#a3cc4f", "#e6b32e", "#f58a45", "#ec5f7f"),
        strict=True,
    )
)  # fmt: skip
_PENTAGON = "M0,-1L.951,-.309L.588,.809L-.588,.809L-.951,-.309Z"
_HEXAGON = "M0,-1L.866,-.5L.866,.5L0,1L-.866,.5L-.866,-.5Z"
_STAR = "M0,-1.2L.3,-.4L1.14,-.37L.48,.15L.71,.97L0,.5L-.71,.97L-.48,.15L-1.14,-.37L-.3,-.4Z"
MARKS = ("square", "triangle-up", "diamond", "triangle-down", _PENTAGON, "cross", _STAR, "triangle-right", _HEXAGON)
CONFIG = {
    "background": PAPER,
    "font": "Helvetica Neue, Helvetica, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": GRID, "domainColor": INK, "tickColor": INK, "labelColor": INK, "titleColor": INK,
             "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 220, "labelOverlap": "greedy", "labelSeparation": 6},
    "legend": {"orient": "bottom", "labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 11,
               "titleFontWeight": "normal", "labelLimit": 240, "symbolSize": 90, "symbolStrokeWidth": 1.6, "columns": 4,
               "clipHeight": 16, "symbolOpacity": 1},
    "title": {"anchor": "start", "color": INK, "subtitleColor": QUIET, "fontSize": 12.5, "fontWeight": 600,
              "subtitleFontSize": 11},
    "concat": {"spacing": 24},
}  # fmt: skip
GUIDE = {"color": QUIET, "strokeDash": [3, 3], "strokeWidth": 1}
WIDTH, HEIGHT = 340, 250  # pixels of a panel on paper; the page chooses widths
NEAR = [4] * 4 + [7] * 4
AROUND = ["top-right", "top-left", "bottom-right", "bottom-left", "right", "left", "top", "bottom"]
PNG_SCALE = 2.0


@dataclass(frozen=True)
class Figure:
    """A figure, before it has data."""

    name: str  # of files and of the place in the page
    title: str
    caption: str
    spec: dict[str, Any]  # Vega-Lite, which names its data and holds none

    def chart(self, data: Mapping[str, Any]) -> "alt.TopLevelMixin":
        """Return the figure as an Altair chart, with the data that it asks for."""
        import altair as alt

        return alt.Chart.from_dict(self.with_data(data))

    def with_data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole specification, with the data that it asks for and our looks."""
        found = {name: records(data[name]) for name in data_names(self.spec) if name in data}
        return self.spec | {"$schema": schema(), "datasets": found, "config": copy.deepcopy(CONFIG)}


# --- what figures share -----------------------------------------------------------------------------------------------
# Altair makes the marks with their encodings; they are put together as plain values, since each of Altair's own
# compositions copies all parts again.


def layer(*parts: Any, **properties: Any) -> dict[str, Any]:
    """Return marks over one another; parts are Altair's charts, specifications, or lists of such."""
    return {"layer": [one for part in parts for one in _units(part)], **properties}


def _units(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [one for each in part for one in _units(each)]
    return [unit(part)]


def unit(chart: Any, **properties: Any) -> dict[str, Any]:
    """Return one of Altair's charts as a specification that can stand in another."""
    found = chart if isinstance(chart, dict) else chart.to_dict(validate=False)
    return {key: value for key, value in found.items() if key not in ("$schema", "config")} | properties


def panels(
    charts: Sequence[dict[str, Any]], columns: int = 2, *, least: int = 300, room: int = 62, **shared: str
) -> dict[str, Any]:
    """Return charts side by side; `shared` says of each scale whether it is "shared" or "independent".

    Args:
        charts: the panels.
        columns: on paper, and at most on the page.
        least: width in pixels from which on the page has a further column.
        room: pixels of a panel's width that its axis takes.
        shared: by channel.
    """
    meta = {"least": least, "room": room}
    return {
        "concat": list(charts),
        "columns": min(columns, len(charts)),
        "usermeta": meta,
        "resolve": {"scale": shared},
    }


def choice(
    name: str, label: str, options: Sequence[str], labels: Sequence[str] = (), start: str = ""
) -> dict[str, Any]:
    """Return a value that the reader chooses from a list; with one option there is nothing to choose."""
    value = {"name": name, "value": start or options[0]}
    if len(options) == 1:
        return value
    bind = {"input": "select", "options": list(options), "labels": list(labels or options), "name": f"{label} "}
    return value | {"bind": bind}


def near(**more: Any) -> "alt.Scale":
    """Return a scale that begins and ends near the values."""
    import altair as alt

    return alt.Scale(**{"zero": False, "nice": False, "padding": 12} | more)


def ramp(count: int) -> list[str]:
    """Return colours for ordered values, spread from cold to hot."""
    if count <= 1:
        return [RAMP[1]] * count
    return [RAMP[round(k * (len(RAMP) - 1) / (count - 1))] for k in range(count)]


def by_category(names: Sequence[str], plain: str = "") -> tuple[list[str], list[str], list[str]]:
    """Return names, colours and marks that go together; `plain` comes first, in ink, as a circle."""
    rest = [name for name in names if name != plain]
    first = ([plain], [INK], ["circle"]) if plain in names else ([], [], [])
    colours = [CATEGORIES[k % len(CATEGORIES)] for k in range(len(rest))]
    marks = [MARKS[k % len(MARKS)] for k in range(len(rest))]
    return [*first[0], *rest], [*first[1], *colours], [*first[2], *marks]


def by_order(names: Sequence[str], plain: str = "") -> tuple[list[str], list[str], list[str]]:
    """Return ordered names, a ramp of colours and marks that go together; `plain` comes first, in ink, as a circle."""
    domain, _, marks = by_category(names, plain)
    first = [INK] if plain in names else []
    return domain, [*first, *ramp(len(domain) - len(first))], marks


def looks(field: str, names: tuple[list[str], list[str], list[str]]) -> tuple["alt.Color", "alt.Shape"]:
    """Return colour and mark by a field, with one legend for both."""
    import altair as alt

    domain, colours, marks = names
    colour = alt.Color(f"{field}:N", title=None, scale=alt.Scale(domain=domain, range=colours), legend=alt.Legend())
    return colour, alt.Shape(f"{field}:N", title=None, scale=alt.Scale(domain=domain, range=marks), legend=alt.Legend())


def dashes(field: str, solid: str, dashed: str) -> "alt.StrokeDash":
    """Return solid or dashed lines by a field of two values."""
    import altair as alt

    scale = alt.Scale(domain=[solid, dashed], range=[[1, 0], [5, 3]])
    legend = alt.Legend(symbolType="stroke", symbolSize=300)
    return alt.StrokeDash(f"{field}:N", title="the attacker", scale=scale, legend=legend)


def looked_up(chart: "alt.Chart", metric: str = "metric", into: str = "v") -> "alt.Chart":
    """Add to each setting a metric's value and interval: fields `v`, `vl`, `vh`, `vt` (all in words) for `into` "v".

    Args:
        chart: over data with the field `s`.
        metric: an expression that gives the metric's name; those with a slash belong to no attack.
        into: the name of the value's field.
    """
    import altair as alt

    key = f"datum.s + '|' + (indexof({metric}, '/') < 0 ? attack : '') + '|' + {metric}"
    source = alt.LookupData(data=alt.NamedData("points"), key="k", fields=["v", "l", "h", "sd"])
    return (
        chart.transform_calculate(k=key)
        .transform_lookup(lookup="k", from_=source, as_=[into, f"{into}l", f"{into}h", f"{into}d"])
        .transform_calculate(**{f"{into}t": in_words(into, f"{into}l", f"{into}h", f"{into}d")})
    )


def in_words(value: str, low: str, high: str, deviation: str) -> str:
    """Return an expression for a value, its interval, and its deviation over seeds."""
    return (
        f"!isValid(datum.{value}) ? '-' : format(datum.{value}, '.3f')"
        f" + (datum.{low} < datum.{high} ? ' [' + format(datum.{low}, '.3f') + ', ' + format(datum.{high}, '.3f') + ']' : '')"
        f" + (isValid(datum.{deviation}) ? ' (sd ' + format(datum.{deviation}, '.3f') + ')' : '')"
    )


def guide(value: str, label: str = "chance", *, is_vertical: bool = True, title: str = "") -> list[dict[str, Any]]:
    """Return a dashed line with its name outside of the plot; none where the expression `value` is not a number.

    It carries the axis title, so that layers with and without it agree.
    """
    channel = "x" if is_vertical else "y"
    where = {"y": 0, "dy": -7} if is_vertical else {"x": "width", "dx": 4, "align": "left"}
    base = {
        "data": {"values": [{}]},
        "transform": [{"calculate": value, "as": "at"}, {"filter": "isValid(datum.at)"}],
        "encoding": {channel: {"field": "at", "type": "quantitative", "title": title}},
    }
    text = {"type": "text", "text": label, "color": QUIET, "fontSize": 10, **where}
    return [base | {"mark": {"type": "rule", **GUIDE}}, base | {"mark": text}]


def labels(chart: "alt.Chart", text: str) -> "alt.Chart":
    """Return texts beside the points of a chart, none over another or over a mark; `text` is an expression."""
    corners = "[[0, 0], [5, 0], [-5, 0], [0, 5], [0, -5]]"  # a text keeps off a mark's edges too, not only its middle
    return (
        chart.transform_calculate(corner=corners)
        .transform_flatten(["corner"])
        .transform_calculate(dx="datum.corner[0]", dy="datum.corner[1]")
        .transform_calculate(label=f"datum.dx || datum.dy ? '' : {text}")
        .mark_text(style="placed", color=INK, fontSize=10, xOffset={"expr": "datum.dx"}, yOffset={"expr": "datum.dy"})
        .encode(text="label:N")
    )


# --- drawing ----------------------------------------------------------------------------------------------------------


def data_names(spec: Any) -> set[str]:
    """Return the names of the data sets that a specification asks for."""
    if isinstance(spec, Mapping):
        data = spec.get("data")
        own = {data["name"]} if isinstance(data, Mapping) and "name" in data else set()
        return own.union(*(data_names(one) for one in spec.values()))
    return set().union(*(data_names(one) for one in spec)) if isinstance(spec, list) else set()


def records(data: Any) -> list[dict[str, Any]]:
    """Return the lines of a frame, or of a list, as JSON values; what is not a finite number is null."""
    if isinstance(data, list):
        return [{key: None if value != value else value for key, value in line.items()} for line in data]
    return list(json.loads(data.to_json(orient="records", double_precision=6)))


def draw_svg(figure: Figure, data: Mapping[str, Any]) -> str:
    """Return a figure as SVG, without a browser."""
    import vl_convert

    compiled = vl_convert.vegalite_to_vega(figure.with_data(data), vl_version=vegalite_version())
    return vl_convert.vega_to_svg(patched(compiled))


def as_png(svg: str) -> bytes:
    """Return an SVG as PNG."""
    import vl_convert

    return vl_convert.svg_to_png(svg, scale=PNG_SCALE)


def as_pdf(svg: str) -> bytes:
    """Return an SVG as PDF."""
    import vl_convert

    return vl_convert.svg_to_pdf(svg)


def patched(
    vega: dict[str, Any], size: tuple[Any, Any] = ({"signal": "width"}, {"signal": "height"})
) -> dict[str, Any]:
    """Return a compiled specification with labels that avoid one another, and titles that follow a choice."""
    for axis in vega.get("axes", ()):
        title = axis.get("title")
        if isinstance(title, str) and title.startswith("="):
            axis["title"] = {"signal": title[1:]}
    for mark in vega.get("marks", ()):
        if mark["type"] == "group":
            own = mark.get("encode", {}).get("update", {})
            patched(mark, (own.get("width", size[0]), own.get("height", size[1])))
        elif "placed" in (mark.get("style") or ()):
            mark["transform"] = [{"type": "label", "size": list(size), "anchor": AROUND, "offset": NEAR, "padding": 12}]
    return vega


def schema() -> str:
    """Return the address that names Vega-Lite's version; nothing is fetched from it."""
    return f"https://vega.github.io/schema/vega-lite/v{vegalite_version()}.json"


@cache
def vegalite_version() -> str:
    """Return the version of Vega-Lite that draws, such as "6.4": the newest that vl-convert has, which reads Altair's."""
    import vl_convert

    return str(vl_convert.get_vegalite_versions()[-1])
