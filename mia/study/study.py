"""A study: settings, each the runs of one point, and estimates of every metric, as objects and as tidy frames.

Built by `frame.read_study`; figures, tables and sentences read it.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mia.metrics.estimates import Estimate
from mia.records import StoredRun
from mia.settings import Setting, number_words
from mia.stored_result import Fetch

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[str, Hashable]  # by config key
Runs = tuple[StoredRun, ...]

UTILITY, SIZE, ADAPTIVE, NO_DEFENCE = "target/test_accuracy", "split.size", "attacker.adaptive", "no defence"
KNOWS, KNOWS_NOT, EITHER = "knows the defence", "does not know it", "either"
KEY_WORDS = {SIZE: "size", "split.num_shadows": "shadows", "data.name": "data", "model.name": "model",
             "shadow_data.name": "shadow data", "defence.name": "output defence"}  # fmt: skip


def framed(columns: str) -> Callable[[Callable[[Any], Iterable[Any]]], Callable[[Any], "pd.DataFrame"]]:
    """Let a function that yields lines return a frame of these columns, also where there are no lines."""

    def decorated(lines: Callable[[Any], Iterable[Any]]) -> Callable[[Any], "pd.DataFrame"]:
        def frame(source: Any) -> "pd.DataFrame":
            import pandas as pd

            return pd.DataFrame(list(lines(source)), columns=columns.split())

        frame.__doc__ = lines.__doc__
        return frame

    return decorated


@dataclass(frozen=True)
class Row:
    """All runs of one point of a study, and what it is called."""

    values: Values  # of everything that counts
    runs: Runs  # finished, one per seed
    repeats: Runs  # finished with the same seed and the same meaning: never counted twice
    unfinished: Runs
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
        last = self.defence.rpartition(" ")[2]  # "top k" and "k = 3" make "top k = 3"
        return f"{self.defence} {self.strength.removeprefix(f'{last} ')}".strip()

    @property
    def order(self) -> tuple[tuple[float, ...], str]:
        """What strengths of one defence are sorted by, the weakest first."""
        return tuple(one.rank for one in self.defences), self.strength

    @property
    def who(self) -> str:
        """What the attacker knows."""
        return EITHER if not self.is_defended else KNOWS if self.is_known else KNOWS_NOT

    @property
    def all_runs(self) -> Runs:
        """Finished runs, repeats and those that did not finish."""
        return (*self.runs, *self.repeats, *self.unfinished)


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
    unreadable: Runs = ()  # runs whose config cannot be read: they are left out
    notes: tuple[str, ...] = ()  # on configs of another version

    def estimate(self, row: int, metric: str) -> Estimate:
        """Return what is known of a metric at a row; NaN where nothing is."""
        return self.estimates.get((row, metric), Estimate())

    def words(self, row: Row) -> str:
        """Return the whole setting in words."""
        who = row.who if self.has_both and row.is_defended else ""
        return ", ".join(filter(None, [row.place, row.words if self.has_defences else "", who])) or "all runs"

    def fair(self, *metrics: str) -> list[int]:
        """Return the rows whose attacker knows the defence and whose values of these metrics are known."""
        return [
            k for k in self.finished if self.rows[k].is_known and all(self.estimate(k, m).is_known for m in metrics)
        ]

    @cached_property
    def finished(self) -> list[int]:
        """Positions of the rows that have a result."""
        return [k for k, row in enumerate(self.rows) if row.runs]

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line for each run that is left out."""
        return tuple(f"{run.name}: its config.yaml cannot be read, so that it is left out" for run in self.unreadable)

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
        """Return the strengths of some defences or of all, the weakest first; "none", where it was tried, leads."""
        chosen = self.settings["defence"].isin([NO_DEFENCE, *(defences or self.defences)])
        return list(dict.fromkeys(self.settings[chosen].sort_values("order")["strength"]))

    @cached_property
    def number_axes(self) -> list[str]:
        """The axes along which every finished row has a number."""
        return [key for key in self.axes if all(is_number(self.rows[k].values.get(key)) for k in self.finished)]

    @cached_property
    def settings(self) -> "pd.DataFrame":
        """A line per finished row: `s` (its position) and everything that figures show of it but its metrics."""
        import pandas as pd

        orders, lines = sorted({row.order for row in self.rows}), []
        for k in self.finished:
            row = self.rows[k]
            lines.append(
                {"s": k, "words": self.words(row), "place": row.place or "all", "other": row.other,
                 "panel": row.place if self.has_defences else row.other,
                 "size": row.size, "n": f"n = {size_words(row.size)}",
                 "label": row.words if self.has_defences else row.place or "all runs", "defence": row.defence,
                 "strength": row.strength or ("on" if row.defences else "none"), "who": row.who,
                 "order": orders.index(row.order) + 1 if row.defences else 0,
                 "runs": len(row.runs), "run": row.runs[0].id, "command": row.runs[0].tags.get("mia.command", "")}
                | {axis_field(key): row.values[key] for key in self.number_axes}
                | {f"rest_{axis_field(key)}": in_words(row.values, self.axes, key) or "all" for key in self.number_axes}
            )  # fmt: skip
        return pd.DataFrame(lines)

    @cached_property
    @framed("s a m v l h sd")
    def points(self) -> Iterable[Any]:
        """A line per row and metric: `s`, `a` (the attack, or empty), `m`, value `v`, interval `l` to `h`, `sd`."""
        return [(k, *split_metric(m), e.value, e.low, e.high, e.deviation) for (k, m), e in self.estimates.items()]


def is_ordered(settings: Sequence[Sequence[Setting]]) -> bool:
    """Whether settings of the same defences lie on a line from weak to strong: they differ in one strength only."""
    ranks = [tuple(one.rank for one in defences) for defences in settings]
    return len(set(ranks)) == len(ranks) and sum(len(set(each)) > 1 for each in zip(*ranks, strict=True)) < 2


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
    shown = [key for key in keys if key in values and key not in without]
    return ", ".join(f"{key_words(key)} {value_words(values[key])}" for key in shown)


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


def sort_key(value: Any) -> tuple[float, str]:
    """Return what values of any kind are sorted by: numbers by size, then words."""
    return (float(value), "") if is_number(value) else (math.inf, str(value))
