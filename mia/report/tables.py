"""The tables of a study: numbers as text, and what they are sorted by; LaTeX, Markdown and CSV.

Takes a study, gives frames and text. The best of a column are marked: the highest utility, the lowest leakage. Nothing
that comes from a config, a file's name or a class runs as a formula in a spreadsheet or as a command in LaTeX.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mia.attacks import attack_words
from mia.metrics.words import METRICS, Metric, metric_of
from mia.records import StoredRun
from mia.report.frame import ADAPTIVE, SIZE, Row, Study, key_words, size_words, sort_key, value_words
from mia.report.statistics import Estimate

if TYPE_CHECKING:
    import pandas as pd

CsvCell = str | int | float
DIGITS = 3
"""What a formula begins with, in one office program or another."""


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and by what it is sorted."""

    text: str
    order: Any = math.nan
    is_best: bool = False
    interval: str = ""


@dataclass(frozen=True)
class Table:
    """Columns of cells, one row for each of `rows`; the first `num_keys` columns say which setting it is."""

    columns: Mapping[str, Sequence[Cell]]
    rows: tuple[int, ...]
    num_keys: int
    settings: Sequence[str] = field(default=())  # the whole setting of each row, in words

    def page_columns(self) -> dict[str, list[tuple[Cell, int]]]:
        """Return the columns of a page, each cell with its place in the order of its column; unknown ones are last.

        The first is the whole setting, where there is one: it stays in sight while the others scroll.
        """
        shown = dict(self.columns)
        if self.settings:
            words = [Cell(text, k) for k, text in enumerate(self.settings)]
            rest = list(self.columns.items())[self.num_keys - 1 :]
            shown = {"setting": words} | dict(rest)
        return {name: list(zip(cells, _places(cells), strict=True)) for name, cells in shown.items()}

    def frame(self, text: Callable[[Cell], str] = lambda cell: cell.text) -> "pd.DataFrame":
        """Return the cells as text."""
        import pandas as pd

        return pd.DataFrame(
            {name: [text(cell) for cell in cells] for name, cells in self.columns.items()}, dtype=object
        )


def _places(cells: Sequence[Cell]) -> list[int]:
    """Return the place of each cell in the order of its column; equal ones share it, unknown ones are last."""
    known = [cell.order for cell in cells if cell.order == cell.order]
    places = {value: place for place, value in enumerate(sorted(dict.fromkeys(known)))}
    return [places.get(cell.order, len(places)) for cell in cells]


def summary_table(study: Study, attack: str | None = None) -> Table:
    """Return utility and the leakage under one attack (by default the foremost) of every row."""
    chosen = attack or (study.attacks[0] if study.attacks else "")
    names = {
        contract_name(one, chosen): one.words for one in METRICS if one.is_main and (chosen or one.kind != "leakage")
    }
    return _table(study, {name: words for name, words in names.items() if _is_known(study, name)})


def attack_table(study: Study, metric: str = "auc") -> Table:
    """Return one metric of every attack for every row."""
    names = {f"attack/{attack}/{metric}": attack_words(attack) for attack in study.attacks}
    return _table(study, {name: words for name, words in names.items() if _is_known(study, name)})


def contract_name(metric: Metric, attack: str) -> str:
    """Return a metric's name in the store."""
    return metric.name if "/" in metric.name else f"attack/{attack}/{metric.name}"


def _is_known(study: Study, metric: str) -> bool:
    return any(study.estimate(k, metric).is_known for k in study.finished)


def _table(study: Study, metrics: Mapping[str, str]) -> Table:
    rows = tuple(range(len(study.rows)))
    keys = key_columns(study, rows)
    columns = keys | {"runs": [_runs_cell(row) for row in study.rows]}
    for metric, words in metrics.items():
        best = _best(study, metric)
        columns[words] = [estimate_cell(study.estimate(k, metric), is_best=k in best) for k in rows]
    return Table(columns, rows, len(keys) + 1, [study.words(row) for row in study.rows])


def key_columns(study: Study, rows: Sequence[int]) -> dict[str, list[Cell]]:
    """Return the columns that name settings: the axes, the defence and what the attacker knows."""
    shown = [study.rows[k] for k in rows]
    columns = {key_words(key): [_key_cell(row, key) for row in shown] for key in study.axes}
    if study.has_defences:
        columns["defence"] = [Cell(f"{row.defence} {row.strength}".strip(), (row.defence, row.order)) for row in shown]
    if study.has_both:
        columns["attacker"] = [Cell(row.who, row.who) for row in shown]
    return columns


def _key_cell(row: Row, key: str) -> Cell:
    if key == SIZE:
        return Cell(size_words(row.size), sort_key(row.size))
    value = row.values.get(key)
    return Cell(value_words(value), sort_key(value))


def _runs_cell(row: Row) -> Cell:
    missing = len(row.unfinished)
    text = f"{len(row.runs)} of {len(row.runs) + missing}" if missing else str(len(row.runs))
    return Cell(text, len(row.runs))


def estimate_cell(estimate: Estimate, *, is_best: bool = False) -> Cell:
    """Return a result with its 95% interval; over seeds a mean with the deviation of one, and the mean's interval."""
    text = number_text(estimate.value)
    if math.isfinite(estimate.deviation):
        text += f" ± {number_text(estimate.deviation)}"
    has_interval = estimate.low < estimate.high
    interval = f"{number_text(estimate.low)}-{number_text(estimate.high)}" if has_interval else ""
    return Cell(text, estimate.value, is_best, interval)


def number_text(value: float, digits: int = DIGITS) -> str:
    """Return a result rounded to `digits`; a dash where there is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _best(study: Study, metric: str) -> set[int]:
    """Return the rows that are the best of a column.

    Defences are compared on the same data, against attackers who know them where there are such. Nothing is best where
    there is nothing to compare, or where better and worse mean nothing.
    """
    about = metric_of(metric)
    if about is None or about.worse == 0:
        return set()
    groups: dict[str, list[tuple[int, float]]] = {}
    for k in study.finished:
        if study.estimate(k, metric).is_known:
            place = study.place(study.rows[k]) if study.has_defences else ""
            groups.setdefault(place, []).append((k, round(study.estimate(k, metric).value, DIGITS)))
    best: set[int] = set()
    for group in groups.values():
        fair = [one for one in group if study.rows[one[0]].is_known] or group
        values = {value for _, value in fair}
        if len(values) > 1:
            wanted = min(values) if about.worse > 0 else max(values)
            best |= {k for k, value in fair if value == wanted}
    return best


def caption(study: Study) -> str:
    """Return what the numbers of the tables are."""
    has_seeds = any(len(study.rows[k].runs) > 1 for k in study.finished)
    spread = (
        "Means over seeds ± the standard deviation between them; below, the 95% interval of the mean (Student's), or of "
        "a single run" if has_seeds else "One run per setting, with 95% intervals"
    )  # fmt: skip
    place = " on the same data" if study.has_defences else ""
    attacker = " (against an attacker who knows the defence)" if study.has_both else ""
    return f"{spread}. Best{place} in bold: highest test accuracy, lowest leakage{attacker}."


def failure_words(run: StoredRun) -> str:
    """Return what became of an unfinished run, and why, in one line."""
    reason = " ".join(run.tags.get("mia.error", "").split())
    status = {"FAILED": "failed", "KILLED": "was interrupted", "RUNNING": "is not finished"}.get(run.status, run.status)
    return f"{status}: {reason}" if reason else status


# --- LaTeX, Markdown --------------------------------------------------------------------------------------------------


def table_latex(table: Table) -> str:
    """Return a table as a LaTeX tabular for booktabs."""
    frame = table.frame()
    bold = table.frame(lambda cell: "textbf:--rwrap" if cell.is_best else "")
    styler = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    columns = "l" * table.num_keys + "r" * (len(frame.columns) - table.num_keys)
    text = styler.apply(lambda _: bold.to_numpy(), axis=None).to_latex(hrules=True, column_format=columns)
    return str(text).replace("±", r"$\pm$")


def table_markdown(table: Table) -> str:
    """Return a table as Markdown, the best in bold."""
    marks = ["---" if k < table.num_keys else "---:" for k in range(len(table.columns))]
    rows = [[plain(name) for name in table.columns], marks]
    rows += [[_markdown_cell(cell) for cell in row] for row in zip(*table.columns.values(), strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _markdown_cell(cell: Cell) -> str:
    text = f"**{plain(cell.text)}**" if cell.is_best else plain(cell.text)
    return f"{text} ({cell.interval})" if cell.interval else text


def plain(text: str) -> str:
    """Return text that Markdown takes literally, on one line."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


def summary_markdown(study: Study) -> str:
    """Return the summary as Markdown: the table, AUC of all attacks, what failed."""
    from mia.report.published import CAPTION, TITLE, published_table

    if not study.rows:
        return "No runs yet.\n"
    parts = []
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


# --- CSV --------------------------------------------------------------------------------------------------------------


def summary_rows(study: Study) -> list[dict[str, CsvCell]]:
    """Return a line per setting: means, ends of their intervals where seeds vary, deviations, number of runs."""
    from mia.report.published import published_cells

    lines: list[dict[str, CsvCell]] = []
    for k, row in enumerate(study.rows):
        line: dict[str, CsvCell] = {"setting": study.words(row)} | {key: _csv_value(row, key) for key in study.varying}
        line |= {"runs": len(row.runs), "unfinished": len(row.unfinished)}
        for metric in dict.fromkeys(name for run in row.runs for name in run.metrics):
            estimate = study.estimate(k, metric)
            if estimate.is_known:
                line[metric] = estimate.value
            if math.isfinite(estimate.deviation):
                line |= {f"{metric}_sd": estimate.deviation, f"{metric}_mean_low": estimate.low}
                line[f"{metric}_mean_high"] = estimate.high
        lines.append(line | published_cells(row))
    return lines


def run_rows(study: Study) -> list[dict[str, CsvCell]]:
    """Return a line per run, finished or not: what varied, every metric, published figures, how to repeat it."""
    from mia.report.published import published_cells

    found = [(run, row) for row in study.rows for run in (*row.runs, *row.repeats, *row.unfinished)]
    lines = []
    for run, row in sorted(found, key=lambda pair: pair[0].started):
        line: dict[str, CsvCell] = {"run": run.id, "name": run.name, "status": run.status}
        line |= {key: _csv_value(row, key) for key in study.varying} | {"seed": study.seeds[run.id]}
        line |= {name: run.metrics[name] for name in sorted(run.metrics)}
        line |= published_cells(row) if run.status == "FINISHED" else {}
        lines.append(line | {"error": run.tags.get("mia.error", ""), "command": run.tags.get("mia.command", "")})
    return lines


def _csv_value(row: Row, key: str) -> CsvCell:
    value = row.values.get(key, "")
    if key == ADAPTIVE and not row.is_defended:
        return ""
    return value if isinstance(value, str | int | float) else "" if value is None else str(value)


def difference_rows(study: Study, differences: Sequence[Any]) -> list[dict[str, CsvCell]]:
    """Return a line per paired difference, with the ends of its interval as computed."""
    return [
        {"setting": study.words(study.rows[d.row]), "attack": d.attack, "auc_difference": d.estimate.value,
         "auc_difference_low": d.estimate.low, "auc_difference_high": d.estimate.high,
         "auc_difference_sd": d.estimate.deviation if math.isfinite(d.estimate.deviation) else "",
         "seeds": d.estimate.count}
        for d in differences
    ]  # fmt: skip
