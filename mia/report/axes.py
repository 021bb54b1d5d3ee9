"""Which config keys a sweep varies, and which of its runs count.

Takes stored runs, gives keys and runs. Knows nothing of metrics.
"""

from collections.abc import Iterable, Mapping, Sequence

from mia.records import StoredRun
from mia.tracking.reading import latest_attempts  # noqa: F401 - it belongs to the store, and is asked for here

SEED = "seed"
NEVER_AXES = ("rerun", "tracking.", "engine.", "hydra.", "data.root", "out")
"""Keys that cannot change the numbers."""
FIRST = ("data.name", "model.name", "split.protocol", "split.size", "defence.name")
"""Axes that tables show first, in this order; all others follow, the attacker last."""
LAST = ("attacker.adaptive",)


def find_axes(runs: Sequence[StoredRun]) -> list[str]:
    """Return the config keys, but for the seed, that tell the runs apart.

    A key that only some runs have (an option of one defence) is an axis if its values differ, or if nothing else tells
    apart two runs that do and do not have it.
    """
    keys = [key for key in dict.fromkeys(key for run in runs for key in run.params) if _may_vary(key)]
    axes = [key for key in keys if len({run.params[key] for run in runs if key in run.params}) > 1]
    for key in keys:
        if key not in axes and not key.startswith("attack.") and _splits(runs, axes, key):
            axes.append(key)
    order = {key: position for position, key in enumerate(FIRST)} | dict.fromkeys(LAST, len(keys) + len(FIRST))
    return sorted(axes, key=lambda key: order.get(key, len(FIRST)))


def _may_vary(key: str) -> bool:
    return key != SEED and not any(key == name or (name.endswith(".") and key.startswith(name)) for name in NEVER_AXES)


def _splits(runs: Sequence[StoredRun], axes: Sequence[str], key: str) -> bool:
    """Whether runs of equal axes and seed differ in having `key`."""
    having: dict[tuple[str, ...], set[bool]] = {}
    for run in runs:
        place = tuple(run.params.get(axis, "") for axis in (SEED, *axes))
        having.setdefault(place, set()).add(key in run.params)
    return any(len(both) > 1 for both in having.values())


def is_true(value: str | None) -> bool:
    """Whether a stored param is a true flag."""
    return str(value).strip().lower() == "true"


def as_number(value: str | None) -> float | None:
    """Return a stored param as a number, flags as 0 and 1; None for words."""
    if value is None:
        return None
    if value.strip().lower() in {"true", "false"}:
        return float(is_true(value))
    try:
        return float(value)
    except ValueError:
        return None


def is_off(value: str | None) -> bool:
    """Whether a strength is zero, absent or says that there is none."""
    return value is None or value.strip().lower() in {"", "none", "null"} or as_number(value) == 0


def subset(params: Mapping[str, str], keys: Iterable[str]) -> tuple[str, ...]:
    """Return the values of `keys`, empty where there is none."""
    return tuple(params.get(key, "") for key in keys)
