"""What a search found: its front as found and as fresh seeds confirm it, which keys mattered, and all trials by key.

Takes what the sweeper stored with a sweep's run (`front.csv`, `importance.csv`) and a study; gives tables and frames.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mia.metrics.words import metric_words
from mia.records import StoredRun
from mia.report.sentences import UTILITY
from mia.report.study import ADAPTIVE, Fetch, Study, is_number, key_words, value_words
from mia.report.tables import Cell, Table, number_text
from mia.tables import number, read_rows

if TYPE_CHECKING:
    import pandas as pd

FEWEST_KEYS, FEWEST_TRIALS = 3, 8  # from which on all trials are drawn across their keys
Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Searched:
    """What sweeps are, beside their runs."""

    runs: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by the sweep's name
    front: Rows = ()
    importance: Rows = ()


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
    columns = {}
    names = list(dict.fromkeys(name for row in rows for name in row))
    keys = [name for name in names if not any("/" in word for word in name.split())]
    for name in [*keys, *(one for one in names if one not in keys)]:
        kind, _, metric = name.rpartition(" ")
        texts = [row.get(name) or "" for row in rows]
        words = key_words(name) if name in keys else f"{metric_words(metric)}{f', {kind}' if kind else ''}"
        columns[words] = [Cell(text, number(text)) if name in keys else Cell(number_text(number(text)), number(text))
                          for text in texts]  # fmt: skip
    return Table(columns, len(keys))


def confirmed(searched: Searched) -> "pd.DataFrame":
    """A line per point of the front, as found and as confirmed: `point`, `what`, `u` over `v`, `text`.

    For searches for two metrics, the first of which is the utility.
    """
    import pandas as pd

    names = [name.removeprefix("found ") for name in (searched.front[0] if searched.front else ()) if "found " in name]
    lines = []
    for k, row in enumerate(searched.front if len(names) == 2 else ()):
        keys = [f"{key_words(key)} {value}" for key, value in row.items() if value and " " not in key]
        for what in ("found", "confirmed"):
            u, v = (number(row.get(f"{what} {name}")) for name in names)
            if math.isfinite(u) and math.isfinite(v):
                lines.append((k + 1, what, u, v, ", ".join(keys)))
    return pd.DataFrame(lines, columns=["point", "what", "u", "v", "text"])


def sweeps_of(study: Study, searched: Searched) -> "pd.DataFrame":
    """A line per setting and sweep that it belongs to, where there are several sweeps: `s`, `sweep`."""
    import pandas as pd

    lines = [
        (s, name)
        for name, runs in (searched.runs if len(searched.runs) > 1 else {}).items()
        for s in study.finished
        if any(run.id in runs for run in study.rows[s].runs)
    ]
    return pd.DataFrame(lines, columns=["s", "sweep"])


def trials(study: Study) -> "pd.DataFrame":
    """A line per setting and key, for parallel coordinates: `s`, `key`, `y` from 0 to 1, `text`; leakage as `shade`.

    Numbers lie where they are between the least and the most (by their logarithm, where they spread widely), words in
    their order; a key that does not count for a setting leaves a gap.
    """
    import pandas as pd

    leakage = f"attack/{next(iter(study.attacks), '')}/auc"
    keys = [key for key in study.varying if key not in (ADAPTIVE, "seed")]
    metrics = (UTILITY, leakage)
    values: dict[str, dict[int, Any]] = {
        key_words(key): {s: study.rows[s].values.get(key) for s in study.finished} for key in keys
    }
    values |= {metric_words(one): {s: study.estimate(s, one).value for s in study.finished} for one in metrics}
    places = {name: _places(found) for name, found in values.items()}
    shades, told = places[metric_words(leakage)], {metric_words(one) for one in metrics}
    if len(keys) < FEWEST_KEYS or len(study.finished) < FEWEST_TRIALS:
        return pd.DataFrame(columns=["s", "key", "y", "text", "shade"])
    lines = [
        (s, name, y, (number_text if name in told else value_words)(values[name][s]), shades.get(s, 0.0))
        for name, found in places.items()
        for s, y in found.items()
    ]
    return pd.DataFrame(lines, columns=["s", "key", "y", "text", "shade"])


def _places(values: Mapping[int, Any]) -> dict[int, float]:
    known = {
        s: value
        for s, value in values.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
    if not all(is_number(value) for value in known.values()):
        order = sorted({str(value) for value in known.values()})
        return {s: order.index(str(value)) / max(len(order) - 1, 1) for s, value in known.items()}
    least, most = min(known.values(), default=0), max(known.values(), default=0)
    above = [value for value in known.values() if value > 0]
    if least >= 0 and above and most / min(above) > 50:  # zero lies a step below the least that is none
        known = {s: math.log10(value) if value > 0 else math.log10(min(above)) - 1 for s, value in known.items()}
        least, most = min(known.values()), max(known.values())
    return {s: (value - least) / (most - least) if most > least else 0.5 for s, value in known.items()}
