"""How figures look and how they are drawn: colours, marks, the specifications in `assets/figures.yaml`, PNG, PDF, SVG.

Takes the name of a specification and values, gives Vega-Lite that names its data and holds none, so that a page keeps
one copy of everything. Categories differ in colour and in mark: ten colours and nine marks, so that the first nine
differ in both and the first ninety in one of them at least. The page replaces colours by their dark counterparts.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

INK, QUIET, GRID, PAPER = "#1b1f24", "#6b7280", "#e3e6ea", "#ffffff"
CATEGORIES = [
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
]
RAMP = ["#352a87", "#2c5aa0", "#1f829c", "#2ea178", "#7fa82a", "#c58c00", "#d95f0e", "#a8173b"]  # from cold to hot
DARK = {
    INK: "#e8eaed", QUIET: "#9aa3af", GRID: "#31363f", PAPER: "#16191f",
    **dict(zip([*CATEGORIES, *RAMP],
               ["#4aa8e0", "#f0803c", "#2cc79a", "#e39ac3", "#e0ad33", "#86c5f2", "#b393d3", "#b3c24d", "#cf8b6d",
                "#f06292", "#9c94f0", "#6f9fe8", "#4fb9d0", "#4cc99a", "#a3cc4f", "#e6b32e", "#f58a45", "#ec5f7f"],
               strict=True)),
}  # fmt: skip
PENTAGON = "M0,-1L.951,-.309L.588,.809L-.588,.809L-.951,-.309Z"
HEXAGON = "M0,-1L.866,-.5L.866,.5L0,1L-.866,.5L-.866,-.5Z"
STAR = "M0,-1.2L.3,-.4L1.14,-.37L.48,.15L.71,.97L0,.5L-.71,.97L-.48,.15L-1.14,-.37L-.3,-.4Z"
MARKS = ["square", "triangle-up", "diamond", "triangle-down", PENTAGON, "cross", STAR, "triangle-right", HEXAGON]
BY_LABEL = [INK, *(RAMP[k] for k in (0, 2, 4, 6, 7, 5, 3, 1))]  # of few settings over one another: cold to hot
BY_LABEL_MARKS = ["circle", *MARKS]
CONFIG = {
    "background": PAPER, "font": "Helvetica Neue, Helvetica, Arial, sans-serif", "view": {"stroke": None},
    "axis": {"gridColor": GRID, "domainColor": INK, "tickColor": INK, "labelColor": INK, "titleColor": INK,
             "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 300,
             "labelOverlap": "greedy", "labelSeparation": 6},
    "legend": {"orient": "bottom", "labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 11,
               "titleFontWeight": "normal", "labelLimit": 240, "symbolSize": 90, "symbolStrokeWidth": 1.6, "columns": 4,
               "clipHeight": 16, "symbolOpacity": 1},
    "title": {"anchor": "start", "color": INK, "fontSize": 12.5, "fontWeight": 600},
    "concat": {"spacing": 24},
}  # fmt: skip
AROUND = ["top-right", "top-left", "bottom-right", "bottom-left", "right", "left", "top", "bottom"]


@dataclass(frozen=True)
class Figure:
    """A figure, before it has data."""

    name: str  # of files and of the place in the page
    title: str
    caption: str
    spec: dict[str, Any]

    def with_data(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole specification, with the data that it asks for and our looks."""
        schema = f"https://vega.github.io/schema/vega-lite/v{vegalite_version()}.json"
        found = {name: records(data[name]) for name in data_names(self.spec) if name in data}
        return self.spec | {"$schema": schema, "datasets": found, "config": copy.deepcopy(CONFIG)}

    def chart(self, data: Mapping[str, Any]) -> "alt.TopLevelMixin":
        """Return the figure as an Altair chart, with its data."""
        import altair as alt

        return alt.Chart.from_dict(self.with_data(data))


# --- specifications ---------------------------------------------------------------------------------------------------


@cache
def templates() -> dict[str, Any]:
    """Return what `assets/figures.yaml` holds."""
    import yaml

    text = (resources.files("mia.report") / "assets" / "figures.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506 - both are safe


def specification(template: Any, choices: Sequence[Mapping[str, Any]] = (), **values: Any) -> dict[str, Any]:
    """Return a specification with its values filled in.

    Args:
        template: Of `templates()`.
        choices: What the reader may choose, and other parameters.
        values: By the names that stand after a `$`.
    """
    spec = dict(_typed(_filled(template, values)))
    return spec | {"params": list(choices)} if choices else spec


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, str):
        if node.startswith("$") and node[1:] in values:
            return values[node[1:]]
        return re.sub(r"\$\{(\w+)\}", lambda found: str(values[found[1]]), node)
    if isinstance(node, list):
        parts = [_filled(one, values) for one in node]
        return [one for part in parts for one in (part if _is_joined(part) else [part])]
    return _filled_group(node, values) if isinstance(node, dict) else node


def _filled_group(node: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    if "$each" in node:
        return [_filled(node["do"], {**values, **one}) for one in _filled(node["$each"], values)]
    if "$if" in node:
        return _filled(node["do"], values) if _filled(node["$if"], values) else []
    made = {key: _filled(value, values) for key, value in node.items()}
    if "$use" in node:
        return _filled(templates()["parts"][made.pop("$use")], {**values, **made})
    return {key: value for key, value in made.items() if value is not None or node[key] is None}


def _is_joined(part: Any) -> bool:
    return isinstance(part, list) and all(isinstance(one, dict) for one in part)


def _typed(node: Any, key: str = "") -> Any:
    """Return a specification in which "v:Q" is a field and its type."""
    kinds = {"Q": "quantitative", "N": "nominal"}
    if isinstance(node, list):
        return [_typed(one, key) for one in node]
    if isinstance(node, str) and key == "encoding":
        return {"field": node[:-2], "type": kinds[node[-1]]}
    if not isinstance(node, dict):
        return node
    made = {name: _typed(value, "encoding" if key == "channels" else "channels" if name == "encoding" else "")
            for name, value in node.items()}  # fmt: skip
    if isinstance(field := made.get("field"), str) and field[-2:] in (":Q", ":N"):
        made |= {"field": field[:-2], "type": kinds[field[-1]]}
    return made


def choice(
    name: str, label: str, options: Sequence[str], labels: Sequence[str] = (), start: str = ""
) -> dict[str, Any]:
    """Return a value that the reader chooses from a list; with one option there is nothing to choose."""
    value = {"name": name, "value": start or options[0]}
    bind = {"input": "select", "options": list(options), "labels": list(labels or options), "name": f"{label} "}
    return value | {"bind": bind} if len(options) > 1 else value


def by_category(names: Sequence[str], plain: str = "") -> dict[str, Any]:
    """Return names, colours and marks that go together; `plain` comes first, in ink, as a circle."""
    rest = [name for name in names if name != plain]
    first = len(names) > len(rest)
    return {
        "names": [*[plain] * first, *rest],
        "colours": [*[INK] * first, *(CATEGORIES[k % len(CATEGORIES)] for k in range(len(rest)))],
        "marks": [*["circle"] * first, *(MARKS[k % len(MARKS)] for k in range(len(rest)))],
    }


def by_order(names: Sequence[str], plain: str = "") -> dict[str, Any]:
    """Return the same for ordered names, whose colours are spread over the ramp."""
    found = by_category(names, plain)
    first = int(plain in names)
    last = max(len(names) - first - 1, 1)
    ramp = [RAMP[round(k * (len(RAMP) - 1) / last)] for k in range(len(names) - first)]
    return found | {"colours": [*found["colours"][:first], *ramp]}


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
    if not isinstance(data, list):
        return list(json.loads(data.to_json(orient="records", double_precision=6)))
    return [{key: json_value(value) for key, value in line.items()} for line in data]


def json_value(value: Any) -> Any:
    """Return a number with six digits, or null where it is none; anything else as it is."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if value - value == 0 else None
    return value


def draw_svg(figure: Figure, data: Mapping[str, Any]) -> str:
    """Return a figure as SVG, without a browser."""
    import vl_convert

    compiled = vl_convert.vegalite_to_vega(figure.with_data(data), vl_version=vegalite_version())
    return str(vl_convert.vega_to_svg(patched(compiled)))


def picture_files(figures: Sequence[Figure], data: Mapping[str, Any]) -> dict[str, bytes]:
    """Return figures as PNG and PDF, by file name."""
    import vl_convert

    files: dict[str, bytes] = {}
    for one in figures:
        svg = draw_svg(one, data)
        files[f"figures/{one.name}.png"] = vl_convert.svg_to_png(svg, scale=2.0)
        files[f"figures/{one.name}.pdf"] = vl_convert.svg_to_pdf(svg)
    return files


def patched(
    vega: dict[str, Any], size: tuple[Any, Any] = ({"signal": "width"}, {"signal": "height"})
) -> dict[str, Any]:
    """Return a compiled specification with what Vega-Lite cannot say; page.js does the same.

    Texts of the style `placed` keep off one another, and an axis title that begins with = follows a choice.
    """
    for axis in vega.get("axes", ()):
        if str(axis.get("title", "")).startswith("="):
            axis["title"] = {"signal": axis["title"][1:]}
    for mark in vega.get("marks", ()):
        if mark["type"] == "group":
            own = mark.get("encode", {}).get("update", {})
            patched(mark, (own.get("width", size[0]), own.get("height", size[1])))
        elif "placed" in (mark.get("style") or ()):
            offset = [4] * 4 + [7] * 4
            mark["transform"] = [
                {"type": "label", "size": list(size), "anchor": AROUND, "offset": offset, "padding": 12}
            ]
    return vega


@cache
def vegalite_version() -> str:
    """Return the version of Vega-Lite that draws, "6.4": the newest that vl-convert has, which reads Altair's."""
    import vl_convert

    return str(vl_convert.get_vegalite_versions()[-1])
