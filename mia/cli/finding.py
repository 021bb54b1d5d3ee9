"""Stored runs as a person names them, and their values as a filter asks for them.

Takes the store and words; gives `StoredRun`s. Changes nothing. Thousands of runs are listed in a second or two, so
values come from the run's own table and no config file is opened: each is read as the number, flag or word it is
printed as.
"""

import math
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mia.attacks import is_owners
from mia.checks import RequestError, did_you_mean
from mia.records import StoredRun
from mia.tracking import done

if TYPE_CHECKING:
    from mia.tracking.reading import Reader

LATEST = "latest"
SHORTEST = 4
"""Letters of an id that are enough to name a run, if no other begins like it."""
RESULTS = ("run", "audit")
"""Kinds of runs that have results of their own; a sweep's has none."""
WORDS: Mapping[str, bool | None] = {"True": True, "true": True, "False": False, "false": False, "None": None}
OWN = ("id", "name", "status", "started", "kind", "note", "reason", "command")
"""What every run has beside its config and its metrics."""
OVERRIDE = re.compile(r"[~+]*[\w./@]+=")
LARGEST_AUC = "largest_auc"
"""Stands in a list for the attack that knows most."""


def name_first(arguments: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return arguments as overrides: words that are none are the values of `keys`, in their order.

    Args:
        arguments: As typed; the name of a run may hold spaces and equal signs, `digits mlp n=200`.
        keys: What the words are called.

    Raises:
        RequestError: there are more words than keys.
    """
    rest: list[str] = []
    words: list[str] = []
    for one in arguments:
        (rest if OVERRIDE.match(one) or one.startswith("-") else words).append(one)
    if len(words) > len(keys):
        raise RequestError(f"{words[len(keys)]!r} is one name too many: {len(keys)} can be given")
    return [*(f"{key}={word}" for key, word in zip(keys, words, strict=False)), *rest]


def find_run(reader: "Reader", wanted: str | None, kinds: Sequence[str] = RESULTS) -> StoredRun:
    """Return the run that is meant by an id, the beginning of one, a name (its latest run), or `latest`.

    Args:
        reader: The store.
        wanted: What was typed.
        kinds: Which kinds of runs can be meant; `sweep` finds sweeps by their names, too.

    Raises:
        RequestError: there is none, or several ids begin like this.
    """
    if not wanted:
        raise RequestError("which run? Give its id, its name or latest; mia runs lists them")
    runs = [run for run in reader.runs(is_light=True) if run.tags.get("mia.kind", "run") in kinds]
    if wanted == LATEST:
        if not runs:
            raise RequestError("there is no run yet")
        return reader.get(runs[0].id)
    begun = [run for run in runs if len(wanted) >= SHORTEST and run.id.startswith(wanted)]
    if len(begun) > 1 and re.fullmatch(r"[0-9a-f]+", wanted):
        raise RequestError(f"{len(begun)} runs have ids that begin with {wanted}: {', '.join(r.id for r in begun[:3])}")
    found = begun or [run for run in runs if wanted == run.name]
    if not found:
        names = list(dict.fromkeys(run.name for run in runs))
        for sweep in reader.sweeps():
            if wanted in (sweep.name, sweep.id[: max(len(wanted), SHORTEST)]):
                raise RequestError(f"{wanted!r} is a sweep, {sweep.name}: mia runs {wanted} lists its runs")
        raise RequestError(f"{wanted!r} is not a run in the store{did_you_mean(wanted, names)}; mia runs lists them")
    if len(found) > 1:
        print(f"the latest of {len(found)} runs with this name: {found[0].id[:8]}", file=sys.stderr)
    return reader.get(found[0].id)


class Values(Mapping[str, Any]):
    """What can be asked of a run: its config keys, its metrics, and `OWN`."""

    def __init__(self, run: StoredRun) -> None:
        self._run = run

    def __getitem__(self, name: str) -> Any:
        run = self._run
        if name in run.metrics:
            return run.metrics[name]
        if name in run.params:
            return as_value(run.params[name])
        if name == LARGEST_AUC and (found := largest_auc(run)):
            return run.metrics[found]
        return own_values(run)[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._run.metrics, **self._run.params, **dict.fromkeys(OWN)})

    def __len__(self) -> int:
        return len(list(iter(self)))


def own_values(run: StoredRun) -> dict[str, str]:
    """Return what every run has."""
    tags = run.tags
    return {
        "id": run.id,
        "name": run.name,
        "status": run.status.lower(),
        "started": time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started)),
        "kind": tags.get("mia.kind", "run"),
        "note": tags.get("mia.note", ""),
        "reason": " ".join(tags.get("mia.error", "").split()),
        "command": tags.get("mia.command", ""),
    }


def as_value(text: str) -> Any:
    """Return a stored value as the number, flag or word that it was printed as."""
    if text in WORDS:
        return WORDS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def largest_auc(run: StoredRun) -> str:
    """Return the name of the metric of the attack with the largest AUC; empty if no attack has one."""
    return strongest(run.metrics)


def strongest(metrics: Mapping[str, float]) -> str:
    """Return the name of the largest AUC among metrics, of what only the owner can do if nothing else has one."""
    areas = {
        name: value
        for name, value in metrics.items()
        if name.startswith("attack/") and name.endswith("/auc") and not math.isnan(value)
    }
    return max(areas, key=lambda name: (not is_owners(name.split("/")[1]), areas[name]), default="")


def seconds_taken(run: StoredRun) -> float:
    """Return how long a run's stages took together; 0 if it does not say."""
    return done.seconds_taken(run.metrics)


def shared_words(names: Sequence[str]) -> list[str]:
    """Return the words that all names say, in their order, which tell none from another; none of a single name."""
    if len(names) < 2:
        return []
    shared = set.intersection(*(set(name.split()) for name in names))
    return [word for word in dict.fromkeys(names[0].split()) if word in shared]


def span_words(seconds: float) -> str:
    """Return a span of time in words, such as `3 min` or `2 h 10 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours / 24:.1f} days"
