"""`mia pools`: the trained models on disk, and which of them no run needs."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from mia.checks import RequestError
from mia.cli.arguments import agreed, only_overrides
from mia.cli.main import ALL_IS_WELL
from mia.composition import compose_config
from mia.config import PoolsConfig, to_options
from mia.files import StorageError
from mia.home import home
from mia.records import StoredRun
from mia.settings import duration_words
from mia.store import PoolStore

USED = "used by a run"


def command(arguments: list[str]) -> int:
    """List the pools, or remove those that no run needs, and return the exit code."""
    if arguments[:1] == ["prune"]:
        arguments = ["prune=true", *arguments[1:]]
    config: PoolsConfig = to_options(compose_config(only_overrides(arguments, "pools"), "pools"), PoolsConfig)
    store = PoolStore(home() / "pools")
    names = store.fingerprints()
    console = Console()
    if not names:
        console.print(f"no pools in {store.folder}")
        return ALL_IS_WELL
    use = _use(config)
    kept = {name: reason for name in names if (reason := _reason_to_keep(store, name, use))}
    unused = [name for name in names if name not in kept]
    console.print(_list(store, unused if config.prune else names, use.runs))
    if not config.prune:
        return ALL_IS_WELL
    _tell_kept(console, [reason for reason in kept.values() if reason != USED])
    if not unused:
        console.print("no pool may be removed")
    elif config.yes or agreed(f"Remove these {len(unused)} pools for good?"):
        _remove(console, store, unused, _use(config))  # somebody may have thought for an hour
    else:
        console.print("nothing removed")
    return ALL_IS_WELL


@dataclass(frozen=True)
class Use:
    """What the tracking store that was asked says about pools."""

    asked: float  # when, in seconds since 1970
    runs: dict[str, list[StoredRun]]  # the finished and running ones of every experiment, by the pool they need
    store_ids: set[str]  # names by which pools know this store


def _use(config: PoolsConfig) -> Use:
    """Ask the tracking store which of its runs need which pool.

    Raises:
        RequestError: pools are to be removed while runs are going on, which may need any of them.
    """
    asked = time.time()
    if config.tracking.uri is None and not (home() / "mlflow.db").exists():
        return Use(asked, {}, set())
    from mia.tracking import Reader, Tracker

    tracker = (Tracker if config.prune else Reader).open(config.tracking, home())
    if isinstance(tracker, Tracker):
        tracker.close_dead_runs()
        if running := tracker.running():
            raise RequestError(f"prune=true while run {running[0].id} ({running[0].name}) goes on: wait for its end")
    users: dict[str, list[StoredRun]] = {}
    for run in tracker.runs_with_pools():
        for name in run.tags["mia.pools"].split(","):
            users.setdefault(name, []).append(run)
    return Use(asked, users, tracker.store_ids())


def _reason_to_keep(store: PoolStore, name: str, use: Use) -> str:
    """Return why a pool must not be removed; nothing if it may."""
    if name in use.runs:
        return USED
    users = store.users(name)
    if others := [address for id_, address in users.items() if id_ not in use.store_ids]:
        return f"used by {', '.join(others)}: ask there, with tracking.uri"
    if not users and store.describe(name)["models"]:
        return "made before pools noted who uses them, or by untracked runs: remove their folders by hand"
    return ""


def _tell_kept(console: Console, reasons: list[str]) -> None:
    for reason, count in Counter(reasons).items():
        console.print(f"{count} kept: {reason}", highlight=False, markup=False)


def _remove(console: Console, store: PoolStore, names: list[str], use: Use) -> None:
    removed = 0
    for name in names:
        if _reason_to_keep(store, name, use):
            continue
        try:
            store.remove(name, use.store_ids, use.asked)
            removed += 1
        except StorageError as error:
            console.print(str(error), highlight=False, markup=False)
    console.print(f"removed {removed} pools")


def _list(store: PoolStore, names: list[str], users: dict[str, list[StoredRun]]) -> Group:
    """Return two lines for each pool: how big, how old and whose it is, then what it holds."""
    lines: list[RenderableType] = [Text(str(store.folder), style="italic")]
    for pool in names:
        found = store.describe(pool)
        runs = users.get(pool, [])
        shown = runs[0].id[:8] + (f" + {len(runs) - 1}" if len(runs) > 1 else "") if runs else "none"
        size, age = f"{found['bytes'] / 2**20:.1f} MiB", duration_words(time.time() - found["changed"], ".0f")
        lines.append(Text(f"{pool} {found['models']:>4} models {size:>10} {age:>11}  runs: {shown}"))
        data = runs[0].tags.get("mia.data", "").partition(":")[0] if runs else ""
        lines.append(Padding(Text(_words(found["identity"], data), style="dim"), (0, 0, 0, 4)))
    return Group(*lines)


def _words(identity: dict[str, Any], data: str) -> str:
    """Return data and model, then every key that is not at its default, as one would type it."""
    values = dict(_flat("", {group: identity.get(group) or {} for group in ("model", "split", "train")}))
    name = values.pop("model.name", None)
    words = [data or f"data {str(identity.get('data'))[:8]}", str(name)]
    words += [f"{key}={value}" for key, value in values.items()]
    words += [f"seed={identity['seed']}"] if identity.get("seed") else []
    words += ["on the attacker's own records"] if "own_records" in identity else []
    return " ".join(words) if name else "unknown: pool.json is missing or damaged"


def _flat(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value
