"""The tables of a study: numbers as text, and what they are sorted by; LaTeX, Markdown and rows for CSV.

Takes a study, gives tables and text. The best of a column are marked: the highest utility, the lowest leakage. Nothing
that comes from a config, a file's name or a class runs as a command in LaTeX.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mia.attacks import attack_words
from mia.metrics.estimates import Estimate
from mia.metrics.words import METRICS, metric_of
from mia.records import StoredRun
from mia.report.study import ADAPTIVE, SIZE, Row, Study, key_words, size_words, sort_key, value_words
from mia.tables import Cell as CsvCell

DIGITS = 3


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and by what it is sorted."""

    text: str
    order: Any = math.nan
    is_best: bool = False
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """Columns of cells; the first `num_keys` columns say which setting a row is."""

    columns: Mapping[str, Sequence[Cell]]
    num_keys: int
    settings: Sequence[str] = ()  # the whole setting of each row, in words

    def page_columns(self) -> dict[str, list[tuple[Cell, int]]]:
        """Return the columns of a page, each cell with its place in the order of its column; unknown ones are last.

        The first is the whole setting, where there is one: it stays in sight while the others scroll.
        """
        shown = dict(self.columns)
        if self.settings:
            words = [Cell(text, k) for k, text in enumerate(self.settings)]
            shown = {"setting": words, **dict(list(shown.items())[self.num_keys - 1 :])}
        found = {}
        for name, cells in shown.items():
            known = sorted({cell.order for cell in cells if cell.order == cell.order})
            places = {value: place for place, value in enumerate(known)}
            found[name] = [(cell, places.get(cell.order, len(places))) for cell in cells]
        return found


def summary_table(study: Study, attack: str = "") -> Table:
    """Return utility and the leakage under one attack (by default the foremost) of every row."""
    chosen = attack or next(iter(study.attacks), "")
    names = {
        one.name if "/" in one.name else f"attack/{chosen}/{one.name}": one.words for one in METRICS if one.is_main
    }
    return _table(study, names)


def attack_table(study: Study, metric: str = "auc") -> Table:
    """Return one metric of every attack for every row."""
    return _table(study, {f"attack/{attack}/{metric}": attack_words(attack) for attack in study.attacks})


def _table(study: Study, metrics: Mapping[str, str]) -> Table:
    rows = range(len(study.rows))
    columns = key_columns(study, rows)
    columns["runs"] = [_runs_cell(row) for row in study.rows]
    num_keys = len(columns)
    for metric, words in metrics.items():
        if any(study.estimate(k, metric).is_known for k in rows):
            best = _best(study, metric)
            columns[words] = [estimate_cell(study.estimate(k, metric), is_best=k in best) for k in rows]
    return Table(columns, num_keys, [study.words(row) for row in study.rows])


def exposed_table(study: Study, listed: Sequence[tuple[int, str]]) -> Table:
    """Return how many members each attack exposes at each setting, given a setting and an attack for each of them."""
    columns = key_columns(study, study.finished)
    num_keys = len(columns)
    for attack in [name for name in study.attacks if any(name == one for _, one in listed)]:
        counts = [listed.count((k, attack)) for k in study.finished]
        columns[attack_words(attack)] = [Cell(f"{count:,}", count) for count in counts]
    return Table(columns, num_keys, [study.words(study.rows[k]) for k in study.finished])


def exposed_rows(study: Study, lines: Sequence[Sequence[Any]]) -> list[dict[str, CsvCell]]:
    """Return a line per exposed member: setting, attack, record, p- and q-value, and how many seeds asked about it."""
    names = ("attack", "record", "p_value", "q_value", "seeds")
    return [{"setting": study.words(study.rows[s]), **dict(zip(names, line, strict=True))} for s, *line in lines]


def key_columns(study: Study, rows: Sequence[int]) -> dict[str, list[Cell]]:
    """Return the columns that name settings: the axes, the defence and what the attacker knows."""
    shown = [study.rows[k] for k in rows]
    columns = {}
    for key in study.axes:
        values = [row.size if key == SIZE else row.values.get(key) for row in shown]
        columns[key_words(key)] = [Cell(size_words(v) if key == SIZE else value_words(v), sort_key(v)) for v in values]  # type: ignore[arg-type]
    if study.has_defences:
        columns["defence"] = [Cell(row.words, (row.defence, row.order)) for row in shown]
    if study.has_both:
        columns["attacker"] = [Cell(row.who, row.who) for row in shown]
    return columns


def _runs_cell(row: Row) -> Cell:
    missing = f" of {len(row.runs) + len(row.unfinished)}" if row.unfinished else ""
    return Cell(f"{len(row.runs)}{missing}", len(row.runs))


def estimate_cell(estimate: Estimate, *, is_best: bool = False) -> Cell:
    """Return a result with its 95% interval; over seeds a mean with the deviation of one, and the mean's interval."""
    spread = f" ± {number_text(estimate.deviation)}" if math.isfinite(estimate.deviation) else ""
    to = "-" if estimate.low >= 0 else " to "
    interval = f"{number_text(estimate.low)}{to}{number_text(estimate.high)}" if estimate.low < estimate.high else ""
    return Cell(number_text(estimate.value) + spread, estimate.value, is_best, interval)


def number_text(value: float) -> str:
    """Return a rounded result; a dash where there is none."""
    return f"{round(value, DIGITS) + 0.0:.{DIGITS}f}" if math.isfinite(value) else "-"  # never -0.000


def _best(study: Study, metric: str) -> set[int]:
    """Return the rows that are the best of a column.

    Defences are compared on the same data, against attackers who know them where there are such. Nothing is best where
    there is nothing to compare, or where better and worse mean nothing.
    """
    about = metric_of(metric)
    groups: dict[str, list[tuple[int, float]]] = {}
    for k in study.finished if about and about.worse else ():
        if study.estimate(k, metric).is_known:
            place = study.rows[k].place if study.has_defences else ""
            groups.setdefault(place, []).append((k, round(study.estimate(k, metric).value, DIGITS)))
    best: set[int] = set()
    for group in groups.values():
        fair = [one for one in group if study.rows[one[0]].is_known] or group
        values = sorted({value for _, value in fair}, reverse=bool(about and about.worse < 0))
        best |= {k for k, value in fair if value == values[0]} if len(values) > 1 else set()
    return best


def caption(study: Study) -> str:
    """Return what the numbers of the tables are."""
    spread = "One run per setting, with 95% intervals"
    if any(len(study.rows[k].runs) > 1 for k in study.finished):
        spread = (
            "Means over seeds ± the standard deviation between them; below, the 95% interval of the mean, or of a run"
        )
    place = " on the same data" if study.has_defences else ""
    attacker = " (against an attacker who knows the defence)" if study.has_both else ""
    return f"{spread}. Best{place} in bold: highest test accuracy, lowest leakage{attacker}."


def failure_words(run: StoredRun) -> str:
    """Return what became of an unfinished run, and why, in one line."""
    reason = " ".join(run.tags.get("mia.error", "").split())
    status = {"FAILED": "failed", "KILLED": "was interrupted", "RUNNING": "is not finished"}.get(run.status, run.status)
    return f"{status}: {reason}" if reason else status


def duration_words(seconds: float) -> str:
    """Return a duration in the largest unit that fits."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"


def table_latex(table: Table) -> str:
    """Return a table as a LaTeX tabular for booktabs."""
    import pandas as pd

    frame = pd.DataFrame({name: [cell.text for cell in cells] for name, cells in table.columns.items()}, dtype=object)
    bold = [["textbf:--rwrap" if cell.is_best else "" for cell in cells] for cells in table.columns.values()]
    marks = pd.DataFrame(dict(zip(frame, bold, strict=True)), dtype=object)
    styler = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    columns = "l" * table.num_keys + "r" * (len(frame.columns) - table.num_keys)
    text = styler.apply(lambda _: marks.to_numpy(), axis=None).to_latex(hrules=True, column_format=columns)
    return str(text).replace("±", r"$\pm$")


def table_markdown(table: Table) -> str:
    """Return a table as Markdown, the best in bold."""
    rows = [
        [plain(name) for name in table.columns],
        ["---" if k < table.num_keys else "---:" for k in range(len(table.columns))],
    ]
    for cells in zip(*table.columns.values(), strict=True):
        texts = [f"**{plain(cell.text)}**" if cell.is_best else plain(cell.text) for cell in cells]
        rows.append(
            [f"{text} ({cell.interval})" if cell.interval else text for text, cell in zip(texts, cells, strict=True)]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plain(text: str) -> str:
    """Return text that Markdown takes literally, on one line."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


def summary_markdown(study: Study) -> str:
    """Return the summary as Markdown: the table, published figures, AUC of all attacks, what failed."""
    from mia.report.published import CAPTION, TITLE, published_table

    parts = [] if study.rows else ["No runs yet."]
    if study.finished:
        attack = f" Leakage is that of `{study.attacks[0]}`." if study.attacks else ""
        parts.append(f"{caption(study)}{attack}\n\n{table_markdown(summary_table(study))}")
    if table := published_table(study):
        parts.append(f"{TITLE}. {CAPTION}\n\n{table_markdown(table)}")
    if len(study.attacks) > 1:
        parts.append(f"AUC of every attack:\n\n{table_markdown(attack_table(study))}")
    if study.unfinished:
        lines = "\n".join(f"- {plain(run.name)} {plain(failure_words(run))}" for run in study.unfinished)
        parts.append(f"Not finished:\n\n{lines}")
    return "\n\n".join(parts) + "\n"


# --- rows for CSV -----------------------------------------------------------------------------------------------------


def summary_rows(study: Study) -> list[dict[str, CsvCell]]:
    """Return a line per setting: means, ends of their intervals where seeds vary, deviations, number of runs."""
    from mia.report.published import published_cells

    lines: list[dict[str, CsvCell]] = []
    for k, row in enumerate(study.rows):
        line: dict[str, CsvCell] = {"setting": study.words(row), **_values(study, row)}
        line |= {"runs": len(row.runs), "unfinished": len(row.unfinished)}
        for metric in dict.fromkeys(name for run in row.runs for name in run.metrics):
            e = study.estimate(k, metric)
            spread = {"_sd": e.deviation, "_mean_low": e.low, "_mean_high": e.high} if e.count > 1 else {}
            line |= {f"{metric}{end}": value for end, value in {"": e.value, **spread}.items()} if e.is_known else {}
        lines.append(line | published_cells(row))
    return lines


def run_rows(study: Study) -> list[dict[str, CsvCell]]:
    """Return a line per run, finished or not: what varied, every metric, published figures, how to repeat it."""
    from mia.report.published import published_cells

    found = [(run, row) for row in study.rows for run in (*row.runs, *row.repeats, *row.unfinished)]
    return [
        {"run": run.id, "name": run.name, "status": run.status, **_values(study, row), "seed": study.seeds[run.id],
         **{name: run.metrics[name] for name in sorted(run.metrics)},
         **(published_cells(row) if run.status == "FINISHED" else {}),
         "error": run.tags.get("mia.error", ""), "command": run.tags.get("mia.command", "")}
        for run, row in sorted(found, key=lambda pair: pair[0].started)
    ]  # fmt: skip


def _values(study: Study, row: Row) -> dict[str, CsvCell]:
    found = {key: row.values.get(key) for key in study.varying if key != ADAPTIVE or row.is_defended}
    return {key: v if isinstance(v, str | int | float) else "" if v is None else str(v) for key, v in found.items()}


def difference_rows(study: Study, differences: Sequence[Any]) -> list[dict[str, CsvCell]]:
    """Return a line per paired difference, with the ends of its interval as computed."""
    return [
        {"setting": study.words(study.rows[d.row]), "attack": d.attack, "auc_difference": d.estimate.value,
         "auc_difference_low": d.estimate.low, "auc_difference_high": d.estimate.high,
         "auc_difference_sd": d.estimate.deviation if math.isfinite(d.estimate.deviation) else "",
         "seeds": d.estimate.count}
        for d in differences
    ]  # fmt: skip
