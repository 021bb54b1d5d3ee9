"""How figures look and how they are drawn: colours, marks, the specifications in `assets/figures.yaml`, PNG, PDF, SVG.

Takes the name of a specification and values, gives Vega-Lite that names its data and holds none, so that a page keeps
one copy of everything. Categories differ in colour and in mark: ten colours and nine marks, so that the first nine
differ in both and the first ninety in one of them at least. The page replaces colours by their dark counterparts.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt


def asset(name: str) -> str:
    """Return the text of a file in `assets/`."""
    return (resources.files("mia.report") / "assets" / name).read_text(encoding="utf-8")


@cache
def templates() -> dict[str, Any]:
    """Return what `assets/figures.yaml` holds."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(asset("figures.yaml"), loader))  # noqa: S506 - both are safe


LOOKS = templates()["looks"]
THEME: dict[str, str] = LOOKS["theme"]
INK, CATEGORIES, RAMP, MARKS = THEME["ink"], *(LOOKS[name] for name in ("categories", "ramp", "marks"))
COLOURS = THEME | {name: CATEGORIES[k] for name, k in LOOKS["named"].items()}
DARK: dict[str, str] = dict(zip([*THEME.values(), *CATEGORIES, *RAMP], LOOKS["dark"], strict=True))
BY_LABEL = {"colours": [INK, *(RAMP[k] for k in (0, 2, 4, 6, 7, 5, 3, 1))], "marks": ["circle", *MARKS]}
"""Of few settings over one another, from cold to hot."""


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
        return self.spec | {"$schema": schema, "datasets": found, "config": config()}

    def chart(self, data: Mapping[str, Any]) -> "alt.TopLevelMixin":
        """Return the figure as an Altair chart, with its data."""
        import altair as alt

        return alt.Chart.from_dict(self.with_data(data))


# --- specifications ---------------------------------------------------------------------------------------------------


def filled(
    wanted: Mapping[str, Any], choices: Mapping[str, Sequence[Any]], values: Mapping[str, Iterable[dict[str, Any]]]
) -> list[Figure]:
    """Return figures, their specifications filled in.

    Args:
        wanted: Of `templates()`, by name.
        choices: What the reader may choose, and other parameters, by the names that a template asks for.
        values: Of every figure, one by one, by the names after a `$`; "choices" and "file" are the figure's own.
    """
    found = []
    for name, template in wanted.items():
        for one in values[name]:
            spec = dict(_typed(_filled(template, {**COLOURS, **one})))
            about, params = (
                spec.pop("about"),
                [param for key in template["about"].get("choices", ()) for param in choices[key]],
            )
            params += one.get("choices", ())
            spec |= {"params": params} if params else {}
            found.append(Figure(one.get("file", name), about["title"], " ".join(about["caption"].split()), spec))
    return found


def config() -> dict[str, Any]:
    """Return how everything looks that no figure says itself."""
    return dict(_filled(LOOKS["config"], COLOURS))


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


def _typed(node: Any) -> Any:
    """Return a specification in which "v:Q" is a field and its type."""
    if isinstance(node, list):
        return [_typed(one) for one in node]
    if isinstance(node, str):
        found = re.fullmatch(r"(\w+):([QN])", node)
        return {"field": found[1], "type": {"Q": "quantitative", "N": "nominal"}[found[2]]} if found else node
    if not isinstance(node, dict):
        return node
    made = {key: _typed(value) for key, value in node.items()}
    return made | made["field"] if isinstance(made.get("field"), dict) and "type" in made["field"] else made


def choice(
    name: str, label: str, options: Sequence[str], labels: Sequence[str] = (), start: str = ""
) -> dict[str, Any]:
    """Return a value that the reader chooses from a list; with one option, or none, there is nothing to choose."""
    value = {"name": name, "value": start or next(iter(options), "")}
    bind = {"input": "select", "options": list(options), "labels": list(labels or options), "name": f"{label} "}
    return value | {"bind": bind} if len(options) > 1 else value


def by_category(names: Sequence[str], plain: str = "", colours: Sequence[str] = CATEGORIES) -> dict[str, Any]:
    """Return names, colours and marks that go together; `plain` comes first, in ink, as a circle."""
    rest = [name for name in names if name != plain]
    own, marks = ([of[k % len(of)] for k in range(len(rest))] for of in (colours, MARKS))
    if len(rest) < len(names):
        return {"names": [plain, *rest], "colours": [INK, *own], "marks": ["circle", *marks]}
    return {"names": rest, "colours": own, "marks": marks}


def by_order(names: Sequence[str], plain: str = "") -> dict[str, Any]:
    """Return the same for ordered names, whose colours are spread over the ramp."""
    steps = max(len(names) - (plain in names) - 1, 1)
    return by_category(names, plain, [RAMP[round(k * (len(RAMP) - 1) / steps)] for k in range(steps + 1)])


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
    for name, svg in [(f"figures/{one.name}", draw_svg(one, data)) for one in figures]:
        files |= {f"{name}.png": vl_convert.svg_to_png(svg, scale=2.0), f"{name}.pdf": vl_convert.svg_to_pdf(svg)}
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
                {"type": "label", "size": list(size), "anchor": LOOKS["around"], "offset": offset, "padding": 12}
            ]
    return vega


@cache
def vegalite_version() -> str:
    """Return the version of Vega-Lite that draws, "6.4": the newest that vl-convert has, which reads Altair's."""
    import vl_convert

    return str(vl_convert.get_vegalite_versions()[-1])
