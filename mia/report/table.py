"""The table of a sweep: one row per setting, before it is written as Markdown, LaTeX or HTML.

Takes a sweep, gives headings and cells. The best of a column are marked: the highest utility, the lowest leakage.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mia.records import StoredRun
from mia.report.defence import is_defence_key
from mia.report.settings import ADAPTIVE, SIZE, Setting, Sweep
from mia.report.words import as_value_words, key_words, metric_words, number_words, spread_words

UTILITY = ("target/train_accuracy", "target/test_accuracy")
LEAKAGE = ("accuracy", "precision", "recall", "auc", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")
EXTRA = ("privacy/epsilon",)
HIGHEST_IS_BEST = frozenset({"target/test_accuracy"})
DIGITS = 3


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, and by what it is sorted."""

    text: str
    value: float | str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """Headings and rows; `metrics` names what each column shows ("" for a column of the setting)."""

    headings: tuple[str, ...]
    metrics: tuple[str, ...]
    settings: tuple[Setting, ...]  # one per row
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def num_keys(self) -> int:
        """How many columns, from the left, name the setting."""
        return sum(not metric for metric in self.metrics)


def summary_table(sweep: Sweep, attack: str | None = None) -> Table:
    """Return utility and the leakage under one attack (by default the foremost) of every setting."""
    chosen = attack or (sweep.attacks[0] if sweep.attacks else "")
    wanted = [*UTILITY, *(f"attack/{chosen}/{metric}" for metric in LEAKAGE if chosen), *EXTRA]
    return _table(sweep, [metric for metric in wanted if _is_known(sweep, metric)], metric_words)


def attack_table(sweep: Sweep, metric: str = "auc") -> Table:
    """Return one metric of every attack for every setting."""
    wanted = [f"attack/{name}/{metric}" for name in sweep.attacks]
    return _table(sweep, [name for name in wanted if _is_known(sweep, name)], lambda name: name.split("/")[1])


def failure_words(run: StoredRun) -> str:
    """Return what became of an unfinished run, and why, in one line."""
    reason = " ".join(run.tags.get("mia.error", "").split())
    status = {"FAILED": "failed", "KILLED": "was interrupted", "RUNNING": "is not finished"}.get(run.status, run.status)
    return f"{status}: {reason}" if reason else status


def _is_known(sweep: Sweep, metric: str) -> bool:
    return any(setting.estimate(metric).is_known for setting in sweep.finished)


def _table(sweep: Sweep, metrics: Sequence[str], words: Callable[[str], str]) -> Table:
    keys = key_columns(sweep)
    columns = [_metric_cells(sweep.settings, metric) for metric in metrics]
    rows = tuple(
        (*key_cells(sweep, setting), _runs_cell(setting), *(column[position] for column in columns))
        for position, setting in enumerate(sweep.settings)
    )
    headings = (*keys, "runs", *(words(metric) for metric in metrics))
    return Table(headings, ("",) * (len(keys) + 1) + tuple(metrics), sweep.settings, rows)


def key_columns(sweep: Sweep) -> list[str]:
    """Return the headings of what names a setting: its axes, those of defences joined into one."""
    names: dict[str, None] = {}
    for axis in sweep.axes:
        names["defence" if is_defence_key(axis) else "attacker" if axis == ADAPTIVE else key_words(axis)] = None
    return list(names)


def key_cells(sweep: Sweep, setting: Setting) -> list[Cell]:
    """Return the cells below `key_columns`."""
    cells: dict[str, Cell] = {}
    for axis in sweep.axes:
        if is_defence_key(axis):
            cells["defence"] = Cell(
                setting.defence.words, f"{setting.defence.name} {_sortable(setting.defence.order[0])}"
            )
        elif axis == ADAPTIVE:
            text = "adaptive" if setting.values.get(ADAPTIVE, "").lower() == "true" else "non-adaptive"
            cells["attacker"] = Cell(text, text)
        elif axis == SIZE:
            cells[key_words(axis)] = Cell(number_words(setting.size), setting.size)
        else:
            cells[key_words(axis)] = Cell(*as_value_words(setting.values.get(axis, "")))
    return list(cells.values())


def _sortable(number: float) -> str:
    """Return a number as text that sorts like it."""
    return f"{number + 1e9:025.12f}" if math.isfinite(number) else ""


def _runs_cell(setting: Setting) -> Cell:
    missing = len(setting.unfinished)
    text = str(len(setting.runs)) + (f" ({missing} unfinished)" if missing else "")
    return Cell(text, float(len(setting.runs)))


def _metric_cells(settings: Sequence[Setting], metric: str) -> list[Cell]:
    estimates = [setting.estimate(metric) for setting in settings]
    texts = [spread_words(e.value, e.deviation, DIGITS) for e in estimates]
    best = _best(metric, [round(e.value, DIGITS) if e.is_known else math.nan for e in estimates])
    return [
        Cell(text, e.value, e.is_known and round(e.value, DIGITS) == best)
        for text, e in zip(texts, estimates, strict=True)
    ]


def _best(metric: str, values: Sequence[float]) -> float | None:
    """Return the best value of a column; None where there is nothing to compare, or better and worse mean nothing."""
    known = [value for value in values if math.isfinite(value)]
    if len(set(known)) < 2 or metric == "target/train_accuracy":
        return None
    return max(known) if metric in HIGHEST_IS_BEST else min(known)
