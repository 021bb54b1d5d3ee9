"""The summary of a sweep in numbers: rows, CSV, Markdown and LaTeX.

Takes stored runs, gives plain rows and text. Writes no files.
"""

import math
from collections.abc import Iterable, Sequence

from mia.records import StoredRun
from mia.report.axes import SEED, latest_attempts
from mia.report.exposed import Cell as CsvCell
from mia.report.exposed import csv_text
from mia.report.grouping import read_sweep
from mia.report.published import CAPTION, TITLE, published_cells, published_table
from mia.report.settings import Sweep
from mia.report.table import Cell, Table, attack_table, failure_words, summary_table

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
         **{sign: f"\\{sign}" for sign in "&%$#_{}"}}  # fmt: skip


def summary_rows(runs: Iterable[StoredRun]) -> list[dict[str, CsvCell]]:
    """Return one row per setting (all that varies but the seed): means, deviations as `<metric>_sd`, number of runs.

    Where figures are published, they stand beside them as `published/<source>/<metric>`.
    """
    sweep = read_sweep(runs)
    rows: list[dict[str, CsvCell]] = []
    for setting in sweep.settings:
        row: dict[str, CsvCell] = {axis: setting.values.get(axis, "") for axis in sweep.axes}
        row |= {"runs": len(setting.runs), "unfinished": len(setting.unfinished)}
        for metric in dict.fromkeys(name for run in setting.runs for name in run.metrics):
            estimate = setting.estimate(metric)
            if estimate.is_known:
                row[metric] = estimate.value
            if math.isfinite(estimate.deviation):
                row[f"{metric}_sd"] = estimate.deviation
        if setting.runs:
            row |= published_cells(setting.runs[0])
        rows.append(row)
    return rows


def run_rows(runs: Iterable[StoredRun]) -> list[dict[str, CsvCell]]:
    """Return one row per run, finished or not: what varied, every metric, published figures, how to repeat it."""
    counted = latest_attempts(runs)
    sweep = read_sweep(counted)
    keys = [*sweep.axes, SEED]
    return [
        {"run": run.id, "name": run.name, "status": run.status}
        | {key: run.params.get(key, "") for key in keys}
        | {name: run.metrics[name] for name in sorted(run.metrics)}
        | published_cells(run)
        | {"error": run.tags.get("mia.error", ""), "command": run.tags.get("mia.command", "")}
        for run in counted
    ]


def summary_csv(runs: Iterable[StoredRun]) -> str:
    """Return all numbers of all runs as CSV, one row per run."""
    return csv_text(run_rows(runs))


def summary_markdown(runs: Iterable[StoredRun]) -> str:
    """Return the summary as Markdown: the table (best in bold), published figures, AUC of all attacks, what failed."""
    sweep = read_sweep(runs)
    if not sweep.settings:
        return "No runs yet.\n"
    parts = []
    if sweep.finished:
        attack = f" Leakage is that of `{sweep.attacks[0]}`." if sweep.attacks else ""
        parts.append(f"{caption(sweep)}{attack}\n\n{_markdown(summary_table(sweep))}")
    if table := published_table(sweep):
        parts.append(f"{TITLE}. {CAPTION}\n\n{_markdown(table)}")
    if len(sweep.attacks) > 1:
        parts.append(f"AUC of every attack:\n\n{_markdown(attack_table(sweep))}")
    if sweep.unfinished:
        lines = "\n".join(f"- {_plain(run.name)} {_plain(failure_words(run))}" for run in sweep.unfinished)
        parts.append(f"Not finished:\n\n{lines}")
    return "\n\n".join(parts) + "\n"


def caption(sweep: Sweep) -> str:
    """Return what the numbers of the table are."""
    has_seeds = any(len(setting.runs) > 1 for setting in sweep.finished)
    spread = "Mean ± standard deviation over seeds" if has_seeds else "One run per setting, with 95% intervals"
    has_both = len({s.is_adaptive for s in sweep.finished}) > 1
    place = " on the same data" if any(s.defence.name for s in sweep.finished) else ""
    attacker = " (against an attacker who knows the defence)" if has_both else ""
    return f"{spread}. Best{place} in bold: highest test accuracy, lowest leakage{attacker}."


def _markdown(table: Table) -> str:
    marks = ["---" if not metric else "---:" for metric in table.metrics]
    lines = [_markdown_row([_plain(h) for h in table.headings]), _markdown_row(marks)]
    lines += [_markdown_row([_markdown_cell(cell) for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _markdown_cell(cell: Cell) -> str:
    text = f"**{_plain(cell.text)}**" if cell.is_best else _plain(cell.text)
    return f"{text} ({cell.interval})" if cell.interval else text


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Return text that Markdown takes literally, on one line."""
    escaped = " ".join(text.split())
    for sign in "\\`*_|<>[]":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped


def summary_latex(runs: Iterable[StoredRun]) -> str:
    """Return the table as a LaTeX tabular for booktabs."""
    sweep = read_sweep(runs)
    table = summary_table(sweep)
    columns = "".join("l" if not metric else "r" for metric in table.metrics)
    body = [_latex_row([c.text for c in row], [c.is_best for c in row]) for row in table.rows]
    lines = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(table.headings), r"\midrule", *body,
             r"\bottomrule", r"\end{tabular}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str], is_bold: Sequence[bool] = ()) -> str:
    bold = [k < len(is_bold) and is_bold[k] for k in range(len(cells))]
    texts = [f"\\textbf{{{latex_text(c)}}}" if b else latex_text(c) for c, b in zip(cells, bold, strict=True)]
    return " & ".join(texts) + r" \\"


def latex_text(text: str) -> str:
    """Return text that LaTeX sets literally."""
    return "".join(LATEX.get(sign, sign) for sign in text)
