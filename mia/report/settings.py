"""The settings of a sweep: runs that differ in nothing but their seed, with means and deviations.

Takes stored runs, gives groups and estimates. Where a setting was run once, an estimate carries the run's own 95%
interval; where it was run with several seeds, mean and deviation over them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mia.metrics.rates import clopper_pearson
from mia.records import StoredRun
from mia.report.axes import as_number, is_true
from mia.report.defence import Defence, is_defence_key
from mia.report.words import as_value_words, key_words, number_words

SIZE, ADAPTIVE = "split.size", "attacker.adaptive"
RATES_OVER_SIZE = ("target/test_accuracy", "target/train_accuracy")
"""Rates over `split.size` records each, whose intervals follow from that number."""


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of what is drawn around it."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    deviation: float = math.nan  # over seeds; NaN for one run
    count: int = 0  # runs behind it

    @property
    def is_known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)


@dataclass(frozen=True)
class Setting:
    """All runs of one point of the sweep."""

    values: Mapping[str, str]  # of the axes; an axis that the runs lack is left out
    runs: tuple[StoredRun, ...]  # finished, by seed
    unfinished: tuple[StoredRun, ...]  # failed, killed or still running
    defence: Defence
    knowledge_matters: bool = False  # whether it was tried with both attackers, or has a defence to know of
    repeats: tuple[StoredRun, ...] = ()  # finished, with the same results as `runs`: never counted twice
    named: tuple[str, ...] = ()  # other axes that say which set-up this is, without those that follow from them

    @property
    def size(self) -> float:
        """Records that the target trained on; NaN if unknown."""
        number = as_number(self._param(SIZE))
        return math.nan if number is None else number

    @property
    def is_adaptive(self) -> bool:
        """Whether the attacker knows the defence (one against no defence knows all there is)."""
        return not self.knowledge_matters or self._param(ADAPTIVE) is None or is_true(self._param(ADAPTIVE))

    @cached_property
    def other(self) -> str:
        """What else varies, in words: neither size nor defence nor the attacker's knowledge."""
        rest = {k: v for k, v in self.values.items() if k in self.named}
        return ", ".join(f"{key_words(key)} {as_value_words(value)[0]}" for key, value in rest.items())

    @cached_property
    def place(self) -> str:
        """What data and set-up the defence was tried on, in words."""
        size = [f"n = {number_words(self.size)}"] if SIZE in self.values else []
        return ", ".join([*size, *([self.other] if self.other else [])])

    @cached_property
    def words(self) -> str:
        """The whole setting in words."""
        parts = [self.other] if self.other else []
        if SIZE in self.values:
            parts.append(f"n = {number_words(self.size)}")
        if self.defence.name or any(is_defence_key(key) for key in self.values):
            parts.append(self.defence.words)
        if ADAPTIVE in self.values and self.knowledge_matters:
            parts.append("adaptive" if self.is_adaptive else "non-adaptive")
        return ", ".join(parts) or "all runs"

    @cached_property
    def _known(self) -> dict[str, Estimate]:
        return {}

    def estimate(self, metric: str) -> Estimate:
        """Return a metric's mean over the finished runs that have it."""
        if metric not in self._known:
            self._known[metric] = self._estimate(metric)
        return self._known[metric]

    def _estimate(self, metric: str) -> Estimate:
        having = [run for run in self.runs if math.isfinite(run.metrics.get(metric, math.nan))]
        if not having:
            return Estimate()
        values = np.array([run.metrics[metric] for run in having])
        if len(values) == 1:
            return Estimate(float(values[0]), *self._interval(having[0], metric), count=1)
        mean, deviation = float(values.mean()), float(values.std(ddof=1))
        return Estimate(mean, mean - deviation, mean + deviation, deviation, len(values))

    def _interval(self, run: StoredRun, metric: str) -> tuple[float, float]:
        value = run.metrics[metric]
        count = int(self.size) if math.isfinite(self.size) else 0
        if f"{metric}_low" in run.metrics:
            return run.metrics[f"{metric}_low"], run.metrics.get(f"{metric}_high", value)
        if metric in RATES_OVER_SIZE and count > 0 and 0 <= value <= 1:
            return clopper_pearson(round(value * count), count)[1:]
        return value, value

    def _param(self, key: str) -> str | None:
        return next((run.params.get(key) for run in (*self.runs, *self.unfinished)), None)


@dataclass(frozen=True)
class Sweep:
    """What the report draws."""

    axes: tuple[str, ...]
    settings: tuple[Setting, ...]  # in the order of tables
    attacks: tuple[str, ...]  # the one to show first is the first

    @property
    def finished(self) -> tuple[Setting, ...]:
        """Settings that have a result."""
        return tuple(setting for setting in self.settings if setting.runs)

    @property
    def runs(self) -> tuple[StoredRun, ...]:
        """All finished runs, repeats among them."""
        return tuple(run for setting in self.settings for run in (*setting.runs, *setting.repeats))

    @property
    def unfinished(self) -> tuple[StoredRun, ...]:
        """Runs that failed, were killed or are still running."""
        return tuple(run for setting in self.settings for run in setting.unfinished)


def is_other_key(axis: str) -> bool:
    """Whether an axis is neither size nor defence nor the attacker's knowledge."""
    return axis not in (SIZE, ADAPTIVE) and not is_defence_key(axis)
