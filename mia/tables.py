"""A result as tables that people and spreadsheets open: records by exposure, and CSV text.

Takes a `Result`; gives rows. Draws nothing and stores nothing.
"""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mia.attacks import is_owners
from mia.metrics.over_seeds import overlap_rows
from mia.records import Result

Cell = str | int | float
FORMULA = ("=", "+", "-", "@", "|", "%")
ENSEMBLE = "ensemble"
DIGITS = 5
"""Significant digits of a score or a confidence: more would be noise, and a table is for people."""


def record_columns(result: Result) -> dict[str, list[Cell]]:
    """Return index, class, membership, confidence, score and rank under each attack; most exposed members first.

    The order is that of the attack with the highest AUC. Ranks count from 1, the most exposed; equal scores share the
    best rank. A number that could not be had is an empty cell.
    """
    attacks = attacks_by_auc(result)
    scores = {name: result.scores[name].score.astype(float) for name in attacks}
    ranks = {name: _ranks(score) for name, score in scores.items()}
    order = np.arange(len(result.index))
    if attacks:
        order = np.lexsort((ranks[attacks[0]], ~result.is_member))
    labels = result.labels[order].tolist()
    classes = {label: class_name(result, label) for label in set(labels)}
    columns: dict[str, list[Cell]] = {
        "index": result.index[order].tolist(),
        "label": labels,
        "class": [classes[label] for label in labels],
        "member": result.is_member[order].astype(int).tolist(),
        "confidence": _rounded(result.confidence[order]),
    }
    for name, score in scores.items():
        known = ~np.isnan(score[order])
        ranked = ranks[name][order].tolist()
        columns[f"{name}_score"] = _rounded(score[order])
        columns[f"{name}_rank"] = [rank if is_known else "" for rank, is_known in zip(ranked, known, strict=True)]
    return columns


def attacks_by_auc(result: Result) -> list[str]:
    """Return the attacks by falling AUC, those without one last; after them all what only the owner can do."""
    areas = {name: result.metrics.get(f"attack/{name}/auc", math.nan) for name in result.scores}
    return sorted(areas, key=lambda name: (is_owners(name), -areas[name] if math.isfinite(areas[name]) else 1.0))


def class_name(result: Result, label: int) -> str:
    """Return what a class is called."""
    return result.class_names[label] if label < len(result.class_names) else str(label)


def _rounded(values: Float[np.ndarray, "Q"]) -> list[Cell]:
    """Return numbers of `DIGITS` significant digits, and nothing for NaN."""
    return ["" if math.isnan(value) else float(f"{value:.{DIGITS}g}") for value in values.astype(float).tolist()]


def _ranks(score: Float[np.ndarray, "Q"]) -> Int[np.ndarray, "Q"]:
    """Return 1 + the number of records with a higher score; NaN ranks last."""
    known = np.where(np.isnan(score), -np.inf, score)
    rising = np.sort(known)
    return 1 + len(known) - np.searchsorted(rising, known, side="right")


def result_tables(result: Result) -> dict[str, str]:
    """Return the tables of a result as CSV, by file name: `growth.csv`, `slices.csv`, `overlap.csv` if any."""
    tables = {"records.csv": _csv_of(record_columns(result)), "per_class.csv": csv_text(result.per_class)}
    more = {"growth.csv": result.growth, "slices.csv": result.slices, "overlap.csv": overlap_of_attacks(result)}
    return tables | {name: csv_text(rows) for name, rows in more.items() if rows}


def overlap_of_attacks(result: Result) -> list[dict[str, str | float]]:
    """Return which attacker's attack finds whom at 1% of false positives, where there are two; an ensemble is none.

    It is made of the others: beside it, hardly a member would be found by one alone.
    """
    apart = {name: one.score for name, one in result.scores.items() if not is_owners(name) and name != ENSEMBLE}
    return overlap_rows(apart, result.is_member) if len(apart) > 1 and result.is_member.any() else []


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a header, columns in the order they first appear; text that is a formula is quoted."""
    names = dict.fromkeys(key for row in rows for key in row)
    return _csv_of({name: [row.get(name, "") for row in rows] for name in names})


def _csv_of(columns: Mapping[str, Sequence[Cell]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in columns])
    writer.writerows(zip(*(_safe(cells) for cells in columns.values()), strict=True))
    return buffer.getvalue()


def _safe(cells: Sequence[Cell]) -> Sequence[Cell]:
    """Return the cells of a column, each safe; each text is looked at once."""
    safe = {cell: safe_cell(cell) for cell in {cell for cell in cells if isinstance(cell, str)}}
    return [safe[cell] if isinstance(cell, str) else cell for cell in cells] if safe else cells


def safe_cell(value: Cell) -> Cell:
    """Return a cell that no spreadsheet runs: text that begins like a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    text = value.replace("\0", "").replace("\r", " ")
    is_number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text)
    return f"'{text}" if text.lstrip()[:1] in FORMULA and not is_number else text


def read_rows(path: Path | None) -> list[dict[str, str]]:
    """Return the lines of a CSV file; none where there is no file, or where it cannot be read."""
    if path is None:
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []


def number(cell: object) -> float:
    """Return a cell as a number; NaN for what is none."""
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
