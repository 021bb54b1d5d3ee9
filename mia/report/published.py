"""Published figures beside ours: which of them a row of a study can be held against.

Takes a study and `assets/published.csv` (every number as its source prints it); gives a table and columns. A figure
belongs to a row with the same data, classes, size and shadow data, under the disjoint protocol and without a defence;
networks, epochs and the number of shadows may differ, so the last is shown.
"""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from mia.metrics.words import metric_words
from mia.report.frame import Row, Study
from mia.report.tables import Cell, Table, estimate_cell, key_columns

SHADOWS = "split.num_shadows"
UTILITY = ("target/train_accuracy", "target/test_accuracy")
LEAKAGE = ("accuracy", "precision", "recall")
TITLE = "Beside published figures"
CAPTION = "The sources' networks, services and draws of records are not ours; recall and precision are the attack's."
Place = tuple[str, float, float, str, float]  # data, classes, size, shadow data, noise


@dataclass(frozen=True)
class Published:
    """What a source reports of one experiment."""

    source: str
    key: str  # of the source, in names of columns
    attacks: tuple[str, ...]  # ours that do what the source did, the closest first
    place: Place
    figures: Mapping[str, str]  # as printed, by the names of SHADOWS, UTILITY and LEAKAGE

    def attack(self, study: Study, row: int) -> str:
        """Return the attack of ours that the figures stand beside, or an empty string."""
        known = (name for name in self.attacks if study.estimate(row, f"attack/{name}/precision").is_known)
        return next(known, "")


@cache
def published_figures() -> tuple[Published, ...]:
    """Return all figures that we know of."""
    text = (resources.files("mia.report") / "assets" / "published.csv").read_text(encoding="utf-8")
    return tuple(_published(line) for line in csv.DictReader(io.StringIO(text)))


def _published(line: Mapping[str, str]) -> Published:
    source = f"{line['source']} ({line['note']})" if line["note"] else line["source"]
    figures = {name: line[name] for name in (SHADOWS, *UTILITY, *LEAKAGE) if line[name]}
    return Published(source, line["key"], tuple(line["attacks"].split()), _place(line), figures)


def _place(values: Mapping[str, Any]) -> Place:
    """Return what a figure and a row must have in common; records without any noise are real ones."""
    kind = str(values.get("shadow_data.name") or "real")
    noise = float(values.get("shadow_data.noise") or 0.0) if kind == "noisy" else 0.0
    if kind == "noisy" and noise == 0:
        kind = "real"
    classes, size = (float(values.get(key) or 0.0) for key in ("data.classes", "split.size"))
    return str(values.get("data.name", "")), classes, size, kind, noise


def published_for(row: Row) -> list[Published]:
    """Return the published figures that a row can be held against."""
    if row.is_defended or row.values.get("split.protocol", "disjoint") != "disjoint":
        return []
    return [one for one in published_figures() if one.place == _place(row.values)]


def published_cells(row: Row) -> dict[str, float]:
    """Return the columns `published/<source>/<metric>` of a row; none where nothing is published."""
    found = published_for(row) if row.runs else []
    return {f"published/{one.key}/{name}": float(text) for one in found for name, text in one.figures.items()}


def published_table(study: Study) -> Table | None:
    """Return a line for each row and source, what is published beside what came out here; None if nothing is."""
    found = [(k, one) for k in study.finished for one in published_for(study.rows[k])]
    if not found:
        return None
    rows = tuple(k for k, _ in found)
    keys = key_columns(study, rows) | {"source": [Cell(one.source, one.source) for _, one in found]}
    columns = dict(keys)
    for name in (SHADOWS, *UTILITY, *LEAKAGE):
        if any(name in one.figures for _, one in found):
            words = "shadows" if name == SHADOWS else metric_words(name)
            columns[f"{words}, published"] = [_theirs(one.figures.get(name, "")) for _, one in found]
            columns[f"{words}, here"] = [_ours(study, k, one, name) for k, one in found]
    columns["attack here"] = [Cell(one.attack(study, k) or "-", one.attack(study, k)) for k, one in found]
    return Table(columns, rows, len(keys))


def _theirs(text: str) -> Cell:
    """Return a figure with as many digits as its source gives, and a zero before the point."""
    return Cell(f"0{text}" if text.startswith(".") else text or "-", float(text) if text else math.nan)


def _ours(study: Study, row: int, one: Published, name: str) -> Cell:
    if name == SHADOWS:
        count = study.rows[row].values.get(name, math.nan)
        return Cell(str(count), float(count))
    return estimate_cell(study.estimate(row, name if name in UTILITY else f"attack/{one.attack(study, row)}/{name}"))
