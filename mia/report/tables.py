"""The tables of a study: numbers as text, and what they are sorted by; LaTeX, Markdown and rows for CSV.

Takes a study, gives tables and text. The best of a column are marked: the highest utility, the lowest leakage. Nothing
that comes from a config, a file's name or a class runs as a command in LaTeX.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mia.attacks import attack_words
from mia.metrics.estimates import Estimate
from mia.metrics.words import METRICS, metric_of, metric_words
from mia.report.look import templates
from mia.report.published import FIGURES, SHADOWS, published_cells, published_for
from mia.study.sentences import failure_words
from mia.study.study import ADAPTIVE, Row, Study, key_words, sort_key, value_words
from mia.tables import Cell as CsvCell
from mia.tables import number

if TYPE_CHECKING:
    import pandas as pd

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


# --- cells ------------------------------------------------------------------------------------------------------------


def text_cells(texts: Iterable[Any]) -> list[Cell]:
    """Return words, sorted as such."""
    return [Cell(str(text), str(text)) for text in texts]


def estimate_cell(estimate: Estimate, *, is_best: bool = False) -> Cell:
    """Return a result with its 95% interval; over seeds a mean with the deviation of one, and the mean's interval."""
    spread = f" ± {number_text(estimate.deviation)}" if math.isfinite(estimate.deviation) else ""
    to = "-" if estimate.low >= 0 else " to "
    interval = f"{number_text(estimate.low)}{to}{number_text(estimate.high)}" if estimate.low < estimate.high else ""
    return Cell(number_text(estimate.value) + spread, estimate.value, is_best, interval)


def number_text(value: float) -> str:
    """Return a rounded result; a dash where there is none."""
    return f"{round(value, DIGITS) + 0.0:.{DIGITS}f}" if math.isfinite(value) else "-"  # never -0.000


# --- tables -----------------------------------------------------------------------------------------------------------


def summary_table(study: Study, attack: str = "") -> Table:
    """Return utility and the leakage under one attack (by default the foremost) of every row."""
    chosen, shown = attack or next(iter(study.attacks), ""), [one for one in METRICS if one.is_main]
    return _table(study, {one.name if "/" in one.name else f"attack/{chosen}/{one.name}": one.words for one in shown})


def attack_table(study: Study, metric: str = "auc") -> Table:
    """Return one metric of every attack for every row."""
    return _table(study, {f"attack/{attack}/{metric}": attack_words(attack) for attack in study.attacks})


def exposed_table(study: Study, listed: "pd.DataFrame") -> Table:
    """Return how many members each attack exposes at each setting, of those that are listed."""
    columns = key_columns(study, study.finished)
    num_keys, counts = len(columns), listed.groupby(["s", "a"]).size()
    for attack in [name for name in study.attacks if (listed["a"] == name).any()]:
        found = [int(counts.get((k, attack), 0)) for k in study.finished]
        columns[attack_words(attack)] = [Cell(f"{count:,}", count) for count in found]
    return Table(columns, num_keys, [study.words(study.rows[k]) for k in study.finished])


def published_table(study: Study) -> Table | None:
    """Return a line for each row and source, what is published beside what came out here; None if nothing is.

    Ours is the attack that does what the source did, the closest that ran.
    """
    found = [(k, line) for k in study.finished for line in published_for(study.rows[k])]
    if not found:
        return None
    tried = [(k, line["attacks"].split()) for k, line in found]
    attacks = [next((one for one in names if study.estimate(k, f"attack/{one}/precision").is_known), "")
               for k, names in tried]  # fmt: skip
    columns = key_columns(study, [k for k, _ in found])
    columns["source"] = text_cells(line["source"] + (line["note"] and f" ({line['note']})") for _, line in found)
    num_keys = len(columns)

    def ours(k: int, attack: str, name: str) -> Cell:
        if name == SHADOWS:
            return Cell(value_words(study.rows[k].values.get(name)), sort_key(study.rows[k].values.get(name)))
        return estimate_cell(study.estimate(k, name if "/" in name else f"attack/{attack}/{name}"))

    for name in [name for name in FIGURES if any(line[name] for _, line in found)]:
        words = "shadows" if name == SHADOWS else metric_words(name)
        theirs = [line[name] for _, line in found]  # with as many digits as the source gives
        columns[f"{words}, published"] = [
            Cell(f"0{text}" if text[:1] == "." else text or "-", number(text)) for text in theirs
        ]
        columns[f"{words}, here"] = [ours(k, a, name) for (k, _), a in zip(found, attacks, strict=True)]
    return Table(columns | {"attack here": [Cell(attack or "-", attack) for attack in attacks]}, num_keys)


def key_columns(study: Study, rows: Sequence[int]) -> dict[str, list[Cell]]:
    """Return the columns that name settings: the axes, the defence and what the attacker knows."""
    shown = [study.rows[k] for k in rows]
    columns = {key_words(key): [Cell(value_words(v), sort_key(v)) for v in (row.values.get(key) for row in shown)]
               for key in study.axes}  # fmt: skip
    if study.has_defences:
        columns["defence"] = [Cell(row.words, (row.defence, row.order)) for row in shown]
    return columns | ({"attacker": text_cells(row.who for row in shown)} if study.has_both else {})


def _table(study: Study, metrics: Mapping[str, str]) -> Table:
    columns = key_columns(study, range(len(study.rows)))
    missing = [f" of {len(row.runs) + len(row.unfinished)}" if row.unfinished else "" for row in study.rows]
    columns["runs"] = [Cell(f"{len(row.runs)}{of}", len(row.runs)) for row, of in zip(study.rows, missing, strict=True)]
    num_keys = len(columns)
    for metric, words in metrics.items():
        found, best = [study.estimate(k, metric) for k in range(len(study.rows))], _best(study, metric)
        if any(one.is_known for one in found):
            columns[words] = [estimate_cell(one, is_best=k in best) for k, one in enumerate(found)]
    return Table(columns, num_keys, [study.words(row) for row in study.rows])


def _best(study: Study, metric: str) -> set[int]:
    """Return the rows that are the best of a column.

    Defences are compared on the same data, against attackers who know them where there are such. Nothing is best where
    there is nothing to compare, or where better and worse mean nothing.
    """
    about = metric_of(metric)
    groups: dict[str, dict[int, float]] = {}
    for k in study.finished if about and about.worse else ():
        if study.estimate(k, metric).is_known:
            place = study.rows[k].place if study.has_defences else ""
            groups.setdefault(place, {})[k] = round(study.estimate(k, metric).value, DIGITS)
    best: set[int] = set()
    for group in groups.values():
        fair = {k: value for k, value in group.items() if study.rows[k].is_known} or group
        first = (max if about and about.worse < 0 else min)(fair.values())
        best |= {k for k, value in fair.items() if value == first} if len(set(fair.values())) > 1 else set()
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

    def text(cell: Cell) -> str:
        shown = f"**{plain(cell.text)}**" if cell.is_best else plain(cell.text)
        return f"{shown} ({cell.interval})" if cell.interval else shown

    rule = ["---" if k < table.num_keys else "---:" for k in range(len(table.columns))]
    rows = [map(plain, table.columns), rule, *(map(text, row) for row in zip(*table.columns.values(), strict=True))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plain(text: str) -> str:
    """Return text that Markdown takes literally, on one line."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))


def summary_markdown(study: Study) -> str:
    """Return the summary as Markdown: the table, published figures, AUC of all attacks, what failed."""
    parts = [] if study.rows else ["No runs yet."]
    if study.finished:
        attack = f" Leakage is that of `{study.attacks[0]}`." if study.attacks else ""
        parts.append(f"{caption(study)}{attack}\n\n{table_markdown(summary_table(study))}")
    if table := published_table(study):
        said = templates()["sections"]["sweep"]["published"]
        parts.append(f"{said['title']}. {said['note']}\n\n{table_markdown(table)}")
    if len(study.attacks) > 1:
        parts.append(f"AUC of every attack:\n\n{table_markdown(attack_table(study))}")
    if study.unfinished:
        lines = "\n".join(f"- {plain(run.name)} {plain(failure_words(run))}" for run in study.unfinished)
        parts.append(f"Not finished:\n\n{lines}")
    return "\n\n".join(parts) + "\n"


# --- rows for CSV -----------------------------------------------------------------------------------------------------


def summary_rows(study: Study) -> list[dict[str, CsvCell]]:
    """Return a line per setting: means, ends of their intervals where seeds vary, deviations, number of runs."""
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
    found = [(run, row) for row in study.rows for run in row.all_runs]
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


def difference_rows(study: Study, differences: Sequence[tuple[int, str, Estimate]]) -> list[dict[str, CsvCell]]:
    """Return a line per paired difference, with the ends of its interval as computed."""
    return [
        {"setting": study.words(study.rows[s]), "attack": attack, "auc_difference": e.value,
         "auc_difference_low": e.low, "auc_difference_high": e.high,
         "auc_difference_sd": e.deviation if math.isfinite(e.deviation) else "", "seeds": e.count}
        for s, attack, e in differences
    ]  # fmt: skip


def exposed_rows(study: Study, listed: "pd.DataFrame") -> list[dict[str, CsvCell]]:
    """Return a line per exposed member: setting, attack, record, p- and q-value, and how many seeds asked about it."""
    lines = listed.rename(columns={"a": "attack", "p": "p_value", "q": "q_value"}).to_dict("records")
    return [{"setting": study.words(study.rows[line.pop("s")]), **line} for line in lines]
