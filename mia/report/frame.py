"""Stored runs to one tidy frame: settings, and estimates of every metric.

Takes stored runs and a callable that finds their files; gives a `Study`. A run's typed config is rebuilt from its
`config.yaml` and asked what it is; nothing is guessed from text. Runs that differ in nothing but their seed are one
setting. Of each configuration the latest finished attempt counts, else the latest.
"""

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mia.config import from_stored
from mia.metrics.estimates import Estimate, of_mean
from mia.metrics.rates import clopper_pearson
from mia.metrics.words import is_part, metric_of
from mia.records import StoredRun
from mia.report.where import Where
from mia.settings import Setting, number_words

if TYPE_CHECKING:
    import pandas as pd

Fetch = Callable[[StoredRun, str], Path | None]
"""Finds an artifact of a run; None where it has none."""
Values = Mapping[str, Hashable]  # by config key

SIZE, ADAPTIVE, NO_DEFENCE = "split.size", "attacker.adaptive", "no defence"
KNOWS, KNOWS_NOT, EITHER = "knows the defence", "does not know it", "either"
KEY_WORDS = {SIZE: "size", "split.num_shadows": "shadows", "data.name": "data", "model.name": "model",
             "shadow_data.name": "shadow data"}  # fmt: skip
NEVER = ("seed", "engine", "data.root", "attack.gap", ADAPTIVE)  # no axes: they cannot change the numbers, or are named apart
FIRST = ("data.name", "model.name", "split.protocol", SIZE)  # axes that are named first, in this order


@dataclass(frozen=True)
class Row:
    """All runs of one point of a study, and what it is called."""

    values: Values  # of everything that counts
    runs: tuple[StoredRun, ...]  # finished, one per seed
    repeats: tuple[StoredRun, ...]  # finished with the same seed and the same meaning: never counted twice
    unfinished: tuple[StoredRun, ...]
    defences: tuple[Setting, ...]  # but for those that all runs share
    is_defended: bool  # shared defences count here: there is something to know of
    is_known: bool  # to the attacker; one against no defence knows all there is
    size: float  # records that the target trained on
    other: str = ""  # what varies in the set-up but for the size, in words
    place: str = ""  # data and set-up in words: defences are compared at the same place
    detail: str = ""  # what tells it from a setting of the same name

    @property
    def defence(self) -> str:
        """The defences by name."""
        return " + ".join(one.label for one in self.defences) or NO_DEFENCE

    @property
    def strength(self) -> str:
        """How strong they are, in words."""
        return ", ".join(filter(None, [*(one.text for one in self.defences), self.detail]))

    @property
    def words(self) -> str:
        """Defences with their strengths."""
        return f"{self.defence} {self.strength}".strip()

    @property
    def order(self) -> tuple[tuple[float, ...], str]:
        """What strengths of one defence are sorted by, the weakest first."""
        return tuple(one.rank for one in self.defences), self.strength

    @property
    def who(self) -> str:
        """What the attacker knows."""
        return EITHER if not self.is_defended else KNOWS if self.is_known else KNOWS_NOT


@dataclass(frozen=True)
class Study:
    """What the report draws: rows, and what is known of each."""

    rows: tuple[Row, ...]  # in the order of tables
    axes: tuple[str, ...]  # config keys of the set-up that vary: neither defences nor the attacker's knowledge
    varying: tuple[str, ...]  # all config keys that tell rows apart
    attacks: tuple[str, ...]  # the one to show first is the first
    estimates: Mapping[tuple[int, str], Estimate]  # by position of the row, and metric
    seeds: Mapping[str, int]  # by run
    fetch: Fetch
    unreadable: tuple[StoredRun, ...] = ()  # runs whose config cannot be read: they are left out
    notes: tuple[str, ...] = ()  # on configs of another version

    def estimate(self, row: int, metric: str) -> Estimate:
        """Return what is known of a metric at a row; NaN where nothing is."""
        return self.estimates.get((row, metric), Estimate())

    def words(self, row: Row) -> str:
        """Return the whole setting in words."""
        parts = [row.place, row.words if self.has_defences else "", row.who if self.has_both and row.is_defended else ""]
        return ", ".join(filter(None, parts)) or "all runs"

    @cached_property
    def finished(self) -> list[int]:
        """Positions of the rows that have a result."""
        return [k for k, row in enumerate(self.rows) if row.runs]

    @property
    def runs(self) -> list[StoredRun]:
        """All finished runs, repeats among them."""
        return [run for row in self.rows for run in (*row.runs, *row.repeats)]

    @property
    def unfinished(self) -> list[StoredRun]:
        """Runs that failed, were killed or are still running."""
        return [run for row in self.rows for run in row.unfinished]

    @cached_property
    def has_defences(self) -> bool:
        """Whether defences vary."""
        return any(row.defences for row in self.rows)

    @cached_property
    def has_both(self) -> bool:
        """Whether there are attackers who know and attackers who do not."""
        return len({row.is_known for row in self.rows}) > 1

    @cached_property
    def sizes(self) -> list[float]:
        """The sizes that occur, rising."""
        return sorted({row.size for row in self.rows if not math.isnan(row.size)})

    @cached_property
    def defences(self) -> list[str]:
        """The names of the defences that vary, in the order of tables."""
        return list(dict.fromkeys(self.rows[k].defence for k in self.finished if self.rows[k].defences))

    def strengths(self, *defences: str) -> list[str]:
        """Return the strengths of some defences or of all, each one's weakest first; "none", where it was tried, leads."""
        chosen = self.settings["defence"].isin([NO_DEFENCE, *(defences or self.defences)])
        return list(dict.fromkeys(self.settings[chosen].sort_values("order")["strength"]))

    @cached_property
    def number_axes(self) -> list[str]:
        """The axes along which every finished row has a number."""
        rows = [self.rows[k] for k in self.finished]
        return [key for key in self.axes if all(is_number(row.values.get(key)) for row in rows)]

    @cached_property
    def settings(self) -> "pd.DataFrame":
        """A line per finished row: `s` (its position) and everything that figures show of it but its metrics."""
        import pandas as pd

        orders = sorted({row.order for row in self.rows})
        lines = []
        for k in self.finished:
            row = self.rows[k]
            lines.append(
                {"s": k, "words": self.words(row), "place": row.place or "all", "other": row.other,
                 "panel": row.place if self.has_defences else row.other, "size": row.size, "n": f"n = {size_words(row.size)}",
                 "label": row.words if self.has_defences else row.place or "all runs", "defence": row.defence,
                 "strength": row.strength or ("on" if row.defences else "none"), "who": row.who,
                 "order": orders.index(row.order) + 1 if row.defences else 0,
                 "runs": len(row.runs), "run": row.runs[0].id, "command": row.runs[0].tags.get("mia.command", "")}
                | {axis_field(key): row.values[key] for key in self.number_axes}
                | {f"rest_{axis_field(key)}": in_words(row.values, self.axes, key) or "all" for key in self.number_axes}
            )  # fmt: skip
        return pd.DataFrame(lines)

    @cached_property
    def points(self) -> "pd.DataFrame":
        """A line per row and metric: `s`, `a` (the attack, or empty), `m`, value `v`, interval `l` to `h`, `sd`."""
        import pandas as pd

        lines = [(k, *split_metric(m), e.value, e.low, e.high, e.deviation) for (k, m), e in self.estimates.items()]
        return pd.DataFrame(lines, columns=["s", "a", "m", "v", "l", "h", "sd"])


# --- words ------------------------------------------------------------------------------------------------------------


def key_words(key: str) -> str:
    """Return a config key's short name."""
    return KEY_WORDS.get(key, key.rpartition(".")[2].replace("_", " "))


def value_words(value: Any) -> str:
    """Return a config value in words."""
    text = str(value).lower() if isinstance(value, bool) else str(value or "-")
    return size_words(value) if is_number(value) else text


def in_words(values: Values, keys: Iterable[str], *without: str) -> str:
    """Return some values in words, with their keys."""
    return ", ".join(f"{key_words(key)} {value_words(values[key])}" for key in keys if key in values and key not in without)


def size_words(value: float) -> str:
    """Return a number of records, or any other number, with commas where it is long."""
    return f"{int(value):,}" if math.isfinite(value) and value == int(value) else number_words(value)


def is_number(value: Any) -> bool:
    """Whether a config value is a finite number; a flag is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def axis_field(key: str) -> str:
    """Return the name of the column of `settings` that holds an axis."""
    return "x_" + "".join(sign if sign.isalnum() else "_" for sign in key)


def split_metric(name: str) -> tuple[str, str]:
    """Return the attack (empty for other metrics) and the metric's own name."""
    attack, metric = name.split("/", 2)[1:] if name.startswith("attack/") else ("", name)
    return attack, metric


# --- reading ----------------------------------------------------------------------------------------------------------


def read_study(runs: Iterable[StoredRun], fetch: Fetch, where: Where | None = None) -> Study:
    """Return runs grouped into settings, with estimates of all their metrics.

    Args:
        runs: Of one sweep or several, finished or not.
        fetch: Finds an artifact of a run (`config.yaml`, `scores.npz`, `per_class.csv`), or None.
        where: Which runs count, by config keys, metrics, and `status`, `name`.

    Raises:
        RequestError: `where` asks for something that no run has.
    """
    known: list[tuple[StoredRun, Any]] = []
    unreadable, notes = [], dict[str, None]()
    for run in latest_attempts(runs):
        path = fetch(run, "config.yaml")
        try:
            stored = from_stored(path.read_text(encoding="utf-8")) if path else None
        except Exception:  # noqa: BLE001 - somebody else's or a damaged config: the others must be shown
            stored = None
        if stored is None:
            unreadable.append(run)
        else:
            notes |= dict.fromkeys(f"{key} of a stored run is not known today" for key in stored.unknown)
            known.append((run, stored.options))
    if where is not None:
        values = [{**flat(options), **run.metrics, "status": run.status, "name": run.name} for run, options in known]
        where.check({name for one in values for name in one})
        known = [pair for pair, one in zip(known, values, strict=True) if where(one)]
    rows, axes, varying = _rows(known)
    estimates = {(k, name): one for k, row in enumerate(rows) for name, one in _estimates(row)}
    seeds = {run.id: options.seed for run, options in known}
    return Study(tuple(rows), axes, varying, _attacks(estimates), estimates, seeds, fetch, tuple(unreadable), tuple(notes))


def latest_attempts(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Return of every fingerprint the latest finished run, or the latest at all, in the order of their starts."""
    latest: dict[str, StoredRun] = {}
    for run in sorted({run.id: run for run in runs}.values(), key=lambda run: run.started):
        name = run.tags.get("mia.fingerprint") or run.id
        if name not in latest or run.status == "FINISHED" or latest[name].status != "FINISHED":
            latest[name] = run
    return sorted(latest.values(), key=lambda run: run.started)


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


def _rows(known: Sequence[tuple[StoredRun, Any]]) -> tuple[list[Row], tuple[str, ...], tuple[str, ...]]:
    """Return the settings, the axes of the set-up, and everything that varies."""
    defences = [tuple(options.settings()) for _, options in known]
    shared = set(defences[0]).intersection(*defences) if defences else set()
    full = [_effective(options, found) for (_, options), found in zip(known, defences, strict=True)]
    varying = _varying(full)
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for k, values in enumerate(full):
        groups.setdefault(tuple(values.get(key) for key in varying), []).append(k)
    axes = _naming(_varying([_setup(options) for _, options in known]), [full[members[0]] for members in groups.values()])
    rows = []
    for members in groups.values():
        values, own = full[members[0]], tuple(one for one in defences[members[0]] if one not in shared)
        other, size = in_words(values, axes, SIZE), float(values.get(SIZE, math.nan))  # type: ignore[arg-type]
        place = ", ".join(filter(None, [f"n = {size_words(size)}" if SIZE in axes else "", other]))
        rows.append(Row(values, *_by_seed([known[k] for k in members]), own, bool(defences[members[0]]),
                        bool(values[ADAPTIVE]), size, other, place))  # fmt: skip
    return sorted(_told_apart(rows, axes), key=lambda row: _order(row, axes)), axes, varying


def _setup(options: Any) -> dict[str, Hashable]:
    """Return the values of everything but defences and what the attacker knows of them."""
    values = {key: value for key, value in flat(options).items() if not key.startswith(("train.", "defence"))}
    values |= flat(options.train.undefended(), "train")
    return {key: v for key, v in values.items() if not any(key == name or key.startswith(f"{name}.") for name in NEVER)}


def _effective(options: Any, defences: Sequence[Setting]) -> dict[str, Hashable]:
    """Return all values that count: those of a defence only where it is on."""
    values = _setup(options)
    if any(one.key.startswith("train.") for one in defences):
        values |= flat(options.train.effective(), "train")
    if any(one.key.startswith("defence.") for one in defences):
        values |= flat(options.defence, "defence")
    return values | {ADAPTIVE: bool(options.attacker.adaptive) or not defences}


def _varying(values: Sequence[Values]) -> tuple[str, ...]:
    """Return the keys whose values differ where there are any; of defences, also where only some have them."""
    keys = dict.fromkeys(key for one in values for key in one)
    varying = [key for key in keys if len({one[key] for one in values if key in one}) > 1
               or (key.startswith("defence.") and any(key not in one for one in values))]  # fmt: skip
    return tuple(sorted(varying, key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST)))


def _by_seed(known: Sequence[tuple[StoredRun, Any]]) -> tuple[tuple[StoredRun, ...], ...]:
    """Return the finished runs, one per seed and by seed; those that repeat one; and those not finished."""
    finished: dict[int, StoredRun] = {}
    for run, options in sorted(known, key=lambda pair: pair[1].seed):
        if run.status == "FINISHED":
            finished.setdefault(options.seed, run)
    runs = tuple(finished.values())
    rest = [run for run, _ in known if run not in runs]
    done = tuple(run for run in rest if run.status == "FINISHED")
    return runs, done, tuple(run for run in rest if run.status != "FINISHED")


def _naming(axes: Sequence[str], values: Sequence[Values]) -> tuple[str, ...]:
    """Return the axes that name a set-up; of those that always change together the first is enough."""
    kept = list(axes)
    for key in reversed([key for key in axes if key != SIZE]):
        rest = [one for one in kept if one != key]
        if len({tuple(one.get(k) for k in rest) for one in values}) == len({tuple(one.get(k) for k in kept) for one in values}):
            kept = rest
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


def _order(row: Row, axes: Sequence[str]) -> tuple[Any, ...]:
    other = tuple(sort_key(row.values.get(key)) for key in axes if key != SIZE)
    return other, sort_key(row.size), row.defence != NO_DEFENCE, row.defence, row.order, not row.is_known


def sort_key(value: Any) -> tuple[float, str]:
    """Return what values of any kind are sorted by: numbers by size, then words."""
    return (float(value), "") if is_number(value) else (math.inf, str(value))


def _estimates(row: Row) -> Iterable[tuple[str, Estimate]]:
    for name in dict.fromkeys(name for run in row.runs for name in run.metrics if not is_part(name)):
        having = [run.metrics for run in row.runs if math.isfinite(run.metrics.get(name, math.nan))]
        about = metric_of(name)
        if len(having) > 1:
            yield name, of_mean([one[name] for one in having], is_share=about is not None and about.kind != "privacy")
        elif having:
            value = having[0][name]
            low, high = having[0].get(f"{name}_low", value), having[0].get(f"{name}_high", value)
            if about and about.is_over_size and row.size > 0 and 0 <= value <= 1:
                low, high = clopper_pearson(round(value * row.size), int(row.size))[1:]
            yield name, Estimate(value, low, high, count=1)


def _attacks(estimates: Mapping[tuple[int, str], Estimate]) -> tuple[str, ...]:
    """Return the attacks' names: those of most settings first, then by mean AUC."""
    rows: dict[str, set[int]] = {}
    areas: dict[str, list[float]] = {}
    for (k, name), estimate in estimates.items():
        attack, metric = split_metric(name)
        if attack:
            rows.setdefault(attack, set()).add(k)
            areas.setdefault(attack, []).extend([estimate.value] if metric == "auc" else [])
    return tuple(sorted(rows, key=lambda name: (-len(rows[name]), -float(np.mean(areas[name] or [0.0])))))
