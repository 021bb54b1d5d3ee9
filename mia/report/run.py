"""One run or audit: the numbers that its figures need, the figures, its page, and what is stored of it.

Takes a `Result` (and its pictures where the data are pictures). What a result does not hold is not drawn: an audit has
no learning curves, a run without an attack no ROC.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from mia import __version__
from mia.attacks import ATTACKS, attack_words
from mia.checks import RequestError, one_of
from mia.contact_sheet import contact_sheet
from mia.metrics.estimates import Estimate
from mia.metrics.roc import FPR_LIMITS, drawn_rate, left_edge, thinned_roc
from mia.metrics.words import FAILED, metric_of, metric_words, of_kind
from mia.model_card import verdict
from mia.records import Curves, Result, StoredRun
from mia.report.look import CATEGORIES, MARKS, Figure, choice, filled, picture_files, templates
from mia.report.page import NAME, Page, Section, page_html, write_files
from mia.report.tables import Cell, Table, estimate_cell
from mia.stored_result import CURVES, Fetch, stored_result
from mia.tables import attacks_by_auc, class_name, number, result_tables

if TYPE_CHECKING:
    import altair as alt

MOST_ATTACKS = 4  # whose precision by class is shown
MOST_EXPOSED = 10  # members that are named
COMPUTED = (
    "Each attack gives every record a score, high for members, without knowing who is one: AUC compares these scores.",
    "Accuracy, precision and recall are at thresholds learnt on shadows, which stand in for the target.",
    "Null control: the same scores against shuffled membership. Placebo: the attack on answers that cannot know it.",
    "A record that an attack cannot score is left out and counted, never filled in.",
)
Lines = list[dict[str, Any]]


def run_data(result: Result) -> dict[str, Lines]:
    """Return the data sets of a run's figures, each a list of lines; a figure without lines is not drawn."""
    order = attacks_by_auc(result)
    count = int((~result.is_member).sum())
    ends = [{"f": end, "t": end} for end in (left_edge(count), 1.0)]
    limits = [{"at": rate, "label": f"{100 * rate:g}%"} for rate in FPR_LIMITS.values() if rate * count > 1.5]
    return {
        "attacks": _attack_lines(result.metrics, order),
        "curves": [line for name in order for line in _roc_lines(result, name)],
        "reported": [line for name in order for line in _reported(result.metrics, name)],
        "limits": [*limits, *ends],
        "classes": _class_lines(result, order[:MOST_ATTACKS]),
        "slices": _slice_lines(result, order[:MOST_ATTACKS]),
        "epochs": [line for name in CURVES for line in _epochs(result.curves, name)],
        "growth": _growth(result),
        "confidence": _confidence(result),
    }


def _attack_lines(metrics: Mapping[str, float], order: Sequence[str]) -> Lines:
    shown = [one for name in ("auc", "balanced_accuracy", "tpr_at_1pct_fpr") if (one := metric_of(name))]
    found = [(one, name, _estimate(metrics, f"attack/{name}/{one.name}")) for one in shown for name in order]
    return [{"a": name, "metric": one.words, "v": e.value, "l": e.low, "h": e.high, "chance": one.chance}
            for one, name, e in found if e.is_known]  # fmt: skip


def _estimate(metrics: Mapping[str, float], name: str) -> Estimate:
    value = metrics.get(name, math.nan)
    return Estimate(value, metrics.get(f"{name}_low", value), metrics.get(f"{name}_high", value))


def _with_auc(metrics: Mapping[str, float], name: str) -> str:
    area = metrics.get(f"attack/{name}/auc", math.nan)
    return f"{name} (AUC {area:.3f})" if math.isfinite(area) else name


def _roc_lines(result: Result, name: str) -> Lines:
    score = result.scores[name].score.astype(float)
    kept = ~np.isnan(score)
    fpr, tpr = thinned_roc(score[kept], result.is_member[kept])
    points = zip(drawn_rate(fpr, result.is_member).tolist(), tpr.tolist(), strict=True)
    return [{"a": name, "label": _with_auc(result.metrics, name), "f": f, "t": t} for f, t in points if t > 0]


def _reported(metrics: Mapping[str, float], name: str) -> Lines:
    """Return the reported TPRs."""
    of = f"attack/{name}"
    rates = [(metrics.get(f"{of}/fpr_reached_at_{limit}", rate), metrics.get(f"{of}/tpr_at_{limit}_fpr", 0.0))
             for limit, rate in FPR_LIMITS.items()]  # fmt: skip
    return [{"a": name, "label": _with_auc(metrics, name), "f": f, "t": t} for f, t in rates if f > 0 and t > 0]


def _class_lines(result: Result, attacks: Sequence[str]) -> Lines:
    names = {str(k): name for k, name in enumerate(result.class_names)}
    return [
        {"a": str(row["attack"]), "c": names.get(str(row["class"]), str(row["class"])), "v": number(row["precision"]),
         "l": number(row.get("precision_low")), "h": number(row.get("precision_high"))}
        for row in result.per_class
        if str(row["attack"]) in attacks and math.isfinite(number(row.get("precision")))
    ]  # fmt: skip


def _slice_lines(result: Result, attacks: Sequence[str]) -> Lines:
    return [
        {"a": str(row["attack"]), "p": str(row["slice"]), "c": str(row["value"]), "v": number(row.get("auc")),
         "l": number(row.get("auc_low")), "h": number(row.get("auc_high")),
         "differs": number(row.get("is_different")) > 0}
        for row in result.slices if str(row["attack"]) in attacks and math.isfinite(number(row.get("auc")))
    ]  # fmt: skip


def _epochs(curves: Curves | None, name: str) -> Lines:
    """Return one of the target's learning curves, and the range of the shadows'."""
    values: Float[np.ndarray, "M E"] = np.zeros((1, 0)) if curves is None else getattr(curves, name)
    part, what = name.split("_")
    others = values[1:] if len(values) > 1 else values
    ends = zip(values[0].tolist(), others.min(axis=0).tolist(), others.max(axis=0).tolist(), strict=True)
    return [
        {"epoch": k, "what": what, "part": part, "v": v, "l": low, "h": high}
        for k, (v, low, high) in enumerate(ends, 1)
    ]


def _growth(result: Result) -> Lines:
    shown = ("auc", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")
    return [
        {"a": str(row["attack"]), "shadows": int(row["shadows"]), "metric": metric_words(name), "v": float(row[name]),
         "l": float(row.get(f"{name}_low", row[name])), "h": float(row.get(f"{name}_high", row[name]))}
        for row in result.growth for name in shown if name in row
    ]  # fmt: skip


def _confidence(result: Result) -> Lines:
    """Return histograms of log(p / (1 - p)): on a plain axis an overfitted model's all stand in the last bin."""
    known = np.isfinite(result.confidence)
    if not known.any():
        return []
    p = np.clip(result.confidence[known].astype(float), 1e-6, 1 - 1e-6)
    value = np.log(p) - np.log1p(-p)
    edges = np.linspace(value.min() - 0.01, value.max() + 0.01, 49)
    lines = []
    for who, chosen in (("non-members", ~result.is_member[known]), ("members", result.is_member[known])):
        shares = np.histogram(value[chosen], edges)[0] / max(int(chosen.sum()), 1)
        lines += [{"who": who, "x": float(x), "v": float(v)} for x, v in zip(edges, [*shares, 0.0], strict=True)]
    return lines


# --- figures ----------------------------------------------------------------------------------------------------------


def _words(result: Result) -> dict[str, str]:
    """Return the numbers that captions name."""
    found = {"nonmembers": f"{int((~result.is_member).sum()):,}", "best": "", "after": ""}
    for name, rate in reversed(FPR_LIMITS.items()):
        rates = {one: result.metrics.get(f"attack/{one}/tpr_at_{name}_fpr", math.nan) for one in result.scores}
        if rates := {one: value for one, value in rates.items() if math.isfinite(value)}:
            best = max(rates, key=lambda one: (rates[one], one))
            found["best"] = f"{best} finds {100 * rates[best]:.4g}% of the members at {100 * rate:g}% false positives."
            break
    for who, chosen in (("members", result.is_member), ("others", ~result.is_member)):
        known = result.confidence[chosen & np.isfinite(result.confidence)]
        found[who] = f"{np.median(known) if len(known) else math.nan:.4f}"
    if result.curves is not None:
        train, test = (curve[0, -1] for curve in (result.curves.train_accuracy, result.curves.test_accuracy))
        shadows, epochs = len(result.curves.train_accuracy) - 1, result.curves.train_accuracy.shape[1]
        found["after"] = f"Target: accuracy {train:.3f} in training, {test:.3f} on the test set, after {epochs} epochs."
        found["after"] += f" Areas: the range of {shadows} shadows." if shadows else ""
    return found


def run_figures(result: Result, data: Mapping[str, Lines]) -> list[Figure]:
    """Return the figures that a result can fill, given its `run_data`."""
    several = len(CATEGORIES)  # attacks after the tenth are dashed
    looks = {"colours": CATEGORIES, "marks": MARKS, "dashes": [[1, 0]] * several + [[5, 3]] * several}
    classed, sliced, kinds = (
        list(dict.fromkeys(line[key] for line in data[name]))
        for name, key in (("classes", "a"), ("slices", "a"), ("slices", "p"))
    )
    choices = {"attack": [choice("attack", "attack", classed)], "sliced": [choice("attack", "attack", sliced)],
               "property": [choice("property", "property", kinds)]}  # fmt: skip
    shown = {name: one for name, one in templates()["run"].items() if data[one["about"]["needs"]]}
    return filled(shown, choices, {name: [looks | _words(result)] for name in shown})


def figure(result: Result, name: str) -> "alt.TopLevelMixin":
    """Return a figure of a result, one of those in `assets/figures.yaml` under `run`, as an Altair chart.

    Raises:
        RequestError: there is no such figure, or the result does not hold what it needs.
    """
    one_of("figure", name, tuple(templates()["run"]))
    data = run_data(result)
    found = {one.name: one for one in run_figures(result, data)}
    if name not in found:
        raise RequestError(f"figure={name}: this result does not hold what it needs; it has {', '.join(found)}")
    return found[name].chart(data)


# --- page and files ---------------------------------------------------------------------------------------------------


def attack_table(result: Result) -> Table:
    """Return a line per attack, with the leakage that it found and the controls."""
    order = attacks_by_auc(result)
    columns: dict[str, list[Cell]] = {"attack": [Cell(attack_words(name), name) for name in order]}
    for one in of_kind("leakage", "control"):
        found = [_estimate(result.metrics, f"attack/{name}/{one.name}") for name in order]
        columns |= {one.words: [estimate_cell(e) for e in found]} if any(e.is_known for e in found) else {}
    return Table(columns, 1)


def exposed_table(result: Result, most: int = MOST_EXPOSED) -> Table | None:
    """Return the members that the strongest attack is surest about, or None where no attack could score any."""
    scored = [name for name in attacks_by_auc(result) if np.isfinite(result.scores[name].score).any()]
    if not scored:
        return None
    score = np.where(
        result.is_member & np.isfinite(result.scores[scored[0]].score), result.scores[scored[0]].score, -np.inf
    )
    first = np.argsort(-score, kind="stable")[: min(most, int(np.isfinite(score).sum()))]
    classes = [class_name(result, label) for label in result.labels[first]]
    return Table(
        {
            "record": [Cell(str(one), str(one)) for one in result.index[first]],
            "class": [Cell(one, one) for one in classes],
            f"score of {attack_words(scored[0])}": [Cell(f"{one:.4g}", float(one)) for one in score[first]],
        },
        1,
    )


def _citations(result: Result) -> list[str]:
    """Return whom to cite for the attacks, a line each."""
    named = [name for name in attacks_by_auc(result) if name in ATTACKS.names()]
    return [f"{attack_words(name)}: {ATTACKS[name].citation}" for name in named if ATTACKS[name].citation]


def run_page(result: Result, *, title: str, command: str = "", question: str = "", picture: bytes = b"") -> str:
    """Return a run's page: utility, leakage of every attack, its figures, most exposed pictures and warnings.

    Args:
        result: Of a run or an audit.
        title: The run's name.
        command: What repeats it.
        question: What was asked, or what the answer is.
        picture: The most exposed records as PNG, where there is one.
    """
    data = run_data(result)
    figures = run_figures(result, data)
    shown = [one for one in of_kind("utility", "privacy") if one.is_main and one.name in result.metrics]
    members = int(result.is_member.sum())
    note = f"{members:,} members, {len(result.is_member) - members:,} non-members; 95% intervals, 99% for the control."
    failed = [line for line in result.warnings if FAILED in line]
    exposed = exposed_table(result)
    sections = [
        Section("controls", "A control failed: do not trust these numbers yet", lines=failed),
        Section("leakage", "Leakage", note, [("leakage", attack_table(result))] if result.scores else []),
        *(Section(one.name, one.title, one.caption, figure=True) for one in figures),
        Section("exposed", "The members that the strongest attack is surest about",
                tables=[("exposed", exposed)] if exposed else [],
                picture=f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else ""),
        Section("warnings", "Warnings", lines=[line for line in result.warnings if FAILED not in line]),
        Section("computed", "How it was computed", lines=COMPUTED if result.scores else []),
        Section("cite", "Whom to cite", lines=_citations(result)),
    ]  # fmt: skip
    cards = [(f"{result.metrics[one.name]:.3f}", one.words) for one in shown]
    specs = {one.name: one.spec for one in figures}
    return page_html(Page(title, sections, specs, data, question, command, cards, [f"Written by mia {__version__}."]))


def audit_page(result: Result, *, title: str = "Audit", command: str = "", asked: str = "") -> str:
    """Return an audit's page: what was asked, the verdict with its interval, then what a run's page shows."""
    return run_page(result, title=title, command=command, question="\n".join(filter(None, [asked, verdict(result)])))


def run_files(result: Result, images: Shaped[np.ndarray, "N h w c"] | None = None, **page: str) -> dict[str, bytes]:
    """Return what is stored of a run beside its scores: tables, curves, one small picture, and its page, by file name.

    Args:
        result: What was found out.
        images: The data set's own `x`, where it holds pictures.
        page: What `run_page` takes: title, command ...
    """
    files = {name: text.encode() for name, text in result_tables(result).items()}
    if result.curves is not None:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **{name: getattr(result.curves, name) for name in CURVES})
        files["curves.npz"] = buffer.getvalue()
    if images is not None and images.ndim == 4 and result.scores:
        files["most_exposed.png"] = contact_sheet(result, images)
    picture = files.get("most_exposed.png", b"")
    return files | {"run.html": run_page(result, **{"title": "Run", **page}, picture=picture).encode()}


def write_run_report(run: StoredRun, fetch: Fetch, out: Path, *, has_pictures: bool = False) -> Path:
    """Write the page of a stored run, and its figures as PNG and PDF where they are wanted; return the page's path.

    Raises:
        FileNotFoundError: the run has no scores.
        StorageError: the folder cannot be written.
    """
    result = stored_result(run, fetch)
    picture = fetch(run, "most_exposed.png") or fetch(run, "figures/most_exposed.png")
    page = run_page(result, title=run.name, command=run.tags.get("mia.command", ""),
                    picture=picture.read_bytes() if picture else b"")  # fmt: skip
    data = run_data(result)
    files = picture_files(run_figures(result, data), data) if has_pictures else {}
    return write_files(files | {NAME: page.encode()}, out)
