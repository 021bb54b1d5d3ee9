"""Settings to series: what the figures of a sweep have in common.

Takes settings and metric names, gives series with intervals and texts for hovering, and the choices a reader has.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from mia.report import style
from mia.report.chart import Axis, Series
from mia.report.settings import Estimate, Setting, Sweep
from mia.report.words import metric_words, number_words, value_words

LEAKAGE = ("auc", "accuracy", "precision", "recall", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")
UTILITY = "target/test_accuracy"
MOST_ATTACKS = 12

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Return items by key, in the order in which the keys appear."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def leakage_metrics(sweep: Sweep, metrics: Sequence[str] = LEAKAGE) -> list[tuple[str, str]]:
    """Return the pairs of attack and leakage metric that some setting has, the foremost first."""
    return [
        (attack, metric)
        for attack in sweep.attacks[:MOST_ATTACKS]
        for metric in metrics
        if any(setting.estimate(f"attack/{attack}/{metric}").is_known for setting in sweep.finished)
    ]


def estimates_series(
    name: str,
    settings: Sequence[Setting],
    x: Sequence[float],
    metric: str,
    *,
    role: int = 0,
    colour: str = "",
    **look: object,
) -> Series:
    """Return a metric of settings as a line with error bars; `role` picks colour and mark."""
    found = [setting.estimate(metric) for setting in settings]
    return Series(
        name,
        x,
        [e.value for e in found],
        shape="line+points",
        colour=colour or style.category_colour(role),
        mark=style.category_mark(role),
        y_bounds=bounds(found),
        hover=[f"{s.words}\n{metric_words(metric)} {estimate_words(e)}" for s, e in zip(settings, found, strict=True)],
        **look,  # type: ignore[arg-type]
    )


def unknowing_entry() -> Series:
    """Return what the legend says about dashed lines with hollow marks; it draws nothing."""
    return Series("attacker does not know of the defence", [math.nan], [math.nan], shape="line+points", colour="quiet",
                  is_hollow=True, is_dashed=True)  # fmt: skip


def bounds(estimates: Sequence[Estimate]) -> tuple[list[float], list[float]]:
    """Return the ends of estimates."""
    return [e.low for e in estimates], [e.high for e in estimates]


def estimate_words(estimate: Estimate) -> str:
    """Return a value with what is drawn around it."""
    text = value_words(estimate.value)
    if estimate.count > 1:
        return f"{text} ± {estimate.deviation:.3f} ({estimate.count} seeds)"
    if estimate.low < estimate.high:
        return f"{text} [{value_words(estimate.low)}, {value_words(estimate.high)}]"
    return text


def number_axis(label: str, values: Iterable[float]) -> Axis:
    """Return an axis with a tick at each value, logarithmic where they spread over more than a factor of eight."""
    known = sorted(set(values))
    is_log = bool(known) and known[0] > 0 and known[-1] / known[0] >= 8
    ticks = {value: number_words(value) for value in _apart(known, is_log=is_log)}
    return Axis(label, is_log=is_log, ticks=ticks)


def _apart(values: Sequence[float], *, is_log: bool) -> list[float]:
    """Return the values whose ticks would not run into one another."""
    if len(values) < 2:
        return list(values)
    least = (values[-1] / values[0]) ** 0.08 if is_log else (values[-1] - values[0]) * 0.08
    kept = [values[0]]
    for value in values[1:]:
        if (value / kept[-1] if is_log else value - kept[-1]) >= least:
            kept.append(value)
    return kept
