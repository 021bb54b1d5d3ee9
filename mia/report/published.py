"""Published figures beside ours: which of them a row of a study can be held against.

Takes rows and `assets/published.csv` (every number as its source prints it); gives its lines, and columns. A figure
belongs to a row with the same data, classes, size and shadow data, under the disjoint protocol and without a defence;
networks, epochs and the number of shadows may differ, so the last is shown.
"""

import csv
from collections.abc import Mapping
from functools import cache
from typing import Any

from mia.report.look import asset
from mia.study.study import Row
from mia.tables import Cell as CsvCell

SHADOWS = "split.num_shadows"
FIGURES = (SHADOWS, "target/train_accuracy", "target/test_accuracy", "accuracy", "precision", "recall")


@cache
def published_figures() -> list[dict[str, str]]:
    """Return all figures that we know of, as printed: a line per experiment of a source."""
    return list(csv.DictReader(asset("published.csv").splitlines()))


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
