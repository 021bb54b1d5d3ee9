"""`mia runs`: the runs in the store, chosen, sorted, and as a table, CSV or JSON.

Reads the store alone, and a second or two for thousands of runs.
"""

import json
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mia.attacks import attack_words
from mia.checks import RequestError, did_you_mean, one_of
from mia.cli.arguments import as_text, only_overrides
from mia.cli.closing import close_the_dead
from mia.cli.finding import LARGEST_AUC, OWN, RESULTS, Values, largest_auc, name_first, own_values, shared_words
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
NAME_WIDTH, NAME_LINES = 18, 4
"""Letters that a name has room for at least, and lines at most: ids tell runs apart, and columns=name shows all."""
AUC_OF_ANY = "attack/*/auc"
IN_A_TABLE = 20
"""Runs that a terminal shows unless it is asked for more."""


def command(arguments: list[str]) -> int:
    """Print the runs and return the exit code."""
    overrides = [as_text(one, TEXTS) for one in only_overrides(name_first(arguments, ["sweep"]), "runs")]
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

    console = Console()
    shared = [] if columns else shared_words([run.name for run in runs])
    if any(set(run.name.split()) <= set(shared) for run in runs):
        shared = []  # nothing would be left of a name
    console.print(table(runs, columns or SHOWN, console.width, shared, NAME_LINES if not columns else None))
    more = "" if len(runs) == len(found) else f"; limit={len(found)} shows all {len(found):,}"
    all_are = f"; all are {' '.join(shared)}" if shared else ""
    print(f"{len(runs):,} run{'' if len(runs) == 1 else 's'}{all_are}{more}")
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
    keys = [AUC_OF_ANY if name == LARGEST_AUC else name for name in names]
    runs = _candidates(reader, config.sweep, is_light=not keys, keys=keys)
    known = {name for run in runs for name in (*run.params, *run.metrics)} | {LARGEST_AUC}
    if runs and (missing := set(names) - known):
        runs = _candidates(reader, config.sweep)  # slower, and knows what was meant
        _refuse_unknown(runs, [(option, name) for option, name in asked if name in missing])
    if where:
        runs = [run for run in runs if where(Values(run))]
    return in_order(runs, key, is_falling=(config.sort or "").startswith("-")) if key else runs


def _candidates(
    reader: "Reader", sweep: str | None, *, is_light: bool = False, keys: Sequence[str] = ()
) -> list[StoredRun]:
    """Return the runs of a sweep, or all, latest first, with at least the values of the keys; none if light."""
    if sweep:
        from mia.cli.report import find_sweep

        found = reader.children(find_sweep(reader, sweep).id, is_light=is_light, keys=keys)
        return sorted(found, key=lambda run: -run.started)
    runs = reader.runs(is_light=is_light, keys=keys)
    return [run for run in runs if run.tags.get("mia.kind", "run") in RESULTS]


def _refuse_unknown(runs: Sequence[StoredRun], asked: Sequence[tuple[str, str]]) -> None:
    """Refuse names that no run has."""
    known = {name for run in runs for name in (*run.params, *run.metrics)} | {*OWN, LARGEST_AUC}
    for option, name in asked:
        if name not in known:
            examples = [one for one in sorted(known) if one.startswith(("attack/", "target/"))]
            meant = (
                did_you_mean(name, known)
                or f"; there are {', '.join([LARGEST_AUC, *examples[:1], *examples[-1:]])} ..."
            )
            raise RequestError(f"{option}: no run has {name}{meant}")


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


def table(
    runs: Sequence[StoredRun], columns: Sequence[str], width: int, shared: Sequence[str] = (), most: int | None = None
) -> "Table":
    """Return the runs as rich prints them.

    Args:
        runs: From the first line to the last.
        columns: What to show of each.
        width: Of the terminal.
        shared: Words that the names of all say, which are left out.
        most: Lines of a name; None: all.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = {name: [_cell(run, name) for run in runs] for name in columns}
    headings = {name: {LARGEST_AUC: "largest AUC", "target/test_accuracy": "test"}.get(name, name) for name in columns}
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    for name in columns:
        least = None
        if name == "name":
            others = [max(len(headings[one]), _narrowest(one, cells[one])) for one in columns if one != "name"]
            room = width - 2 - sum(2 + one for one in others)
            cells[name] = [_short(cell, max(room, NAME_WIDTH), shared, most) for cell in cells[name]]
            least = max((len(line) for cell in cells[name] for line in cell.split("\n")), default=0)
        whole = name in ("id", "status", "started")
        found.add_column(headings[name], no_wrap=whole, overflow="fold", min_width=least)
    for row_of in zip(*cells.values(), strict=True):
        found.add_row(*map(Text, row_of))
    return found


def _cell(run: StoredRun, name: str) -> str:
    special: dict[str, Callable[[StoredRun], str]] = {
        "id": lambda run: run.id[:8],
        "started": lambda run: own_values(run)["started"][5:],  # the year is in a list's export
        LARGEST_AUC: _auc_words,
    }
    return special[name](run) if name in special else words(Values(run).get(name))


def _narrowest(name: str, cells: Sequence[str]) -> int:
    """Return how narrow a column can be: that of the largest AUC has the attack on a line of its own."""
    parts = [part for cell in cells for part in (cell.split() if name == LARGEST_AUC else [cell])]
    return max(map(len, parts), default=0)


def _short(name: str, room: int, shared: Sequence[str], most: int | None) -> str:
    """Return the beginning of a name in lines as wide as there is room, or with no most, all of it."""
    if most is None:
        return "\n".join(textwrap.wrap(name, room, break_on_hyphens=False))
    rest = " ".join(_fitting(word, room) for word in name.split() if word not in shared)
    lines = textwrap.wrap(rest, room, max_lines=most, placeholder=" ...", break_on_hyphens=False)
    return "\n".join(lines)


def _fitting(word: str, room: int) -> str:
    """Return a word; where it is too long, `label_smoothing=0.05`, with the end of its key left out."""
    key, sign, value = word.rpartition("=")
    kept = room - len(f"..={value}")
    return word if len(word) <= room or not sign or kept < 1 else f"{key[:kept]}..={value}"


def _auc_words(run: StoredRun) -> str:
    name = largest_auc(run)
    return f"{words(run.metrics[name])} {attack_words(name.split('/')[1])}" if name else ""


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
