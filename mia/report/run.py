"""One run or audit: the numbers that its figures need, the figures, its page, and what is stored of it.

Takes a `Result` (and its pictures where the data are pictures). The specifications hold no data and are the same for
every run, so that they are made once and kept: a run's page costs one template. What a result does not hold is not
drawn: an audit has no learning curves, a run without an attack no ROC.
"""

import base64
import gzip
import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from mia import __version__
from mia.attacks import attack_words, is_owners
from mia.metrics.roc import FPR_LIMITS
from mia.metrics.words import metric_of, metric_words, of_kind
from mia.model_card import verdict
from mia.records import Curves, Result, Scores, StoredRun
from mia.report.look import (
    CATEGORIES,
    GUIDE,
    HEIGHT,
    INK,
    MARKS,
    QUIET,
    WIDTH,
    Figure,
    choice,
    guide,
    layer,
    near,
    unit,
)
from mia.report.tables import Cell, Table, estimate_cell
from mia.tables import class_name, result_tables

if TYPE_CHECKING:
    import altair as alt

CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
COLUMNS, TILE = 8, 72
MOST_ATTACKS = 4  # whose precision by class is shown
Lines = list[dict[str, Any]]


# --- numbers ----------------------------------------------------------------------------------------------------------


def attack_order(metrics: Mapping[str, float], attacks: Sequence[str]) -> list[str]:
    """Return attacks by falling AUC, those without one last; after them all what only the owner can do."""
    known = {name: metrics.get(f"attack/{name}/auc", math.nan) for name in attacks}
    return sorted(attacks, key=lambda name: (is_owners(name), -known[name] if math.isfinite(known[name]) else 1.0))


def run_data(result: Result) -> dict[str, Lines]:
    """Return the data sets of a run's figures, each a list of lines; a figure without lines is not drawn."""
    order = attack_order(result.metrics, list(result.scores))
    return {
        "attacks": _attack_lines(result, order), "curves": _roc_lines(result, order), "reported": _reported(result, order),
        "limits": _limits(result) if order else [], "classes": _class_lines(result, order), "epochs": _epochs(result),
        "growth": _growth(result), "confidence": _confidence(result),
    }  # fmt: skip


def _attack_lines(result: Result, order: Sequence[str]) -> Lines:
    lines = []
    for metric in ("auc", "balanced_accuracy", "tpr_at_1pct_fpr"):
        about = metric_of(metric)
        for name in order:
            value, low, high = _interval(result.metrics, f"attack/{name}/{metric}")
            if about and math.isfinite(value):
                lines.append(
                    {"a": name, "metric": about.words, "v": value, "l": low, "h": high, "chance": about.chance}
                )
    return lines


def _interval(metrics: Mapping[str, float], name: str) -> tuple[float, float, float]:
    value = metrics.get(name, math.nan)
    return value, metrics.get(f"{name}_low", value), metrics.get(f"{name}_high", value)


def _roc_lines(result: Result, order: Sequence[str]) -> Lines:
    from mia.report.evidence import drawn_rate, roc_line

    lines: Lines = []
    for name in order:
        score = result.scores[name].score.astype(float)
        kept = ~np.isnan(score)
        fpr, tpr = roc_line(score[kept], result.is_member[kept])
        label = _with_auc(result.metrics, name)
        points = zip(drawn_rate(fpr, result.is_member), tpr, strict=True)
        lines += [{"a": name, "label": label, "f": float(f), "t": float(t)} for f, t in points if t > 0]
    return lines


def _with_auc(metrics: Mapping[str, float], name: str) -> str:
    area = metrics.get(f"attack/{name}/auc", math.nan)
    return f"{name} (AUC {area:.3f})" if math.isfinite(area) else name


def _reported(result: Result, order: Sequence[str]) -> Lines:
    """Return the reported TPRs."""
    lines = []
    for name in order:
        for limit, rate in FPR_LIMITS.items():
            fpr = result.metrics.get(f"attack/{name}/fpr_reached_at_{limit}", rate)
            tpr = result.metrics.get(f"attack/{name}/tpr_at_{limit}_fpr", 0.0)
            if fpr > 0 and tpr > 0:
                lines.append({"a": name, "label": _with_auc(result.metrics, name), "f": fpr, "t": tpr})
    return lines


def _limits(result: Result) -> Lines:
    """Return the guides of the ROC: the reported rates, the end of resolution, and both ends of the diagonal."""
    from mia.report.evidence import left_edge

    count = int((~result.is_member).sum())
    low = left_edge(count)
    found = [{"at": rate, "label": f"{100 * rate:g}%"} for rate in FPR_LIMITS.values() if rate * count > 1.5]
    return [*found, *({"f": end, "t": end} for end in (low, 1.0))]


def _class_lines(result: Result, order: Sequence[str]) -> Lines:
    from mia.report.evidence import number

    names = {str(k): name for k, name in enumerate(result.class_names)}
    lines = []
    for row in result.per_class:
        value = number(row.get("precision"))
        if str(row["attack"]) in order[:MOST_ATTACKS] and math.isfinite(value):
            ends = {"l": number(row.get("precision_low")), "h": number(row.get("precision_high"))}
            lines.append(
                {"a": str(row["attack"]), "c": names.get(str(row["class"]), str(row["class"])), "v": value, **ends}
            )
    return lines


def _epochs(result: Result) -> Lines:
    """Return the target's learning curves, and the range of the shadows'."""
    if result.curves is None:
        return []
    lines = []
    for name in CURVES:
        part, what = name.split("_")
        values: Float[np.ndarray, "M E"] = getattr(result.curves, name)
        others = values[1:] if len(values) > 1 else values
        for k in range(values.shape[-1]):
            low, high = (float(end(others[:, k])) for end in (np.min, np.max))
            lines.append({"epoch": k + 1, "what": what, "part": part, "v": float(values[0, k]), "l": low, "h": high})
    return lines


def _growth(result: Result) -> Lines:
    lines = []
    for row in result.growth:
        for metric in ("auc", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr"):
            if metric in row:
                low, high = (float(row.get(f"{metric}_{end}", row[metric])) for end in ("low", "high"))
                lines.append({"a": str(row["attack"]), "shadows": int(row["shadows"]), "metric": metric_words(metric),
                              "v": float(row[metric]), "l": low, "h": high})  # fmt: skip
    return lines


def _confidence(result: Result) -> Lines:
    """Return histograms of log(p / (1 - p)): on a plain axis an overfitted model's all stand in the last bin."""
    if not len(result.confidence):
        return []
    p = np.clip(result.confidence.astype(float), 1e-6, 1 - 1e-6)
    value = np.log(p) - np.log1p(-p)
    edges = np.linspace(value.min() - 0.01, value.max() + 0.01, 49)
    lines = []
    for who, chosen in (("non-members", ~result.is_member), ("members", result.is_member)):
        counts = np.histogram(value[chosen], edges)[0] / max(int(chosen.sum()), 1)
        lines += [{"who": who, "x": float(x), "v": float(v)} for x, v in zip(edges, [*counts, 0.0], strict=True)]
    return lines


# --- figures ----------------------------------------------------------------------------------------------------------


def _roc() -> dict[str, Any]:
    import altair as alt

    ticks = alt.Axis(values=[10.0**-k for k in range(6, -1, -1)], format="~%")
    scale = alt.Scale(type="log", nice=False, domainMax=1)
    x = alt.X("f:Q", title="false positive rate", axis=ticks, scale=scale)
    y = alt.Y("t:Q", title="true positive rate", axis=ticks, scale=scale)
    limits = alt.Chart(alt.NamedData("limits"))
    colour, shape, dash = _by_attack("label", len(CATEGORIES))
    at = limits.transform_filter("isValid(datum.at)").encode(x=alt.X("at:Q", title="false positive rate"))
    return layer(
        limits.transform_filter("isValid(datum.f)").mark_line(**GUIDE).encode(x=x, y=y),
        at.mark_rule(**GUIDE),
        at.mark_text(y=0, dy=-7, color=QUIET, fontSize=10).encode(text="label:N"),
        alt.Chart(alt.NamedData("curves")).mark_line(strokeWidth=1.8, clip=True).encode(x=x, y=y, color=colour, strokeDash=dash, order="f:Q"),
        alt.Chart(alt.NamedData("reported")).mark_point(filled=True, opacity=1, size=55, clip=True).encode(
            x=x, y=y, color=colour, shape=shape, strokeDash=dash, tooltip=["a:N", alt.Tooltip("f:Q", format=".3%", title="FPR"), alt.Tooltip("t:Q", format=".2%", title="TPR")]),
        width=WIDTH + 140, height=WIDTH + 40, usermeta={"most": 620},
    )  # fmt: skip


def _by_attack(field: str, before_dashes: int) -> tuple[Any, Any, Any]:
    """Return colour, mark and dashes by attack; after ten attacks the colours come again, dashed."""
    import altair as alt

    dashes = [[1, 0]] * before_dashes + [[5, 3]] * before_dashes
    named = {"title": None, "sort": None}
    return (
        alt.Color(f"{field}:N", scale=alt.Scale(range=list(CATEGORIES)), **named),
        alt.Shape(f"{field}:N", scale=alt.Scale(range=list(MARKS)), legend=None, **named),
        alt.StrokeDash(f"{field}:N", scale=alt.Scale(range=dashes), **named),
    )


def _attacks() -> dict[str, Any]:
    import altair as alt

    base = alt.Chart(alt.NamedData("attacks")).encode(y=alt.Y("a:N", sort=None, title=None))
    panel = layer(
        alt.Chart(alt.NamedData("attacks")).mark_rule(**GUIDE).encode(x=alt.X("mean(chance):Q", title=None)),
        base.mark_rule(strokeWidth=1.5, color=CATEGORIES[0]).encode(x=alt.X("l:Q", title=None), x2="h:Q"),
        base.mark_point(filled=True, size=60, opacity=1, color=CATEGORIES[0]).encode(
            x=alt.X("v:Q", title=None, scale=near()), tooltip=["a:N", "metric:N", alt.Tooltip("v:Q", format=".3f"), alt.Tooltip("l:Q", format=".3f"), alt.Tooltip("h:Q", format=".3f")]),
        width=WIDTH - 80, height={"step": 22},
    )  # fmt: skip
    return _faceted("attacks", panel, "metric", 3, x="independent", least=330, room=140)


def _faceted(
    data: str, panel: dict[str, Any], field: str, columns: int, *, least: int, room: int = 62, **resolve: str
) -> dict[str, Any]:
    panel["layer"] = [{key: value for key, value in one.items() if key != "data"} for one in panel["layer"]]
    header = {"title": None, "labelFontSize": 12.5, "labelFontWeight": 600, "labelAnchor": "start", "labelColor": INK}
    facet = {"field": field, "type": "nominal", "sort": None, "header": header}
    return {"data": {"name": data}, "facet": facet, "spec": panel, "columns": columns, "resolve": {"scale": resolve},
            "usermeta": {"least": least, "room": room}}  # fmt: skip


def _per_class() -> dict[str, Any]:
    import altair as alt

    base = alt.Chart(alt.NamedData("classes")).transform_filter("datum.a == attack")
    base = base.encode(
        y=alt.Y(
            "c:N", title=None, sort=alt.EncodingSortField("v", order="descending"), axis=alt.Axis(labelOverlap=True)
        )
    )
    return layer(
        guide("0.5", title="precision"),
        base.mark_rule(strokeWidth=1.5, color=CATEGORIES[0], opacity=0.6).encode(x=alt.X("l:Q", title="precision"), x2="h:Q"),
        base.mark_point(filled=True, size=60, opacity=1, color=CATEGORIES[0]).encode(
            x=alt.X("v:Q", title="precision", scale=near()), tooltip=["c:N", alt.Tooltip("v:Q", format=".3f", title="precision")]),
        width=WIDTH + 100, height={"step": 18}, usermeta={"room": 120, "most": 620}, params=[choice("attack", "attack", ["", "-"])],
    )  # fmt: skip


def _learning_curves() -> dict[str, Any]:
    import altair as alt

    scale = alt.Scale(domain=["train", "test"], range=list(CATEGORIES[:2]))
    base = alt.Chart(alt.NamedData("epochs")).encode(
        x=alt.X("epoch:Q", title="epoch"), color=alt.Color("part:N", title=None, scale=scale)
    )
    panel = layer(
        base.mark_area(opacity=0.2).encode(y=alt.Y("l:Q", title=None), y2="h:Q"),
        base.mark_line(strokeWidth=2.2, point={"size": 12}).encode(y=alt.Y("v:Q", title=None), tooltip=["epoch:Q", "part:N", alt.Tooltip("v:Q", format=".3f")]),
        width=WIDTH, height=HEIGHT - 20,
    )  # fmt: skip
    return _faceted("epochs", panel, "what", 2, y="independent", least=330)


def _growth_figure() -> dict[str, Any]:
    import altair as alt

    colour, shape, _ = _by_attack("a", len(CATEGORIES))
    base = alt.Chart(alt.NamedData("growth")).encode(
        x=alt.X("shadows:Q", title="number of shadows", scale=alt.Scale(type="log", base=2, nice=False, padding=12)), color=colour)  # fmt: skip
    panel = layer(
        base.mark_line(strokeWidth=1.6).encode(y=alt.Y("v:Q", title=None, scale=near())),
        base.mark_rule(opacity=0.4).encode(y=alt.Y("l:Q", title=None), y2="h:Q"),
        base.mark_point(filled=True, size=55, opacity=1).encode(
            y=alt.Y("v:Q", title=None, scale=near()), shape=shape, tooltip=["a:N", "shadows:Q", "metric:N", alt.Tooltip("v:Q", format=".3f")]),
        width=WIDTH, height=HEIGHT - 20,
    )  # fmt: skip
    return _faceted("growth", panel, "metric", 3, y="independent", least=330)


def _confidence_figure() -> dict[str, Any]:
    import altair as alt

    values = [round(math.log(p / (1 - p)), 6) for p in (1e-5, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1 - 1e-5)]
    label = "datum.value > 7 ? '1 - 1e-5' : datum.value < -8 ? '1e-5' : format(1 / (1 + exp(-datum.value)), '.3~r')"
    axis = alt.Axis(values=values, labelExpr=label)
    chart = alt.Chart(alt.NamedData("confidence")).mark_area(
        interpolate="step-after", opacity=0.45, line={"strokeWidth": 1.5}
    )
    chart = chart.encode(
        x=alt.X("x:Q", title="confidence in the true class (logit scale)", axis=axis),
        y=alt.Y("v:Q", title="share of records", stack=None),
        color=alt.Color(
            "who:N", title=None, scale=alt.Scale(domain=["members", "non-members"], range=list(CATEGORIES[:2]))
        ),
    )
    return unit(chart, width=WIDTH + 140, height=HEIGHT, usermeta={"most": 620})


def _roc_caption(result: Result) -> str:
    count = int((~result.is_member).sum())
    scale = f"Logarithmic axes, which begin at half of one in {count:,} non-members; dashed diagonal: guessing."
    for name, rate in reversed(FPR_LIMITS.items()):
        found = [(result.metrics.get(f"attack/{one}/tpr_at_{name}_fpr", math.nan), one) for one in result.scores]
        if found := [pair for pair in found if math.isfinite(pair[0])]:
            value, attack = max(found)
            return f"{attack} finds {100 * value:.4g}% of the members at {100 * rate:g}% false positives. {scale}"
    return scale


def _confidence_caption(result: Result) -> str:
    members, others = (np.median(result.confidence[chosen]) if chosen.any() else math.nan
                       for chosen in (result.is_member, ~result.is_member))  # fmt: skip
    return f"Median confidence in the true class: members {members:.4f}, non-members {others:.4f}."


def _curves_caption(result: Result) -> str:
    curves = result.curves
    assert curves is not None
    train, test = curves.train_accuracy[0, -1], curves.test_accuracy[0, -1]
    what = f"Target: accuracy {train:.3f} in training, {test:.3f} on the test set, after {curves.train_accuracy.shape[1]} epochs."
    return (
        f"{what} Areas: the range of {len(curves.train_accuracy) - 1} shadows."
        if len(curves.train_accuracy) > 1
        else what
    )


BARS = "Bars: 95% intervals. Dashed: guessing."
RUN_FIGURES: dict[str, tuple[str, str, Callable[[], dict[str, Any]], Callable[[Result], str]]] = {
    "roc": ("True against false positives", "curves", _roc, _roc_caption),
    "attacks": ("The attacks compared", "attacks", _attacks, lambda _: BARS),
    "per_class": ("Precision by class", "classes", _per_class, lambda _: BARS),
    "confidence": ("Confidence in the true class", "confidence", _confidence_figure, _confidence_caption),
    "learning_curves": ("Learning curves", "epochs", _learning_curves, _curves_caption),
    "growth": ("Leakage against the number of shadows", "growth", _growth_figure, lambda _: "Bars: 95% intervals."),
}
"""By name: title, the data set without which there is nothing to draw, the specification, and the caption."""


@cache
def _specifications() -> dict[str, dict[str, Any]]:
    """Return the specification of every figure; they are kept, since making them loads the charting library."""
    from mia.report.page import kept

    folder = resources.files("mia.report")
    sources = "".join((folder / name).read_text(encoding="utf-8") for name in ("run.py", "look.py"))
    name = f"run-{__version__}-{hashlib.sha256(sources.encode()).hexdigest()[:16]}.json.gz"

    def make() -> bytes:
        from altair.utils.schemapi import debug_mode

        with debug_mode(False):
            specs = {name: spec() for name, (_, _, spec, _) in RUN_FIGURES.items()}
        return gzip.compress(json.dumps(specs).encode(), mtime=0)

    return dict(json.loads(gzip.decompress(kept(name, make))))


def run_figures(result: Result, data: Mapping[str, Lines] | None = None) -> list[Figure]:
    """Return the figures that a result can fill."""
    found = run_data(result) if data is None else data
    attacks = list(dict.fromkeys(line["a"] for line in found["classes"]))
    figures = []
    for name, (title, needed, _, caption) in RUN_FIGURES.items():
        if found[needed]:
            spec = _specifications()[name]
            if name == "per_class":
                spec = spec | {"params": [choice("attack", "attack", attacks)]}
            figures.append(Figure(name, title, caption(result), spec))
    return figures


def figure(result: Result, name: str) -> "alt.TopLevelMixin":
    """Return a figure of a result as an Altair chart: `roc`, `attacks`, `per_class`, `confidence`, `learning_curves` ...

    Raises:
        RequestError: there is no such figure, or the result does not hold what it needs.
    """
    from mia.checks import RequestError, one_of

    one_of("figure", name, tuple(RUN_FIGURES))
    data = run_data(result)
    found = {one.name: one for one in run_figures(result, data)}
    if name not in found:
        raise RequestError(f"figure={name}: this result does not hold what it needs; it has {', '.join(found)}")
    return found[name].chart(data)


# --- page and files ---------------------------------------------------------------------------------------------------


def attack_table(result: Result) -> Table:
    """Return a line per attack, with the leakage that it found and the control."""
    order = attack_order(result.metrics, list(result.scores))
    columns: dict[str, list[Cell]] = {"attack": [Cell(attack_words(name), name) for name in order]}
    for one in of_kind("leakage", "control"):
        cells = [_cell(result.metrics, f"attack/{name}/{one.name}") for name in order]
        if any(cell.text != "-" for cell in cells):
            columns[one.words] = cells
    return Table(columns, tuple(range(len(order))), 1)


def _cell(metrics: Mapping[str, float], name: str) -> Cell:
    from mia.report.statistics import Estimate

    return estimate_cell(Estimate(*_interval(metrics, name)))


def run_page(
    result: Result,
    *,
    title: str,
    command: str = "",
    question: str = "",
    picture: bytes = b"",
    notes: Sequence[str] = (),
) -> str:
    """Return a run's page: utility, leakage of every attack, its figures, most exposed pictures and warnings.

    Args:
        result: of a run or an audit.
        title: the run's name.
        command: what repeats it.
        question: what was asked.
        picture: the most exposed records as PNG, where there is one.
        notes: lines for the end of the page.
    """
    from mia.report.page import Page, Section, page_html

    data = run_data(result)
    figures = run_figures(result, data)
    shown = [one for one in of_kind("utility", "privacy") if one.is_main and one.name in result.metrics]
    cards = [(f"{result.metrics[one.name]:.3f}", one.words) for one in shown]
    members = int(result.is_member.sum())
    note = f"{members:,} members, {len(result.is_member) - members:,} non-members; 95% intervals, 99% for the control."
    sections = [
        Section("leakage", "Leakage", note, [("leakage", attack_table(result))]) if result.scores else None,
        *(Section(one.name, one.title, one.caption, figure=True) for one in figures),
        Section("exposed", "The members that the strongest attack is surest about",
                picture=f"data:image/png;base64,{base64.b64encode(picture).decode()}") if picture else None,
        Section("warnings", "Warnings", lines=result.warnings) if result.warnings else None,
    ]  # fmt: skip
    footer = [f"Written by mia {__version__}.", *notes]
    specs = {one.name: one.spec for one in figures}
    page = Page(title, [one for one in sections if one], specs, data, question, command, cards, footer)
    return page_html(page)


def audit_page(
    result: Result, *, title: str = "Audit", command: str = "", asked: str = "", notes: Sequence[str] = ()
) -> str:
    """Return an audit's page: the verdict in plain words with its interval, then what a run's page shows."""
    return run_page(
        result, title=title, command=command, question="\n".join(filter(None, [asked, verdict(result)])), notes=notes
    )


def run_files(result: Result, images: Shaped[np.ndarray, "N h w c"] | None = None, **page: str) -> dict[str, bytes]:
    """Return what is stored of a run beside its scores: tables, curves, one small picture, and its page, by file name.

    Args:
        result: what was found out.
        images: the data set's own `x`, where it holds pictures.
        page: what `run_page` takes: title, command ...
    """
    files = {name: text.encode() for name, text in result_tables(result).items()}
    if result.curves is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **{name: getattr(result.curves, name) for name in CURVES})
        files["curves.npz"] = buffer.getvalue()
    if images is not None and images.ndim == 4 and result.scores:
        files["most_exposed.png"] = contact_sheet(result, images)
    picture = files.get("most_exposed.png", b"")
    files["run.html"] = run_page(result, **{"title": "Run", **page}, picture=picture).encode()
    return files


def stored_result(run: StoredRun, fetch: Callable[[StoredRun, str], Any]) -> Result:
    """Return the result of a stored run, as far as its artifacts hold it.

    Raises:
        FileNotFoundError: it has no scores.
    """
    from mia.report.evidence import read_rows

    def table(name: str) -> list[dict[str, str]]:
        path = fetch(run, name)
        return read_rows(path) if path else []

    path = fetch(run, "scores.npz")
    if path is None:
        raise FileNotFoundError(f"run {run.id} has no scores.npz")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    index, member = arrays.pop("index"), arrays.pop("member").astype(bool)
    by_index = {int(row["index"]): row for row in table("records.csv")}
    rows = [by_index.get(int(k), {}) for k in index]
    nobody = np.zeros(len(index), int)
    curves = fetch(run, "curves.npz")
    if curves is not None:
        with np.load(curves, allow_pickle=False) as file:
            curves = Curves(**{name: file[name] for name in CURVES})
    return Result(
        metrics=run.metrics, index=index, is_member=member,
        labels=np.array([int(row.get("label", 0)) for row in rows], int),
        confidence=np.array([float(row["confidence"]) for row in rows if "confidence" in row]) if all(rows) else np.zeros(0),
        scores={name: Scores(score, None, nobody, nobody) for name, score in arrays.items()},
        per_class=table("per_class.csv"), curves=curves, shadow_accuracy=None, class_names=(),
        warnings=tuple(filter(None, run.tags.get("mia.warnings", "").splitlines())),
        growth=[{key: value if key == "attack" else float(value) for key, value in row.items() if value} for row in table("growth.csv")],
    )  # fmt: skip


def most_exposed(result: Result, attack: str, count: int) -> list[int]:
    """Return positions (along `result.index`) of the members with the highest scores, the most exposed first."""
    score = np.where(result.is_member, result.scores[attack].score.astype(float), np.nan)
    order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
    return [int(k) for k in order[:count] if math.isfinite(score[k])]


def contact_sheet(result: Result, images: Shaped[np.ndarray, "N h w c"], count: int = 3 * COLUMNS) -> bytes:
    """Return a small PNG of the `count` members with the highest scores of the strongest attack, with their scores."""
    from PIL import Image, ImageDraw, ImageFont

    attack = attack_order(result.metrics, list(result.scores))[0]
    chosen = most_exposed(result, attack, count)
    height = TILE + 30
    sheet = Image.new("RGB", (COLUMNS * (TILE + 14), max(1, math.ceil(len(chosen) / COLUMNS)) * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for place, k in enumerate(chosen):
        left, top = place % COLUMNS * (TILE + 14), place // COLUMNS * height
        picture = Image.fromarray(_bytes_of(images[result.index[k]]))
        sheet.paste(picture.resize((TILE, TILE), Image.Resampling.NEAREST), (left + 2, top))
        words = f"#{result.index[k]} {class_name(result, int(result.labels[k]))}"[:15]
        pen.text(
            (left + 2, top + TILE),
            f"{words}\n{result.scores[attack].score[k]:.3g}",
            fill="#333333",
            font=font,
            spacing=1,
        )
    buffer = io.BytesIO()
    sheet.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _bytes_of(picture: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h w ..."]:
    """Return a picture as bytes; colours are stretched to their range unless they are bytes."""
    values = picture.astype(float)
    low, high = (0.0, 255.0) if picture.dtype == np.uint8 else (float(values.min()), float(values.max()))
    scaled = (255 * np.clip((values - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)
    return scaled if scaled.shape[-1] == 3 else scaled[..., 0]


def write_run_report(
    run: StoredRun, fetch: Callable[[StoredRun, str], Any], out: Path, *, has_pictures: bool = False
) -> Path:
    """Write the page of a stored run, and its figures as PNG and PDF where they are wanted; return the page's path.

    Raises:
        FileNotFoundError: the run has no scores.
        StorageError: the folder cannot be written.
    """
    from mia.report.page import NAME, picture_files, write

    result = stored_result(run, fetch)
    picture = fetch(run, "most_exposed.png") or fetch(run, "figures/most_exposed.png")
    target = out if out.suffix == ".html" else out / NAME
    command = run.tags.get("mia.command", "")
    page = run_page(result, title=run.name, command=command, picture=picture.read_bytes() if picture else b"")
    files = picture_files(run_figures(result), run_data(result)) if has_pictures else {}
    for name, content in (files | {NAME: page.encode()}).items():
        write(target if name == NAME else target.parent / name, content)
    return target
