"""`mia runs`: the runs in the store, chosen, sorted, and as a table, CSV or JSON.

Reads the store alone, and a second or two for thousands of runs.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mia.checks import RequestError, did_you_mean, one_of
from mia.cli.arguments import as_text, only_overrides
from mia.cli.closing import close_the_dead
from mia.cli.finding import LARGEST_AUC, OWN, RESULTS, Values, largest_auc, own_values
from mia.cli.main import ALL_IS_WELL
from mia.composition import compose_config
from mia.config import RunsConfig, to_options
from mia.home import home
from mia.records import StoredRun

if TYPE_CHECKING:
    from rich.table import Table

    from mia.tracking.reading import Reader

TEXTS = ("sweep", "where", "sort", "columns")
SHOWN = ("id", "name", "status", "started", "target/test_accuracy", LARGEST_AUC)
FORMATS = ("table", "csv", "json")
NAME_WIDTH = 18
IN_A_TABLE = 20
"""Runs that a terminal shows unless it is asked for more."""


def command(arguments: list[str]) -> int:
    """Print the runs and return the exit code."""
    overrides = [as_text(one, TEXTS) for one in only_overrides(arguments, "runs")]
    config: RunsConfig = to_options(compose_config(overrides, "runs"), RunsConfig)
    one_of("format", config.format, FORMATS)
    if config.limit is not None and config.limit < 0:
        raise RequestError(f"limit={config.limit} must be 0 (all) or more")
    from mia.tracking import Reader

    reader = Reader.open(config.tracking, home())
    close_the_dead(reader, config.tracking)
    columns = [one.strip() for one in (config.columns or "").split(",") if one.strip()]
    limit = config.limit if config.limit is not None else IN_A_TABLE if config.format == "table" else 0
    found = chosen(reader, config, columns)
    runs = reader.whole(found[:limit] if limit else found)
    if config.format != "table":
        named = columns or everything(runs)
        rows = [row(run, named) for run in runs]
        print(_json(rows) if config.format == "json" else _csv(rows), end="")
        return ALL_IS_WELL
    from rich.console import Console

    Console().print(table(runs, columns or SHOWN))
    more = "" if len(runs) == len(found) else f"; limit={len(found)} shows all {len(found):,}"
    print(f"{len(runs):,} runs{more}")
    return ALL_IS_WELL


def chosen(reader: "Reader", config: RunsConfig, columns: Sequence[str]) -> list[StoredRun]:
    """Return the runs that fit, in order, with what was asked of them; the latest first unless they are to be sorted.

    Raises:
        RequestError: the filter, the order or a column asks for what no run has.
    """
    from mia.tracking.where import parse_where

    where = parse_where(config.where) if config.where else None
    key = (config.sort or "").removeprefix("-")
    asked = [("columns", name) for name in columns] + ([("sort", key)] if key else [])
    asked += [("where", name) for name in where.names] if where else []
    names = [name for _, name in asked if name not in OWN]
    runs = _candidates(reader, config.sweep, names)
    if runs and (missing := set(names) - {name for run in runs for name in (*run.params, *run.metrics)}):
        runs = _candidates(reader, config.sweep, [LARGEST_AUC])  # slower, and knows what was meant
        _refuse_unknown(runs, [(option, name) for option, name in asked if name in missing])
    if where:
        runs = [run for run in runs if where(Values(run))]
    return in_order(runs, key, is_falling=(config.sort or "").startswith("-")) if key else runs


def _candidates(reader: "Reader", sweep: str | None, names: Sequence[str]) -> list[StoredRun]:
    """Return the runs of a sweep, or all, latest first, with at least the values that are named."""
    if sweep:
        from mia.cli.report import find_sweep

        return sorted(reader.children(find_sweep(reader, sweep).id), key=lambda run: -run.started)
    keys = [] if LARGEST_AUC in names else names
    runs = reader.runs(is_light=not names, keys=keys)
    return [run for run in runs if run.tags.get("mia.kind", "run") in RESULTS]


def _refuse_unknown(runs: Sequence[StoredRun], asked: Sequence[tuple[str, str]]) -> None:
    """Refuse names that no run has."""
    known = {name for run in runs for name in (*run.params, *run.metrics)} | {*OWN, LARGEST_AUC}
    for option, name in asked:
        if name not in known:
            raise RequestError(f"{option}: no run has {name}{did_you_mean(name, known)}")


def in_order(runs: Sequence[StoredRun], key: str, *, is_falling: bool) -> list[StoredRun]:
    """Return runs sorted by a value, numbers before words; those that do not have it are last."""
    known = [(value, run) for run in runs if not _is_nothing(value := Values(run).get(key))]
    rest = [run for run in runs if _is_nothing(Values(run).get(key))]
    ordered = sorted(known, key=lambda pair: _rank(pair[0]), reverse=is_falling)
    return [run for _, run in ordered] + rest


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _rank(value: Any) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (math.inf, str(value))


def everything(runs: Sequence[StoredRun]) -> list[str]:
    """Return all columns that there are: what every run has, then config keys, then metrics."""
    params = dict.fromkeys(key for run in runs for key in run.params)
    metrics = dict.fromkeys(key for run in runs for key in run.metrics)
    return list(dict.fromkeys([*OWN, *params, *metrics]))


def row(run: StoredRun, columns: Sequence[str]) -> dict[str, Any]:
    """Return a run's values; None where it has none."""
    values = Values(run)
    return {name: values.get(name) for name in columns}


def table(runs: Sequence[StoredRun], columns: Sequence[str]) -> "Table":
    """Return the runs as rich prints them."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        heading = {LARGEST_AUC: "largest AUC", "target/test_accuracy": "test"}.get(name, name)
        width = NAME_WIDTH if name == "name" else None
        found.add_column(
            heading, no_wrap=name in ("id", "status", "started", LARGEST_AUC), overflow="fold", min_width=width
        )
    special: dict[str, Callable[[StoredRun], str]] = {
        "id": lambda run: run.id[:8],
        "started": lambda run: own_values(run)["started"][5:],  # the year is in a list's export
        LARGEST_AUC: _auc_words,
    }
    for run in runs:
        values = row(run, columns)
        found.add_row(*(Text(special[name](run) if name in special else words(values[name])) for name in columns))
    return found


def _auc_words(run: StoredRun) -> str:
    name = largest_auc(run)
    return f"{words(run.metrics[name])} {name.split('/')[1]}" if name else ""


def words(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json(rows: Sequence[dict[str, Any]]) -> str:
    plain = [
        {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in one.items()}
        for one in rows
    ]
    return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    from mia.tables import csv_text

    return csv_text([{key: "" if value is None else value for key, value in one.items()} for one in rows])
