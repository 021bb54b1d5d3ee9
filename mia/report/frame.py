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

from mia.attacks import is_owners
from mia.config import from_stored
from mia.metrics.rates import clopper_pearson
from mia.metrics.words import is_part, metric_of
from mia.records import StoredRun
from mia.report.statistics import Estimate, of_mean
from mia.report.where import Where
from mia.settings import Setting, number_words

if TYPE_CHECKING:
    import pandas as pd

Fetch = Callable[[StoredRun, str], Path | None]
"""Finds an artifact of a run; None where it has none."""

SIZE, ADAPTIVE, NO_DEFENCE = "split.size", "attacker.adaptive", "no defence"
KNOWS, KNOWS_NOT, EITHER = "knows the defence", "does not know it", "either"
KEY_WORDS = {
    SIZE: "size",
    "split.num_shadows": "shadows",
    "data.name": "data",
    "model.name": "model",
    "shadow_data.name": "shadow data",
}
NEVER = ("seed", "engine", "data.root", "attack.gap")
"""What cannot change the numbers, or is the seed."""
FIRST = ("data.name", "model.name", "split.protocol", SIZE)
"""Axes that are named first, in this order."""


@dataclass(frozen=True)
class Row:
    """All runs of one point of a study, and what it is called."""

    values: Mapping[str, Any]  # of everything that counts, by config key
    runs: tuple[StoredRun, ...]  # finished, one per seed
    repeats: tuple[StoredRun, ...]  # finished with the same seed and the same meaning: never counted twice
    unfinished: tuple[StoredRun, ...]
    defences: tuple[Setting, ...]  # but for those that all runs share
    is_defended: bool  # shared defences count here: there is something to know of
    is_known: bool  # to the attacker; one against no defence knows all there is
    size: float  # records that the target trained on
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
    notes: tuple[str, ...] = ()  # of configs of another version

    def estimate(self, row: int, metric: str) -> Estimate:
        """Return what is known of a metric at a row; NaN where nothing is."""
        return self.estimates.get((row, metric), Estimate())

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
    def number_axes(self) -> list[str]:
        """The axes along which every finished row has a number."""
        rows = [self.rows[k] for k in self.finished]
        return [key for key in self.axes if all(is_number(row.values.get(key)) for row in rows)]

    def rest(self, row: Row, axis: str) -> str:
        """Return in words what else than one axis a setting is."""
        named = [key for key in self.axes if key != axis and key in row.values]
        return ", ".join(f"{key_words(key)} {value_words(row.values[key])}" for key in named) or "all"

    def other(self, row: Row) -> str:
        """Return what varies in the set-up but for the size, in words."""
        named = [key for key in self.axes if key != SIZE and key in row.values]
        return ", ".join(f"{key_words(key)} {value_words(row.values[key])}" for key in named)

    def place(self, row: Row) -> str:
        """Return the data and set-up in words: defences are compared at the same place."""
        size = [f"n = {size_words(row.size)}"] if SIZE in self.axes else []
        return ", ".join([*size, *filter(None, [self.other(row)])])

    def words(self, row: Row) -> str:
        """Return the whole setting in words."""
        defence = [f"{row.defence} {row.strength}".strip()] if self.has_defences else []
        who = [row.who] if self.has_both and row.is_defended else []
        return ", ".join([*filter(None, [self.place(row)]), *defence, *who]) or "all runs"

    @cached_property
    def settings(self) -> "pd.DataFrame":
        """A line per finished row: `s` (its position) and everything that figures show of it but its metrics."""
        import pandas as pd

        orders = sorted({row.order for row in self.rows})
        lines = []
        for k in self.finished:
            row = self.rows[k]
            place, other = self.place(row), self.other(row)
            label = f"{row.defence} {row.strength}".strip() if self.has_defences else place or "all runs"
            lines.append(
                {"s": k, "words": self.words(row), "place": place or "all", "panel": place if self.has_defences else other,
                 "other": other, "label": label, "size": row.size, "n": f"n = {size_words(row.size)}",
                 "defence": row.defence, "strength": row.strength or ("on" if row.defences else "none"),
                 "order": orders.index(row.order) + 1 if row.defences else 0, "who": row.who,
                 "runs": len(row.runs), "run": row.runs[0].id, "command": row.runs[0].tags.get("mia.command", "")}
                | {axis_field(key): row.values[key] for key in self.number_axes}
                | {f"rest_{axis_field(key)}": self.rest(row, key) for key in self.number_axes}
            )  # fmt: skip
        return pd.DataFrame(lines)

    @cached_property
    def points(self) -> "pd.DataFrame":
        """A line per row and metric: `s`, `a` (the attack, or empty), `m`, value `v`, interval `l` to `h`, `sd`."""
        import pandas as pd

        lines = []
        for (k, name), e in self.estimates.items():
            attack, metric = split_metric(name)
            lines.append((k, attack, metric, e.value, e.low, e.high, e.deviation, e.count))
        return pd.DataFrame(lines, columns=["s", "a", "m", "v", "l", "h", "sd", "count"])


# --- words ------------------------------------------------------------------------------------------------------------


def key_words(key: str) -> str:
    """Return a config key's short name."""
    return KEY_WORDS.get(key, key.rpartition(".")[2].replace("_", " "))


def value_words(value: Any) -> str:
    """Return a config value in words."""
    if is_number(value) and math.isfinite(value):
        return size_words(value)
    return str(value).lower() if isinstance(value, bool) else str(value or "-")


def is_number(value: Any) -> bool:
    """Whether a config value is a number; a flag is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def axis_field(key: str) -> str:
    """Return the name of the column of `settings` that holds an axis."""
    return "x_" + "".join(sign if sign.isalnum() else "_" for sign in key)


def size_words(value: float) -> str:
    """Return a number of records, or any other number, with commas where it is long."""
    return f"{int(value):,}" if math.isfinite(value) and value == int(value) else number_words(value)


def split_metric(name: str) -> tuple[str, str]:
    """Return the attack (empty for other metrics) and the metric's own name."""
    if not name.startswith("attack/"):
        return "", name
    _, attack, metric = name.split("/", 2)
    return attack, metric


# --- reading ----------------------------------------------------------------------------------------------------------


def read_study(runs: Iterable[StoredRun], fetch: Fetch, where: Where | None = None) -> Study:
    """Return runs grouped into settings, with estimates of all their metrics.

    Args:
        runs: of one sweep or several, finished or not.
        fetch: finds an artifact of a run (`config.yaml`, `scores.npz`, `per_class.csv`), or None.
        where: which runs count, by config keys, metrics, and `status`, `name`.

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
            continue
        notes |= dict.fromkeys(f"{key} of a stored run is not known today" for key in stored.unknown)
        known.append((run, stored.options))
    if where is not None:
        values = [flat(options) | run.metrics | {"status": run.status, "name": run.name} for run, options in known]
        where.check({name for one in values for name in one})
        known = [pair for pair, one in zip(known, values, strict=True) if where(one)]
    rows, axes, varying = _rows(known)
    seeds = {run.id: options.seed for run, options in known}
    estimates = {(k, name): one for k, row in enumerate(rows) for name, one in _estimates(row).items()}
    attacks = _attacks(estimates)
    return Study(tuple(rows), axes, varying, attacks, estimates, seeds, fetch, tuple(unreadable), tuple(notes))


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
    pairs = options.items() if isinstance(options, Mapping) else vars(options).items()
    for name, value in pairs:
        key = prefix if name == "chosen" else f"{prefix}.{name}" if prefix else name
        if isinstance(value, Mapping) or (hasattr(value, "__dict__") and not isinstance(value, type)):
            found |= flat(value, key)
        else:
            found[key] = tuple(value) if isinstance(value, list) else value
    return found


def _rows(known: Sequence[tuple[StoredRun, Any]]) -> tuple[list[Row], tuple[str, ...], tuple[str, ...]]:
    """Return the settings, the axes of the set-up, and everything that varies."""
    defences = [tuple(options.settings()) for _, options in known]
    shared = set(defences[0]).intersection(*defences[1:]) if defences else set()
    setups = [_setup(options) for _, options in known]
    axes = _varying(setups)
    full = [_effective(options, found) for (_, options), found in zip(known, defences, strict=True)]
    everything = _varying(full)
    groups: dict[tuple[Hashable, ...], list[int]] = {}
    for k, values in enumerate(full):
        groups.setdefault(tuple(values.get(key) for key in everything), []).append(k)
    rows = []
    for members in groups.values():
        first = members[0]
        finished, repeats, unfinished = _by_seed([known[k] for k in members])
        rows.append(
            Row(full[first], finished, repeats, unfinished, tuple(one for one in defences[first] if one not in shared),
                bool(defences[first]), bool(full[first][ADAPTIVE]), float(full[first].get(SIZE, math.nan)))  # type: ignore[arg-type]
        )  # fmt: skip
    named = _naming(axes, rows)
    rows = _told_apart(rows, named)
    return sorted(rows, key=lambda row: _order(row, named)), named, everything


def _setup(options: Any) -> dict[str, Hashable]:
    """Return the values of everything but defences and the attacker's knowledge."""
    values = {
        key: value for key, value in flat(options).items() if not key.startswith(("train.", "defence", "attacker"))
    }
    return _counted(values | flat(options.train.undefended(), "train"))


def _effective(options: Any, defences: Sequence[Setting]) -> dict[str, Hashable]:
    """Return all values that count: those of a defence only where it is on."""
    values = _setup(options)
    if any(one.key.startswith("train.") for one in defences):
        values |= flat(options.train.effective(), "train")
    if any(one.key.startswith("defence.") for one in defences):
        values |= flat(options.defence, "defence")
    return values | {ADAPTIVE: bool(options.attacker.adaptive) or not defences}


def _counted(values: dict[str, Hashable]) -> dict[str, Hashable]:
    return {key: v for key, v in values.items() if not any(key == name or key.startswith(f"{name}.") for name in NEVER)}


def _varying(values: Sequence[Mapping[str, Hashable]]) -> tuple[str, ...]:
    """Return the keys whose values differ where there are any; of defences, also where only some have them."""
    keys = dict.fromkeys(key for one in values for key in one)
    varying = [key for key in keys if len({one[key] for one in values if key in one}) > 1
               or (key.startswith("defence.") and any(key not in one for one in values))]  # fmt: skip
    order = {key: k for k, key in enumerate(FIRST)}
    return tuple(sorted(varying, key=lambda key: order.get(key, len(FIRST))))


def _by_seed(known: Sequence[tuple[StoredRun, Any]]) -> tuple[tuple[StoredRun, ...], ...]:
    """Return the finished runs, one per seed and by seed; those that repeat one; and those not finished."""
    finished: dict[int, StoredRun] = {}
    repeats, unfinished = [], []
    for run, options in sorted(known, key=lambda pair: pair[1].seed):
        if run.status != "FINISHED":
            unfinished.append(run)
        elif options.seed in finished:
            repeats.append(run)
        else:
            finished[options.seed] = run
    return tuple(finished.values()), tuple(repeats), tuple(unfinished)


def _naming(axes: Sequence[str], rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the axes that name a set-up; of those that always change together the first is enough."""
    kept = list(axes)
    count = len({tuple(row.values.get(key) for key in kept) for row in rows})
    for key in reversed([key for key in axes if key != SIZE]):
        rest = [one for one in kept if one != key]
        if len({tuple(row.values.get(one) for one in rest) for row in rows}) == count:
            kept = rest
    return tuple(kept)


def _told_apart(rows: Sequence[Row], axes: Sequence[str]) -> list[Row]:
    """Return rows of which no two have the same name: what else differs in their defences is added to the strength."""
    alike: dict[Hashable, list[Row]] = {}
    for row in rows:
        place = tuple(row.values.get(key) for key in axes)
        alike.setdefault((place, row.defence, row.strength, row.is_known), []).append(row)
    found = []
    for group in alike.values():
        keys = [key for key in _varying([row.values for row in group]) if key not in axes] if len(group) > 1 else []
        for row in group:
            words = ", ".join(f"{key_words(key)} {value_words(row.values[key])}" for key in keys if key in row.values)
            found.append(dataclasses.replace(row, detail=words))
    return found


def _order(row: Row, axes: Sequence[str]) -> tuple[Any, ...]:
    other = tuple(sort_key(row.values.get(key)) for key in axes if key != SIZE)
    return (
        other,
        (-1.0 if math.isnan(row.size) else row.size),
        row.defence != NO_DEFENCE,
        row.defence,
        row.order,
        not row.is_known,
    )


def sort_key(value: Any) -> tuple[float, str]:
    """Return what values of any kind are sorted by: numbers by size, then words."""
    return (float(value), "") if isinstance(value, int | float) else (math.inf, str(value))


def _estimates(row: Row) -> dict[str, Estimate]:
    names = dict.fromkeys(name for run in row.runs for name in run.metrics)
    return {name: one for name in names if not is_part(name) and (one := _estimate(row, name)).is_known}


def _estimate(row: Row, name: str) -> Estimate:
    having = [run for run in row.runs if math.isfinite(run.metrics.get(name, math.nan))]
    if len(having) == 1:
        metrics, value = having[0].metrics, having[0].metrics[name]
        low, high = metrics.get(f"{name}_low", value), metrics.get(f"{name}_high", value)
        about = metric_of(name)
        if about and about.is_over_size and row.size > 0 and 0 <= value <= 1:
            low, high = clopper_pearson(round(value * row.size), int(row.size))[1:]
        return Estimate(value, low, high, count=1)
    about = metric_of(name)
    is_share = about is not None and about.kind != "privacy"
    return of_mean([run.metrics[name] for run in having], is_share=is_share) if having else Estimate()


def _attacks(estimates: Mapping[tuple[int, str], Estimate]) -> tuple[str, ...]:
    """Return the attacks' names: those of most settings first, then by mean AUC; last what only the owner can do."""
    rows: dict[str, set[int]] = {}
    areas: dict[str, list[float]] = {}
    for (k, name), estimate in estimates.items():
        attack, metric = split_metric(name)
        if attack:
            rows.setdefault(attack, set()).add(k)
            areas.setdefault(attack, []).extend([estimate.value] if metric == "auc" else [])
    return tuple(
        sorted(rows, key=lambda name: (is_owners(name), -len(rows[name]), -float(np.mean(areas[name] or [0.0]))))
    )
