"""Stored runs to a study: which runs are one setting, what settings are called, and estimates of every metric.

Takes stored runs and a callable that finds their files. A run's typed config is rebuilt from its `config.yaml` and
asked what it is; nothing is guessed from text. Runs that differ in nothing but their seed are one setting. Of each
configuration the latest finished attempt counts, else the latest.
"""

import dataclasses
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mia.attacks import is_owners
from mia.config import from_stored
from mia.metrics.estimates import Estimate, of_mean, of_metrics
from mia.metrics.rates import clopper_pearson
from mia.metrics.words import is_part, metric_of
from mia.records import StoredRun
from mia.stored_result import Fetch
from mia.study.study import (
    ADAPTIVE,
    NO_DEFENCE,
    SIZE,
    Row,
    Runs,
    Study,
    Values,
    in_words,
    size_words,
    sort_key,
    split_metric,
)
from mia.tracking.reading import CONFIG, latest_attempts
from mia.tracking.where import Where

NEVER = ("seed", "engine", "data.root", "attack.gap", ADAPTIVE)  # no axes: they change no numbers, or are named apart
FIRST = ("data.name", "model.name", "split.protocol", SIZE)  # axes that are named first, in this order


@dataclasses.dataclass(frozen=True)
class Known:
    """A run as the typed config that it was."""

    run: StoredRun
    options: Any
    others: Values  # values that the options have no place for today, such as those of a package that is not there

    def setup(self) -> dict[str, Hashable]:
        """Return the values of everything but defences and what the attacker knows of them."""
        values = {k: value for k, value in flat(self.options).items() if not k.startswith(("train.", "defence"))}
        values |= {**flat(self.options.train.undefended(), "train"), **self.others}
        return {k: v for k, v in values.items() if not any(k == name or k.startswith(f"{name}.") for name in NEVER)}

    def effective(self) -> dict[str, Hashable]:
        """Return all values that count: those of a defence only where it is on."""
        values, defences = self.setup(), self.options.settings()
        if any(one.key.startswith("train.") for one in defences):
            values |= flat(self.options.train.effective(), "train")
        if any(one.key.startswith("defence.") for one in defences):
            values |= flat(self.options.defence, "defence")
        return values | {ADAPTIVE: bool(self.options.attacker.adaptive) or not defences}


def read_study(runs: Iterable[StoredRun], fetch: Fetch, where: Where | None = None) -> Study:
    """Return runs grouped into settings, with estimates of all their metrics.

    Args:
        runs: Of one sweep or several, finished or not.
        fetch: Finds an artifact of a run (`config.yaml`, `scores.npz`, `per_class.csv`), or None.
        where: Which runs count, by config keys, metrics, and `status`, `name`.

    Raises:
        RequestError: `where` asks for something that no run has.
    """
    known: list[Known] = []
    unreadable, notes = [], dict[str, None]()
    for run in latest_attempts(runs):
        try:
            text = config_text(run, fetch)
            stored = from_stored(text) if text else None
        except Exception:  # noqa: BLE001 - somebody else's or a damaged config: the others must be shown
            stored = None
        if stored is None:
            unreadable.append(run)
        else:
            notes |= dict.fromkeys(f"{key} of a stored run is not known today" for key in stored.unknown)
            known.append(Known(run, stored.options, stored.others))
    if where is not None:
        values = [
            {**flat(one.options), **one.others, **one.run.metrics, "status": one.run.status, "name": one.run.name}
            for one in known
        ]
        where.check({name for one in values for name in one})
        known = [run for run, one in zip(known, values, strict=True) if where(one)]
    rows, axes, varying = _rows(known)
    estimates = {(k, name): one for k, row in enumerate(rows) for name, one in _estimates(row)}
    seeds = {one.run.id: one.options.seed for one in known}
    return Study(
        tuple(rows), axes, varying, _attacks(estimates), estimates, seeds, fetch, tuple(unreadable), tuple(notes)
    )


def config_text(run: StoredRun, fetch: Fetch) -> str:
    """Return a run's `config.yaml`; empty if it has none. Where a server keeps the file, a tag has it, too."""
    path = None if CONFIG in run.tags else fetch(run, "config.yaml")
    return run.tags.get(CONFIG) or (path.read_text(encoding="utf-8") if path else "")


def flat(options: Any, prefix: str = "") -> dict[str, Hashable]:
    """Return every value of typed options under its config key; attacks stand under `attack.<name>`."""
    found: dict[str, Hashable] = {}
    for name, value in (options if isinstance(options, Mapping) else vars(options)).items():
        key = prefix if name == "chosen" else f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping) or hasattr(value, "__dict__"):
            found |= flat(value, key)
        else:
            found[key] = tuple(value) if isinstance(value, list) else value
    return found


# --- settings ---------------------------------------------------------------------------------------------------------


def _rows(known: Sequence[Known]) -> tuple[list[Row], tuple[str, ...], tuple[str, ...]]:
    """Return the settings, the axes of the set-up, and everything that varies."""
    defences = [tuple(one.options.settings()) for one in known]
    shared = set(defences[0]).intersection(*defences) if defences else set()
    full = [one.effective() for one in known]
    varying = _varying(full)
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for k, values in enumerate(full):
        groups.setdefault(tuple(values.get(key) for key in varying), []).append(k)
    setups = _varying([one.setup() for one in known])
    axes = _naming(setups, [full[members[0]] for members in groups.values()])
    rows = []
    for first, *rest in groups.values():
        values, own = full[first], tuple(one for one in defences[first] if one not in shared)
        other, size = in_words(values, axes, SIZE), float(values.get(SIZE, math.nan))  # type: ignore[arg-type]
        place = ", ".join(filter(None, [f"n = {size_words(size)}" if SIZE in axes else "", other]))
        runs, repeats, unfinished = _by_seed([known[k] for k in (first, *rest)])
        is_defended, is_known = bool(defences[first]), bool(values[ADAPTIVE])
        rows.append(Row(values, runs, repeats, unfinished, own, is_defended, is_known, size, other, place))

    def order(row: Row) -> tuple[Any, ...]:
        others = tuple(sort_key(row.values.get(key)) for key in axes if key != SIZE)
        return others, sort_key(row.size), row.defence != NO_DEFENCE, row.defence, row.order, not row.is_known

    return sorted(_told_apart(rows, axes), key=order), axes, varying


def _varying(values: Sequence[Values]) -> tuple[str, ...]:
    """Return the keys whose values differ where there are any; of defences, also where only some have them."""
    keys = dict.fromkeys(key for one in values for key in one)
    varying = [key for key in keys if len({one[key] for one in values if key in one}) > 1
               or (key.startswith("defence.") and any(key not in one for one in values))]  # fmt: skip
    return tuple(sorted(varying, key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST)))


def _by_seed(known: Sequence[Known]) -> tuple[Runs, Runs, Runs]:
    """Return the finished runs, one per seed and by seed; those that repeat one; and those not finished."""
    finished: dict[int, StoredRun] = {}
    for one in sorted(known, key=lambda one: one.options.seed):
        if one.run.status == "FINISHED":
            finished.setdefault(one.options.seed, one.run)
    rest = [one.run for one in known if one.run not in finished.values()]
    repeats, unfinished = (tuple(run for run in rest if (run.status == "FINISHED") == done) for done in (True, False))
    return tuple(finished.values()), repeats, unfinished


def _naming(axes: Sequence[str], values: Sequence[Values]) -> tuple[str, ...]:
    """Return the axes that name a set-up; of those that always change together the first is enough."""

    def told_apart(keys: Sequence[str]) -> int:
        return len({tuple(one.get(key) for key in keys) for one in values})

    kept = list(axes)
    for key in reversed([key for key in axes if key != SIZE]):
        rest = [one for one in kept if one != key]
        kept = rest if told_apart(rest) == told_apart(kept) else kept
    return tuple(kept)


def _told_apart(rows: Sequence[Row], axes: Sequence[str]) -> list[Row]:
    """Return rows of which no two have the same name: what else differs in their defences is added to the strength."""
    alike: dict[Hashable, list[Row]] = {}
    for row in rows:
        alike.setdefault((row.place, row.words, row.is_known), []).append(row)
    found = []
    for group in alike.values():
        keys = [key for key in _varying([row.values for row in group]) if key not in axes]
        found += [dataclasses.replace(row, detail=in_words(row.values, keys)) for row in group]
    return found


# --- estimates --------------------------------------------------------------------------------------------------------


def _estimates(row: Row) -> Iterable[tuple[str, Estimate]]:
    for name in dict.fromkeys(name for run in row.runs for name in run.metrics if not is_part(name)):
        having = [run.metrics for run in row.runs if math.isfinite(run.metrics.get(name, math.nan))]
        about = metric_of(name)
        if len(having) > 1:
            yield name, of_mean([one[name] for one in having], is_share=about is not None and about.kind != "privacy")
        elif having:
            one = of_metrics(having[0], name)
            if about and about.is_over_size and row.size > 0 and 0 <= one.value <= 1:
                _, low, high = clopper_pearson(round(one.value * row.size), int(row.size))
                one = dataclasses.replace(one, low=low, high=high)
            yield name, one


def _attacks(estimates: Mapping[tuple[int, str], Estimate]) -> tuple[str, ...]:
    """Return the attacks' names: those of most settings first, then by mean AUC; last what only the owner can do."""
    rows: dict[str, set[int]] = {}
    areas: dict[str, list[float]] = {}
    for (k, name), estimate in estimates.items():
        attack, metric = split_metric(name)
        if attack:
            rows.setdefault(attack, set()).add(k)
            areas.setdefault(attack, []).extend([estimate.value] if metric == "auc" else [])
    mean = {name: float(np.mean(found or [0.0])) for name, found in areas.items()}
    return tuple(sorted(rows, key=lambda name: (is_owners(name), -len(rows[name]), -mean[name])))
