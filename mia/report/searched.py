"""What a search found: its front as found and as fresh seeds confirm it, which keys mattered, and all trials by key.

Takes what the sweeper stored with a sweep's run (`front.csv`, `importance.csv`) and a study; gives tables and frames.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mia.metrics.words import metric_words
from mia.records import StoredRun
from mia.report.tables import Cell, Table, number_text
from mia.stored_result import Fetch
from mia.study.study import ADAPTIVE, UTILITY, framed, is_number, key_words, value_words
from mia.tables import number, read_rows

if TYPE_CHECKING:
    from mia.report.evidence import Evidence

FEWEST_KEYS, FEWEST_TRIALS = 3, 8  # from which on all trials are drawn across their keys
FOUND = "found "  # before the name of a metric: as the search measured it
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Searched:
    """What sweeps are, beside their runs."""

    runs: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by the sweep's name
    front: Rows = ()
    importance: Rows = ()

    @property
    def goals(self) -> list[str]:
        """The metrics that the search was for."""
        return [name.removeprefix(FOUND) for name in (self.front[0] if self.front else ()) if name.startswith(FOUND)]


def read_searched(sweeps: Mapping[str, tuple[StoredRun, Sequence[StoredRun]]], fetch: Fetch) -> Searched:
    """Return what is stored of sweeps, given the run of each and its children, by name."""
    front, importance = (
        [row for sweep, _ in sweeps.values() for row in read_rows(fetch(sweep, name))]
        for name in ("front.csv", "importance.csv")
    )
    runs = {name: frozenset(run.id for run in children) for name, (_, children) in sweeps.items()}
    return Searched(runs, front, importance)


def searched_tables(searched: Searched) -> list[tuple[str, Table]]:
    """Return the front, and the importance of each key, as far as there are any."""
    tables = [("front", searched.front), ("importance of each key", searched.importance)]
    return [(name, _table(rows)) for name, rows in tables if rows]


def _table(rows: Rows) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    keys = [name for name in names if not any("/" in word for word in name.split())]
    columns = {key_words(key): [Cell(text, number(text)) for text in _column(rows, key)] for key in keys}
    for name in [name for name in names if name not in keys]:
        kind, _, metric = name.rpartition(" ")
        values = [number(text) for text in _column(rows, name)]
        columns[f"{metric_words(metric)}{kind and f', {kind}'}"] = [Cell(number_text(one), one) for one in values]
    return Table(columns, len(keys))


def _column(rows: Rows, name: str) -> list[str]:
    return [row.get(name) or "" for row in rows]


@framed("point what u v text")
def confirmed(evidence: "Evidence") -> Iterable[Any]:
    """A line per point of the front, as found and as confirmed: `point`, `what`, `u` over `v`, `text`.

    For searches for two metrics, the first of which is the utility.
    """
    goals = evidence.searched.goals
    for k, row in enumerate(evidence.searched.front if len(goals) == 2 else (), 1):
        text = ", ".join(f"{key_words(key)} {value}" for key, value in row.items() if value and " " not in key)
        for what in ("found", "confirmed"):
            u, v = (number(row.get(f"{what} {name}")) for name in goals)
            if math.isfinite(u) and math.isfinite(v):
                yield k, what, u, v, text


@framed("s sweep")
def sweeps_of(evidence: "Evidence") -> Iterable[Any]:
    """A line per setting and sweep that it belongs to, where there are several sweeps: `s`, `sweep`."""
    study, sweeps = evidence.study, evidence.searched.runs
    for name, runs in sweeps.items() if len(sweeps) > 1 else ():
        yield from ((s, name) for s in study.finished if any(run.id in runs for run in study.rows[s].runs))


@framed("s key y text shade")
def trials(evidence: "Evidence") -> Iterable[Any]:
    """A line per setting and key, for parallel coordinates: `s`, `key`, `y` from 0 to 1, `text`; leakage as `shade`.

    Numbers lie where they are between the least and the most (by their logarithm, where they spread widely), words in
    their order; a key that does not count for a setting leaves a gap.
    """
    study, leakage = evidence.study, f"attack/{next(iter(evidence.study.attacks), '')}/auc"
    keys = [key for key in study.varying if key not in (ADAPTIVE, "seed")]
    if len(keys) < FEWEST_KEYS or len(study.finished) < FEWEST_TRIALS:
        return
    told = {metric_words(one): {s: study.estimate(s, one).value for s in study.finished} for one in (UTILITY, leakage)}
    tried: dict[str, dict[int, Any]] = {
        key_words(key): {s: study.rows[s].values.get(key) for s in study.finished} for key in keys
    }
    shades = _places(told[metric_words(leakage)])
    for name, values in (tried | told).items():
        words = number_text if name in told else value_words
        yield from ((s, name, y, words(values[s]), shades.get(s, 0.0)) for s, y in _places(values).items())


def _places(values: Mapping[int, Any]) -> dict[int, float]:
    known = {s: value for s, value in values.items() if value is not None and str(value) != "nan"}
    if not all(is_number(value) for value in known.values()):
        order = sorted({str(value) for value in known.values()})
        return {s: order.index(str(value)) / max(len(order) - 1, 1) for s, value in known.items()}
    above = [value for value in known.values() if value > 0]
    if min(known.values(), default=-1) >= 0 and above and max(above) / min(above) > 50:
        # Zero lies a step below the least that is none.
        known = {s: math.log10(value) if value > 0 else math.log10(min(above)) - 1 for s, value in known.items()}
    least, most = min(known.values(), default=0), max(known.values(), default=0)
    return {s: (value - least) / (most - least) if most > least else 0.5 for s, value in known.items()}
