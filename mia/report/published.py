"""Published figures beside ours: which of them a row of a study can be held against.

Takes a study and `assets/published.csv` (every number as its source prints it); gives a table and columns. A figure
belongs to a row with the same data, classes, size and shadow data, under the disjoint protocol and without a defence;
networks, epochs and the number of shadows may differ, so the last is shown.
"""

import math
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mia.metrics.words import metric_words
from mia.report.study import Row, Study
from mia.report.tables import Cell, Table, estimate_cell, key_columns
from mia.tables import Cell as CsvCell
from mia.tables import read_rows

SHADOWS, UTILITY = "split.num_shadows", ("target/train_accuracy", "target/test_accuracy")
FIGURES = (SHADOWS, *UTILITY, "accuracy", "precision", "recall")
TITLE = "Beside published figures"
CAPTION = "The sources' networks, services and draws of records are not ours; recall and precision are the attack's."
Line = Mapping[str, str]


@cache
def published_figures() -> list[dict[str, str]]:
    """Return all figures that we know of, as printed: a line per experiment of a source."""
    with resources.as_file(resources.files("mia.report") / "assets" / "published.csv") as path:
        return read_rows(Path(path))


def _place(values: Mapping[str, Any]) -> tuple[str, float, float, str, float]:
    """Return what a figure and a row must have in common; records without any noise are real ones."""
    kind = str(values.get("shadow_data.name") or "real")
    noise = float(values.get("shadow_data.noise") or 0.0) if kind == "noisy" else 0.0
    classes, size = (float(values.get(key) or 0.0) for key in ("data.classes", "split.size"))
    return str(values.get("data.name", "")), classes, size, "real" if kind == "noisy" and not noise else kind, noise


def published_for(row: Row) -> list[dict[str, str]]:
    """Return the published figures that a row can be held against."""
    if not row.runs or row.is_defended or row.values.get("split.protocol", "disjoint") != "disjoint":
        return []
    return [line for line in published_figures() if _place(line) == _place(row.values)]


def published_cells(row: Row) -> dict[str, CsvCell]:
    """Return the columns `published/<source>/<metric>` of a row; none where nothing is published."""
    return {
        f"published/{line['key']}/{name}": float(line[name])
        for line in published_for(row)
        for name in FIGURES
        if line[name]
    }


def published_table(study: Study) -> Table | None:
    """Return a line for each row and source, what is published beside what came out here; None if nothing is."""
    found = [(k, line) for k in study.finished for line in published_for(study.rows[k])]
    if not found:
        return None
    attacks = [_attack(study, k, line) for k, line in found]
    names = [f"{line['source']} ({line['note']})" if line["note"] else line["source"] for _, line in found]
    columns = key_columns(study, [k for k, _ in found]) | {"source": [Cell(name, name) for name in names]}
    num_keys = len(columns)
    for name in FIGURES:
        if any(line[name] for _, line in found):
            words = "shadows" if name == SHADOWS else metric_words(name)
            columns[f"{words}, published"] = [_theirs(line[name]) for _, line in found]
            columns[f"{words}, here"] = [_ours(study, k, a, name) for (k, _), a in zip(found, attacks, strict=True)]
    return Table(columns | {"attack here": [Cell(attack or "-", attack) for attack in attacks]}, num_keys)


def _attack(study: Study, row: int, line: Line) -> str:
    """Return the attack of ours that does what the source did, the closest that ran; or nothing."""
    known = (name for name in line["attacks"].split() if study.estimate(row, f"attack/{name}/precision").is_known)
    return next(known, "")


def _theirs(text: str) -> Cell:
    """Return a figure with as many digits as its source gives, and a zero before the point."""
    return Cell(f"0{text}" if text.startswith(".") else text or "-", float(text) if text else math.nan)


def _ours(study: Study, row: int, attack: str, name: str) -> Cell:
    if name == SHADOWS:
        count = study.rows[row].values.get(name, math.nan)
        return Cell(str(count), float(count))  # type: ignore[arg-type]
    return estimate_cell(study.estimate(row, name if name in UTILITY else f"attack/{attack}/{name}"))
