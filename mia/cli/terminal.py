"""What a terminal shows: the tables of a run, and a sweep's answer at its end.

Takes a `Result` or a study, gives something that rich can print. Prints nothing itself.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mia.attacks import attack_words
from mia.metrics.words import FAILED, METRICS, Metric
from mia.records import Result, Scores
from mia.report.tables import key_columns, number_text, summary_table
from mia.study.sentences import change_words, failure_words, shared_warnings
from mia.study.study import Study
from mia.tables import attacks_by_auc

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

WITH_INTERVAL = {"auc"}
MOST_ROWS = 40


def console_table(result: Result) -> "Group":
    """Return the tables of utility and leakage of a run, with its warnings below."""
    from rich.console import Group
    from rich.text import Text

    metrics = result.metrics
    parts: list[RenderableType] = []
    if any(math.isfinite(metrics.get(f"target/{part}_accuracy", math.nan)) for part in ("train", "test")):
        parts.append(_utility_table(result))
    if result.scores:
        parts.append(_leakage_table(result))
    if "privacy/epsilon" in metrics:
        epsilon, delta, noise = (metrics[f"privacy/{name}"] for name in ("epsilon", "delta", "noise_multiplier"))
        parts.append(
            Text(f"Privacy: epsilon {epsilon:.3g} at delta {delta:.3g} (DP-SGD, noise multiplier {noise:.4g})")
        )
    if (bound := "privacy/epsilon_lower_bound") in metrics:
        parts.append(Text(f"Audited: epsilon is at least {metrics[bound]:.3g} (canaries drawn by coins, one run)"))
    return Group(*parts, *(warning_text(line) for line in result.warnings))


def warning_text(line: str, more: str = "") -> "Text":
    """Return a warning as a terminal shows it: a control that failed is not to be overlooked."""
    from rich.text import Text

    return Text(f"! {line}{more}", style="bold red" if FAILED in line else "yellow")


def _plain_table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, show_edge=False)


def _utility_table(result: Result) -> "Table":
    table = _plain_table("Utility")
    for heading in ("", "train accuracy", "test accuracy", "gap"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    count = 0 if result.shadow_accuracy is None else len(result.shadow_accuracy)
    for who, name in (("target", "target"), ("shadow", "1 shadow" if count == 1 else f"{count} shadows, mean")):
        train, test = (result.metrics.get(f"{who}/{part}_accuracy", math.nan) for part in ("train", "test"))
        if math.isfinite(train) or math.isfinite(test):
            table.add_row(name, number_text(train), number_text(test), number_text(train - test))
    return table


def _leakage_table(result: Result) -> "Table":
    """Return a table narrow enough for 80 columns: intervals stand below their value."""
    from rich.text import Text

    order, members = attacks_by_auc(result), int(result.is_member.sum())
    cells = {
        one: [_cell(result.metrics, f"attack/{name}/{one.name}", one) for name in order]
        for one in METRICS
        if one.heading
    }
    shown = {one: found for one, found in cells.items() if any(text not in ("", "-") for text in found)}
    table = _plain_table(
        f"Leakage ({members:,} members, {len(result.is_member) - members:,} non-members; 95% intervals)"
    )
    table.add_column("attack")
    for heading in (*(one.heading for one in shown), "models\nin/out"):
        table.add_column(heading, justify="right")
    for name, *row in zip(order, *shown.values(), strict=True):
        table.add_row(Text(attack_words(name).replace(" (", "\n(")), *row, models_words(result.scores[name]))
    return table


def _cell(metrics: Mapping[str, float], name: str, about: Metric) -> str:
    value = metrics.get(name, math.nan)
    text, low, high = number_text(value), metrics.get(f"{name}_low", value), metrics.get(f"{name}_high", value)
    if about.is_percent:
        text = f"{100 * value:.2f}%" if math.isfinite(value) else "-"
    elif about.kind == "control":
        is_off = math.isfinite(value) and about.chance is not None and not low <= about.chance <= high
        text = ("" if text == "-" else text) + "!" * is_off
    elif about.name in WITH_INTERVAL and f"{name}_low" in metrics:
        text += f"\n{number_text(low)}-{number_text(high)}"
    return text


def models_words(scores: Scores) -> str:
    """Return how many IN and OUT models are behind each score, as a range where records differ; a dash for none."""
    ends = [
        (int(np.min(counts, initial=10**9)), int(np.max(counts, initial=0)))
        for counts in (scores.num_in, scores.num_out)
    ]
    words = "/".join(str(high) if low >= high else f"{low}-{high}" for low, high in ends)
    return "-" if words == "0/0" else words


# --- a sweep ----------------------------------------------------------------------------------------------------------


def sweep_table(study: Study, most: int = MOST_ROWS) -> "Table":
    """Return the answer of a sweep: a line per setting with utility and leakage, intervals below, the best in bold.

    Leakage is that of the foremost attack: accuracy at its own rule, AUC, and TPR at 1% FPR.

    Args:
        study: The sweep's runs.
        most: Rows that are shown; the report has them all.
    """
    from rich.text import Text

    whole, rows = summary_table(study).columns, range(min(most, len(study.rows)))
    keys = key_columns(study, rows)
    metrics = {
        name: whole[name]
        for name in ("test accuracy", "attack accuracy", "AUC", "TPR at 1% FPR", "epsilon")
        if name in whole
    }
    table = _plain_table(f"Leakage under {study.attacks[0]}; 95% intervals" if study.attacks else "Utility")
    for name in keys:
        table.add_column(name, overflow="fold")
    for name in metrics:
        table.add_column(name.replace(" accuracy", "\naccuracy").replace(" at ", " at\n"), justify="right")
    for k in rows:
        found = [column[k] for column in metrics.values()]
        texts = [Text(cell.text, style="bold green" if cell.is_best else "") for cell in found]
        ends = [Text(f"\n{cell.interval}" if cell.interval else "", style="dim") for cell in found]
        table.add_row(*(Text(column[k].text) for column in keys.values()), *map(Text.append_text, texts, ends))
    return table


def sweep_end(
    study: Study,
    *,
    report: Path | None = None,
    sweep_id: str = "",
    browse: str = "browse it with: mia ui",
    most: int = MOST_ROWS,
) -> "Group":
    """Return what a sweep says at its end: its table, what changed most, shared warnings, and where to look.

    Args:
        study: The sweep's runs.
        report: Where the report lies, a path that a terminal makes a link.
        sweep_id: The sweep's run, for the UI.
        browse: How to see it there.
        most: Rows of the table.
    """
    from rich.console import Group
    from rich.text import Text

    more = len(study.rows) - most
    return Group(
        *([sweep_table(study, most)] if study.finished else []),
        *([Text(f"... and {more} settings more, in the report", style="dim")] if more > 0 else []),
        *(Text(words) for words in [change_words(study)] if words),
        *(warning_text(line, f" ({count} of {len(study.runs)} runs)") for line, count in shared_warnings(study.runs)),
        *(Text(f"! {run.name} {failure_words(run)}", style="red") for run in study.unfinished),
        *([_whole("report: ", (str(report), f"link file://{report}"))] if report else []),
        *([_whole(f"run {sweep_id}; {browse}")] if sweep_id else []),
    )


def _whole(*parts: str | tuple[str, str]) -> "Text":
    """Return text that stays on one line, however wide the terminal is: a path is copied from it."""
    from rich.text import Text

    return Text.assemble(*parts, no_wrap=True, overflow="ignore")
