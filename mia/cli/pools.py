"""`mia pools`: the trained models on disk, and which of them no run needs."""

import sys
import time

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from mia.checks import RequestError
from mia.cli.arguments import only_overrides
from mia.cli.main import ALL_IS_WELL
from mia.compose import compose_config, register
from mia.config import PoolsConfig, to_options
from mia.home import home
from mia.store import PoolStore


def command(arguments: list[str]) -> int:
    """List the pools, or remove those that no run needs, and return the exit code."""
    register()
    if arguments[:1] == ["prune"]:
        arguments = ["prune=true", *arguments[1:]]
    config: PoolsConfig = to_options(compose_config(only_overrides(arguments, "pools"), "pools"), PoolsConfig)
    store = PoolStore(home() / "pools")
    names = store.fingerprints()
    console = Console()
    if not names:
        console.print(f"no pools in {store.folder}")
        return ALL_IS_WELL
    users = _users(config)
    unused = [name for name in names if not users.get(name)]
    console.print(_table(store, unused if config.prune else names, users))
    if not config.prune:
        return ALL_IS_WELL
    if not unused:
        console.print("every pool is used by a run: nothing to remove")
    elif config.yes or _agreed(len(unused)):
        users = _users(config)  # somebody may have thought for an hour
        unused = [name for name in unused if not users.get(name)]
        for name in unused:
            store.remove(name)
        console.print(f"removed {len(unused)} pools")
    else:
        console.print("nothing removed")
    return ALL_IS_WELL


def _users(config: PoolsConfig) -> dict[str, list[str]]:
    """Return the ids of the finished runs of every experiment that used each pool.

    Raises:
        RequestError: pools are to be removed while runs are going on, which may need any of them.
    """
    if config.tracking.uri is None and not (home() / "mlflow.db").exists():
        return {}
    from mia.tracking import Tracker

    tracker = Tracker.open(config.tracking, home())
    if config.prune:
        tracker.close_dead_runs()
        if running := tracker.running():
            raise RequestError(f"prune=true while run {running[0].id} ({running[0].name}) goes on: wait for its end")
    users: dict[str, list[str]] = {}
    for run in tracker.runs_with_pools():
        for name in run.tags["mia.pools"].split(","):
            users.setdefault(name, []).append(run.id)
    return users


def _table(store: PoolStore, names: list[str], users: dict[str, list[str]]) -> Table:
    name, size, age = (Column(header, no_wrap=True) for header in ("pool", "size", "age"))
    table = Table(
        name,
        Column("what", overflow="fold"),
        "models",
        size,
        age,
        Column("runs", min_width=8),
        title=str(store.folder),
        box=SIMPLE,
        pad_edge=False,
    )
    for pool in names:
        found = store.describe(pool)
        runs = users.get(pool, [])
        shown = ", ".join(run[:8] for run in runs[:3]) + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")
        table.add_row(
            pool,
            _words(found["identity"]),
            str(found["models"]),
            f"{found['bytes'] / 2**20:.1f} MiB",
            _age(time.time() - found["changed"]),
            shown or "none",
        )
    return table


def _age(seconds: float) -> str:
    """Return how long ago the last change was."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _words(identity: dict[str, object]) -> str:
    parts = {group: identity.get(group) for group in ("model", "split", "train")}
    words = [
        f"{group}.{key}={value}"
        for group, values in parts.items()
        if isinstance(values, dict)
        for key, value in values.items()
    ]
    return " ".join(words) or "unknown: pool.json is missing or damaged"


def _agreed(count: int) -> bool:
    """Ask; no answer is a no."""
    if not sys.stdin.isatty():
        print("mia: not asked, since there is no terminal: add yes=true to remove them", file=sys.stderr)
        return False
    return input(f"Remove these {count} pools for good? [y/N] ").strip().lower() in ("y", "yes")
