"""Published figures beside ours: which of them a setting of a sweep can be held against.

Takes stored runs and `assets/published.csv` (every number as its source prints it); gives the figures of a setting, and
a table. A figure belongs to a run with the same data, classes, size and shadow data, under the disjoint protocol and
without a defence; networks, epochs and the number of shadows may differ, so the last is shown.
"""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib import resources
from typing import Any

from mia.records import StoredRun
from mia.report.axes import as_number, is_off
from mia.report.defence import is_defence_key
from mia.report.settings import Setting, Sweep
from mia.report.table import Cell, Table, estimate_cell, key_cells, key_columns
from mia.report.words import metric_words
from mia.train.options import TrainOptions

SHADOWS = "split.num_shadows"
UTILITY = ("target/train_accuracy", "target/test_accuracy")
LEAKAGE = ("accuracy", "precision", "recall")
TITLE = "Beside published figures"
CAPTION = "The sources' networks, services and draws of records are not ours; recall and precision are the attack's."


@dataclass(frozen=True)
class Published:
    """What a source reports of one experiment."""

    source: str
    key: str  # of the source, in names of columns
    attacks: tuple[str, ...]  # ours that do what the source did, the closest first
    place: tuple[str, float, float, str, float]  # data, classes, size, shadow data, noise: see `_place`
    figures: Mapping[str, str]  # as printed, by the names of SHADOWS, UTILITY and LEAKAGE

    def attack(self, setting: Setting) -> str:
        """Return the attack of ours that the figures stand beside, or an empty string."""
        return next((name for name in self.attacks if setting.estimate(f"attack/{name}/precision").is_known), "")


@cache
def published_figures() -> tuple[Published, ...]:
    """Return all figures that we know of."""
    text = (resources.files("mia.report") / "assets" / "published.csv").read_text(encoding="utf-8")
    return tuple(_published(row) for row in csv.DictReader(io.StringIO(text)))


def _published(row: Mapping[str, str]) -> Published:
    source = f"{row['source']} ({row['note']})" if row["note"] else row["source"]
    figures = {name: row[name] for name in (SHADOWS, *UTILITY, *LEAKAGE) if row[name]}
    return Published(source, row["key"], tuple(row["attacks"].split()), _place(row), figures)


def _place(params: Mapping[str, str]) -> tuple[str, float, float, str, float]:
    """Return what a figure and a run must have in common; records without any noise are real ones."""
    kind = params.get("shadow_data.name", "real")
    noise = (as_number(params.get("shadow_data.noise")) or 0.0) if kind == "noisy" else 0.0
    if kind == "noisy" and noise == 0:
        kind = "real"
    classes, size = (as_number(params.get(key)) or 0.0 for key in ("data.classes", "split.size"))
    return params.get("data.name", ""), classes, size, kind, noise


def published_for(run: StoredRun) -> list[Published]:
    """Return the published figures that a run can be held against."""
    params = run.params
    if _has_defence(params) or params.get("split.protocol", "disjoint") != "disjoint":
        return []
    return [one for one in published_figures() if one.place == _place(params)]


def _has_defence(params: Mapping[str, str]) -> bool:
    """Whether there is a defence on the output, or in training any option that is neither off nor at its default."""
    usual = _usual_training()
    strengths = [key for key in params if key.startswith("train.") and is_defence_key(key)]
    return not is_off(params.get("defence.name")) or any(
        not is_off(params[key]) and (as_number(params[key]) or params[key]) != usual.get(key) for key in strengths
    )


@cache
def _usual_training() -> dict[str, float | str]:
    """Return the defaults of training by flat key, as numbers where they are such."""
    flat: dict[str, float | str] = {}
    groups: list[tuple[str, Any]] = [("train", TrainOptions())]
    for prefix, options in groups:
        for one in fields(options):
            key, value = f"{prefix}.{one.name}", getattr(options, one.name)
            if is_dataclass(value):
                groups.append((key, value))
            else:
                flat[key] = as_number(str(value)) or str(value)
    return flat


def published_cells(run: StoredRun) -> dict[str, float]:
    """Return the columns `published/<source>/<metric>` of a run; none where nothing is published."""
    return {
        f"published/{one.key}/{name}": float(text) for one in published_for(run) for name, text in one.figures.items()
    }


def published_table(sweep: Sweep) -> Table | None:
    """Return a row for each setting and source, what is published beside what came out here; None if nothing is."""
    found = [(setting, one) for setting in sweep.finished for one in published_for(setting.runs[0])]
    if not found:
        return None
    shown = [name for name in (SHADOWS, *UTILITY, *LEAKAGE) if any(name in one.figures for _, one in found)]
    rows = tuple(
        (
            *key_cells(sweep, setting),
            Cell(one.source, one.source),
            *(cell for name in shown for cell in _cells(setting, one, name)),
            Cell(one.attack(setting) or "-", one.attack(setting)),
        )
        for setting, one in found
    )
    words = ["shadows" if name == SHADOWS else _words(name) for name in shown]
    headings = [heading for word in words for heading in (f"{word}, published", "here")]
    keys = (*key_columns(sweep), "source")
    metrics = ("",) * len(keys) + tuple(name for name in shown for _ in range(2)) + ("attack",)
    return Table((*keys, *headings, "attack here"), metrics, tuple(setting for setting, _ in found), rows)


def _words(name: str) -> str:
    return "attack accuracy" if name == "accuracy" else metric_words(name)


def _cells(setting: Setting, one: Published, name: str) -> tuple[Cell, Cell]:
    """Return what the source says and what came out here."""
    text = one.figures.get(name, "")
    theirs = Cell(_printed(text) if text else "-", float(text) if text else math.nan)
    if name == SHADOWS:
        ours = setting.runs[0].params.get(name, "")
        return theirs, Cell(ours or "-", as_number(ours) or math.nan)
    metric = name if name in UTILITY else f"attack/{one.attack(setting)}/{name}"
    return theirs, estimate_cell(setting.estimate(metric))


def _printed(text: str) -> str:
    """Return a figure with as many digits as its source gives, and a zero before the point."""
    return f"0{text}" if text.startswith(".") else text
