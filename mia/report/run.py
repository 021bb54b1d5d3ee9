"""One run or audit: the numbers that its figures need, the figures, its page, and what is stored of it.

Takes a `Result` (and its pictures where the data are pictures). What a result does not hold is not drawn: an audit has
no learning curves, a run without an attack no ROC.
"""

import base64
import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped

from mia import __version__
from mia.attacks import ATTACKS, attack_words, is_owners
from mia.checks import RequestError, one_of
from mia.contact_sheet import contact_sheet, most_exposed
from mia.metrics.estimates import of_metrics
from mia.metrics.over_seeds import agreement, found_at_fpr
from mia.metrics.roc import FPR_LIMITS, left_edge
from mia.metrics.words import FAILED, metric_of, metric_words, of_kind
from mia.records import CURVES, Curves, Result, StoredRun
from mia.report.evidence import roc_points, slice_lines, table_lines
from mia.report.found import RATE
from mia.report.look import CATEGORIES, MARKS, Figure, choice, filled, picture_files, templates
from mia.report.page import NAME, Page, Section, page_html, write_files
from mia.report.tables import Cell, Table, estimate_cell, text_cells
from mia.stored_result import Fetch, History, curves_file, stored_result
from mia.tables import attacks_by_auc, class_name, result_tables

if TYPE_CHECKING:
    import altair as alt

MOST_ATTACKS, MOST_COMPARED, MOST_EXPOSED = 4, 12, 10  # with a table of classes; against one another; members named
POINTS = 240  # of a curve
COMPARED = ("auc", "balanced_accuracy", "tpr_at_1pct_fpr")
GROWN = ("auc", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")
Lines = list[dict[str, Any]]


def run_data(result: Result) -> dict[str, Lines]:
    """Return the data sets of a run's figures, each a list of lines; a figure without lines is not drawn."""
    order, member, metrics = attacks_by_auc(result), result.is_member, result.metrics
    count = int((~member).sum())
    limits = [{"at": rate, "label": f"{100 * rate:g}%"} for rate in FPR_LIMITS.values() if rate * count > 1.5]
    scores = {name: result.scores[name].score.astype(float) for name in order}
    labels = {name: {"a": name, "label": _with_auc(metrics, name)} for name in order}
    names = {str(k): name for k, name in enumerate(result.class_names)}
    classes = table_lines(result.per_class, "precision", order[:MOST_ATTACKS], c="class")
    known = {name: ~np.isnan(score) for name, score in scores.items()}
    found = {name: found_at_fpr(scores[name], member, RATE)[member] for name in order[:MOST_COMPARED]}
    compared = [(one, name, of_metrics(metrics, f"attack/{name}/{one.name}"))
                for one in filter(None, map(metric_of, COMPARED)) for name in order]  # fmt: skip
    reported = [(name, limit, metrics.get(f"attack/{name}/fpr_reached_at_{limit}", rate))
                for name in order for limit, rate in FPR_LIMITS.items()]  # fmt: skip
    return {
        "attacks": [{"a": name, "metric": one.words, "v": e.value, "l": e.low, "h": e.high, "chance": one.chance}
                    for one, name, e in compared if e.is_known],
        "curves": [labels[name] | {"f": f, "t": t} for name in order
                   for f, t in roc_points(scores[name][known[name]], member[known[name]], POINTS)],
        "reported": [labels[name] | {"f": f, "t": t} for name, limit, f in reported
                     if f > 0 and (t := metrics.get(f"attack/{name}/tpr_at_{limit}_fpr", 0.0)) > 0],
        "limits": [*limits, *({"f": end, "t": end} for end in (left_edge(count), 1.0))],
        "agreement": [{"a": a, "b": b, "v": v, "both": both} for a, b, v, both in agreement(found)],
        "classes": [{**line, "c": names.get(line["c"], line["c"])} for line in classes],
        "slices": list(slice_lines(result.slices, order[:MOST_ATTACKS])),
        "epochs": list(_epochs(result.curves)),
        "leakage": [] if result.curves is None or result.curves.loss_auc is None else
                   [{"epoch": k, "v": v} for k, v in enumerate(result.curves.loss_auc.tolist(), 1)],
        "growth": [{"a": row["attack"], "shadows": int(row["shadows"]), "metric": metric_words(name),
                    "v": e.value, "l": e.low, "h": e.high}
                   for row in result.growth for name in GROWN if name in row for e in [of_metrics(row, name)]],
        "confidence": list(_confidence(result)),
    }  # fmt: skip


def _with_auc(metrics: Mapping[str, float], name: str) -> str:
    area = metrics.get(f"attack/{name}/auc", math.nan)
    return f"{name} (AUC {area:.3f})" if math.isfinite(area) else name


def _epochs(curves: Curves | None) -> Iterator[dict[str, Any]]:
    """Yield the target's learning curves, and the range of the shadows'."""
    for name in CURVES if curves is not None else ():
        part, what = name.split("_")
        target, *shadows = getattr(curves, name)
        others = np.array(shadows or [target])
        for k, (v, low, high) in enumerate(zip(target, others.min(axis=0), others.max(axis=0), strict=True), 1):
            yield {"epoch": k, "what": what, "part": part, "v": float(v), "l": float(low), "h": float(high)}


def _confidence(result: Result) -> Iterator[dict[str, Any]]:
    """Yield histograms of log(p / (1 - p)): on a plain axis an overfitted model's all stand in the last bin."""
    known = np.isfinite(result.confidence)
    if not known.any():
        return
    p = np.clip(result.confidence[known].astype(float), 1e-6, 1 - 1e-6)
    value = np.log(p) - np.log1p(-p)
    edges = np.linspace(value.min() - 0.01, value.max() + 0.01, 49)
    for who, chosen in (("non-members", ~result.is_member[known]), ("members", result.is_member[known])):
        shares = np.histogram(value[chosen], edges)[0] / max(int(chosen.sum()), 1)
        yield from ({"who": who, "x": float(x), "v": float(v)} for x, v in zip(edges, [*shares, 0.0], strict=True))


# --- figures ----------------------------------------------------------------------------------------------------------


def _words(result: Result) -> dict[str, str]:
    """Return the numbers that captions name."""
    found = {"nonmembers": f"{int((~result.is_member).sum()):,}", "best": "", "after": ""}
    for name, rate in reversed(FPR_LIMITS.items()):
        rates = {one: result.metrics.get(f"attack/{one}/tpr_at_{name}_fpr", math.nan) for one in result.scores}
        if rates := {one: value for one, value in rates.items() if math.isfinite(value)}:
            best = max(rates, key=lambda one: (not is_owners(one), rates[one], one))
            share = f"{100 * rates[best]:.4g}% of the members at {100 * rate:g}% false positives"
            found["best"] = f"{attack_words(best)} finds {share}."
            break
    for who, chosen in (("members", result.is_member), ("others", ~result.is_member)):
        known = result.confidence[chosen & np.isfinite(result.confidence)]
        found[who] = f"{np.median(known) if len(known) else math.nan:.4f}"
    if result.curves is not None:
        train, test = (curve[0, -1] for curve in (result.curves.train_accuracy, result.curves.test_accuracy))
        shadows, epochs = len(result.curves.train_accuracy) - 1, result.curves.train_accuracy.shape[1]
        tested = f", {test:.3f} on the test set" if math.isfinite(test) else ""  # train.test_records=0
        found["after"] = f"Target: accuracy {train:.3f} in training{tested}, after {epochs} epochs."
        found["after"] += f" Areas: the range of {shadows} shadows." if shadows else ""
    return found


def run_figures(result: Result, data: Mapping[str, Lines]) -> list[Figure]:
    """Return the figures that a result can fill, given its `run_data`."""
    several = len(CATEGORIES)  # attacks after the tenth are dashed
    looks = {"colours": CATEGORIES, "marks": MARKS, "dashes": [[1, 0]] * several + [[5, 3]] * several,
             "attacks": attacks_by_auc(result)}  # fmt: skip
    choices = {
        key: [choice(name, name, list(dict.fromkeys(line[column] for line in data[of])))]
        for key, name, of, column in (("attack", "attack", "classes", "a"), ("sliced", "attack", "slices", "a"),
                                      ("property", "property", "slices", "p"))
    }  # fmt: skip
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
    columns = {"attack": text_cells(map(attack_words, order))}
    for one in of_kind("leakage", "control"):
        found = [of_metrics(result.metrics, f"attack/{name}/{one.name}") for name in order]
        columns |= {one.words: [estimate_cell(e) for e in found]} if any(e.is_known for e in found) else {}
    return Table(columns, 1)


def exposed_table(result: Result, most: int = MOST_EXPOSED) -> Table | None:
    """Return the members that the strongest attack is surest about, or None where no attack could score any."""
    attack = next((name for name in attacks_by_auc(result) if most_exposed(result, name, 1)), None)
    if attack is None:
        return None
    first = most_exposed(result, attack, most)
    columns = {
        "record": text_cells(result.index[first]),
        "class": text_cells(class_name(result, k) for k in result.labels[first]),
    }
    scores = result.scores[attack].score[first].astype(float)
    return Table(columns | {f"score of {attack_words(attack)}": [Cell(f"{one:.4g}", float(one)) for one in scores]}, 1)


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
    members = int(result.is_member.sum())
    note = f"{members:,} members, {len(result.is_member) - members:,} non-members; 95% intervals, 99% for the control."
    failed, others = ([line for line in result.warnings if (FAILED in line) == wanted] for wanted in (True, False))
    exposed = exposed_table(result)
    cited = [(attack_words(name), ATTACKS[name].citation) for name in attacks_by_auc(result) if name in ATTACKS.names()]
    part = partial(Section.on, "run")
    sections = [
        part("controls", lines=failed),
        part("leakage", note, tables=[("leakage", attack_table(result))] if result.scores else []),
        *map(Section.of, figures),
        part("exposed", tables=[("exposed", exposed)] if exposed else [],
             picture=f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else ""),
        part("warnings", lines=others),
        part("computed", lines=templates()["sections"]["run"]["computed"]["lines"] if result.scores else []),
        part("cite", lines=[f"{name}: {source}" for name, source in cited if source]),
    ]  # fmt: skip
    shown = [one for one in of_kind("utility", "privacy") if one.is_main and one.name in result.metrics]
    cards = [(f"{result.metrics[one.name]:.3f}", one.words) for one in shown]
    return page_html(Page(title, sections, figures, data, question, command, cards, [f"Written by mia {__version__}."]))


def run_files(result: Result, images: Shaped[np.ndarray, "N h w c"] | None = None, **page: str) -> dict[str, bytes]:
    """Return what is stored of a run beside its scores: tables, curves, one small picture, and its page, by file name.

    Args:
        result: What was found out.
        images: The data set's own `x`, where it holds pictures.
        page: What `run_page` takes: title, command ...
    """
    files = {name: text.encode() for name, text in result_tables(result).items()}
    if result.curves is not None:
        files["curves.npz"] = curves_file(result.curves)
    if images is not None and images.ndim == 4 and result.scores:
        files["most_exposed.png"] = contact_sheet(result, images)
    picture = files.get("most_exposed.png", b"")
    return files | {"run.html": run_page(result, **{"title": "Run", **page}, picture=picture).encode()}


def write_run_report(
    run: StoredRun,
    fetch: Fetch,
    out: Path,
    *,
    history: History | None = None,
    has_pictures: bool = False,
) -> Path:
    """Write the page of a stored run, and its figures as PNG and PDF where they are wanted; return the page's path.

    Args:
        run: The run.
        fetch: Finds its files.
        out: A folder, or the path of the page.
        history: As `stored_result` takes it.
        has_pictures: Draw the figures as files, too.

    Raises:
        FileNotFoundError: the run has no scores.
        StorageError: the folder cannot be written.
    """
    result = stored_result(run, fetch, history)
    picture = fetch(run, "most_exposed.png") or fetch(run, "figures/most_exposed.png")
    page = run_page(result, title=run.name, command=run.tags.get("mia.command", ""),
                    picture=picture.read_bytes() if picture else b"")  # fmt: skip
    data = run_data(result)
    files = picture_files(run_figures(result, data), data) if has_pictures else {}
    return write_files(files | {NAME: page.encode()}, out)
