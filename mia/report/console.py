"""What a terminal shows: the tables of a run, two lines for a run of a sweep, and a sweep's answer at its end.

Takes a `Result` or a study, gives something that rich can print, or lines. Prints nothing itself.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mia.attacks import attack_words
from mia.metrics.words import METRICS, Metric
from mia.records import Result, Scores, StoredRun
from mia.report.frame import Study
from mia.report.run import attack_order
from mia.report.sentences import change_words
from mia.report.tables import contract_name, failure_words, key_columns, number_text

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

WITH_INTERVAL = {"auc"}
UTILITY, AREA = "target/test_accuracy", "attack/{}/auc"
MOST_ROWS = 40


def console_table(result: Result) -> "Group":
    """Return the tables of utility and leakage of a run, with its warnings below."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if any(math.isfinite(result.metrics.get(f"target/{part}_accuracy", math.nan)) for part in ("train", "test")):
        parts.append(_utility_table(result))
    if result.scores:
        parts.append(_leakage_table(result))
    if privacy := _privacy_words(result.metrics):
        parts.append(Text(privacy))
    parts += [Text(f"! {line}", style="yellow") for line in result.warnings]
    return Group(*parts)


def run_lines(result: Result, name: str) -> list[str]:
    """Return two lines for a run of a sweep: what it was, and what came out under the strongest attack."""
    found = []
    if math.isfinite(result.metrics.get(UTILITY, math.nan)):
        found.append(f"test accuracy {number_text(result.metrics[UTILITY])}")
    if order := attack_order(result.metrics, list(result.scores)):
        value, low, high = (
            result.metrics.get(f"attack/{order[0]}/auc{end}", math.nan) for end in ("", "_low", "_high")
        )
        found.append(f"AUC of {order[0]} {number_text(value)} ({number_text(low)}-{number_text(high)})")
    return [name, f"  {', '.join(found) or 'no result'}"]


def _privacy_words(metrics: Mapping[str, float]) -> str:
    """Return what DP-SGD guarantees and how, or nothing."""
    if "privacy/epsilon" not in metrics:
        return ""
    epsilon, delta, noise = (metrics[f"privacy/{name}"] for name in ("epsilon", "delta", "noise_multiplier"))
    return f"Privacy: epsilon {epsilon:.3g} at delta {delta:.3g} (DP-SGD, noise multiplier {noise:.4g})"


def _plain_table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, show_edge=False)


def _utility_table(result: Result) -> "Table":
    table = _plain_table("Utility")
    for heading in ("", "train accuracy", "test accuracy", "gap"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for who in ("target", "shadow"):
        train, test = (result.metrics.get(f"{who}/{part}_accuracy", math.nan) for part in ("train", "test"))
        if math.isfinite(train) or math.isfinite(test):
            count = len(result.shadow_accuracy) if who == "shadow" and result.shadow_accuracy is not None else 1
            name = who if who == "target" else "1 shadow" if count == 1 else f"{count} shadows, mean"
            table.add_row(name, number_text(train), number_text(test), number_text(train - test))
    return table


def _leakage_table(result: Result) -> "Table":
    """Return a table narrow enough for 80 columns: intervals stand below their value."""
    from rich.text import Text

    metrics = result.metrics
    order = attack_order(metrics, list(result.scores))
    headed = [one for one in METRICS if one.heading and "/" not in one.name]
    shown = [one for one in headed if any(math.isfinite(metrics.get(contract_name(one, a), math.nan)) for a in order)]
    members = int(result.is_member.sum())
    others = len(result.is_member) - members
    table = _plain_table(f"Leakage ({members:,} members, {others:,} non-members; 95% intervals)")
    table.add_column("attack")
    for one in shown:
        table.add_column(one.heading, justify="right")
    table.add_column("models\nin/out", justify="right")
    for name in order:
        cells = [_cell(metrics, contract_name(one, name), one) for one in shown]
        table.add_row(Text(attack_words(name).replace(" (", "\n(")), *cells, models_words(result.scores[name]))
    return table


def _cell(metrics: Mapping[str, float], name: str, about: Metric) -> str:
    value = metrics.get(name, math.nan)
    if about.is_percent:
        return f"{100 * value:.2f}%" if math.isfinite(value) else "-"
    text, low, high = number_text(value), metrics.get(f"{name}_low", value), metrics.get(f"{name}_high", value)
    if about.kind == "control":
        is_off = math.isfinite(value) and about.chance is not None and not low <= about.chance <= high
        return ("" if text == "-" else text) + ("!" if is_off else "")
    if about.name in WITH_INTERVAL and f"{name}_low" in metrics:
        text += f"\n{number_text(low)}-{number_text(high)}"
    return text


def models_words(scores: Scores) -> str:
    """Return how many IN and OUT models are behind each score, as a range where records differ; a dash for none."""
    words = f"{_range_words(scores.num_in)}/{_range_words(scores.num_out)}"
    return "-" if words == "0/0" else words


def _range_words(counts: np.ndarray) -> str:
    if not len(counts):
        return "0"
    low, high = int(np.min(counts)), int(np.max(counts))
    return str(low) if low == high else f"{low}-{high}"


# --- a sweep ----------------------------------------------------------------------------------------------------------


def sweep_table(study: Study, most: int = MOST_ROWS) -> "Table":
    """Return the answer of a sweep: a line per setting with utility and leakage, intervals below, the best in bold.

    Leakage is that of the foremost attack: accuracy at its own rule, AUC, and TPR at 1% FPR.

    Args:
        study: the sweep's runs.
        most: rows that are shown; the report has them all.
    """
    from rich.text import Text

    from mia.report.tables import summary_table

    attack = study.attacks[0] if study.attacks else ""
    whole = summary_table(study)
    wanted = ("test accuracy", "attack accuracy", "AUC", "TPR at 1% FPR", "epsilon")
    rows = list(range(len(study.rows)))[:most]
    keys = key_columns(study, rows)
    metrics = {name: whole.columns[name] for name in wanted if name in whole.columns}
    table = _plain_table(f"Leakage under {attack}; 95% intervals" if attack else "Utility")
    for name in keys:
        table.add_column(name, overflow="fold")
    for name in metrics:
        table.add_column(name.replace("attack accuracy", "attack\naccuracy").replace(" at ", " at\n"), justify="right")
    for k in rows:
        cells = [Text(column[k].text) for column in keys.values()]
        for column in metrics.values():
            cell = column[k]
            text = Text(cell.text, style="bold green" if cell.is_best else "")
            cells.append(text + Text(f"\n{cell.interval}", style="dim") if cell.interval else text)
        table.add_row(*cells)
    return table


def sweep_end(
    study: Study,
    *,
    report: Path | None = None,
    sweep_id: str = "",
    runs: Sequence[StoredRun] = (),
    most: int = MOST_ROWS,
) -> "Group":
    """Return what a sweep says at its end: its table, what changed most, shared warnings, and where to look.

    Args:
        study: the sweep's runs.
        report: where the report lies, a path that a terminal makes a link.
        sweep_id: the sweep's run, for the UI.
        runs: those that were run just now, whose warnings are said; by default all.
        most: rows of the table.
    """
    from rich.console import Group
    from rich.text import Text

    from mia.report.page import shared_warnings

    parts: list[RenderableType] = [sweep_table(study, most)] if study.finished else []
    if len(study.rows) > most:
        parts.append(Text(f"... and {len(study.rows) - most} settings more, in the report", style="dim"))
    if words := change_words(study):
        parts.append(Text(words))
    said = list(runs) or study.runs
    for line, count in shared_warnings(said):
        parts.append(Text(f"! {line} ({count} of {len(said)} runs)", style="yellow"))
    parts += [Text(f"! {run.name} {failure_words(run)}", style="red") for run in study.unfinished]
    if report is not None:
        parts.append(Text.assemble("report: ", (str(report), f"link file://{report}")))
    if sweep_id:
        parts.append(Text(f"browse its runs with: mia ui, run {sweep_id}"))
    return Group(*parts)
