"""The table of a sweep: one row per setting, before it is written as Markdown, LaTeX or HTML.

Takes a sweep, gives headings and cells. The best of a column are marked: the highest utility, the lowest leakage.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mia.records import StoredRun
from mia.report.defence import is_defence_key
from mia.report.lines import grouped
from mia.report.settings import ADAPTIVE, SIZE, Estimate, Setting, Sweep
from mia.report.words import as_value_words, key_words, metric_words, number_words, spread_words, value_words

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
    interval: str = ""  # of a single run


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
    return _table(sweep, [metric for metric in wanted if _is_known(sweep, metric)], _heading)


def attack_table(sweep: Sweep, metric: str = "auc") -> Table:
    """Return one metric of every attack for every setting."""
    wanted = [f"attack/{name}/{metric}" for name in sweep.attacks]
    return _table(sweep, [name for name in wanted if _is_known(sweep, name)], lambda name: name.split("/")[1])


def failure_words(run: StoredRun) -> str:
    """Return what became of an unfinished run, and why, in one line."""
    reason = " ".join(run.tags.get("mia.error", "").split())
    status = {"FAILED": "failed", "KILLED": "was interrupted", "RUNNING": "is not finished"}.get(run.status, run.status)
    return f"{status}: {reason}" if reason else status


def _heading(metric: str) -> str:
    """Return a metric in words; an accuracy says whose it is."""
    return "attack accuracy" if metric.startswith("attack/") and metric.endswith("/accuracy") else metric_words(metric)


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
            text = ("adaptive" if setting.is_adaptive else "non-adaptive") if setting.knowledge_matters else "any"
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
    text = f"{len(setting.runs)} of {len(setting.runs) + missing}" if missing else str(len(setting.runs))
    return Cell(text, float(len(setting.runs)))


def _metric_cells(settings: Sequence[Setting], metric: str) -> list[Cell]:
    estimates = [setting.estimate(metric) for setting in settings]
    best = _best(settings, metric)
    return [estimate_cell(e, is_best=position in best) for position, e in enumerate(estimates)]


def estimate_cell(estimate: Estimate, *, is_best: bool = False) -> Cell:
    """Return a result with its deviation over seeds, or the 95% interval of a single run."""
    text = spread_words(estimate.value, estimate.deviation, DIGITS)
    return Cell(text, estimate.value, is_best, _interval_words(estimate))


def _interval_words(estimate: Estimate) -> str:
    """Return the 95% interval of a single run; means over seeds have their deviation."""
    if estimate.count != 1 or not estimate.low < estimate.high:
        return ""
    return f"{value_words(estimate.low, DIGITS)}-{value_words(estimate.high, DIGITS)}"


def _best(settings: Sequence[Setting], metric: str) -> set[int]:
    """Return the positions of the best of a column.

    Defences are compared on the same data, against attackers who know them where there are such. Nothing is best where
    there is nothing to compare, or where better and worse mean nothing.
    """
    if metric == "target/train_accuracy":
        return set()
    has_defences = any(s.defence.name for s in settings)
    shown = [
        (k, s, round(s.estimate(metric).value, DIGITS)) for k, s in enumerate(settings) if s.estimate(metric).is_known
    ]
    best = set()
    for group in grouped(shown, lambda one: one[1].place if has_defences else "").values():
        fair = [one for one in group if one[1].is_adaptive] or group
        values = {value for *_, value in fair}
        if len(values) > 1:
            wanted = max(values) if metric in HIGHEST_IS_BEST else min(values)
            best |= {position for position, _, value in fair if value == wanted}
    return best
