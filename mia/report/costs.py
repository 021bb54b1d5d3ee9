"""What each setting cost: seconds per stage.

Takes a sweep, gives the exhibit. Means over seeds; stages that a run skipped (a pool already trained) cost nothing.
"""

import math
import re
from collections.abc import Sequence

from mia.report import style
from mia.report.chart import Axis, Chart, Exhibit, Series
from mia.report.settings import Setting, Sweep

MOST = 30


def cost_exhibits(sweep: Sweep) -> list[Exhibit]:
    """Return the stacked bars of stages, for the settings that took longest."""
    stages = stage_names(sweep)
    if not stages:
        return []
    ordered = sorted(sweep.finished, key=lambda s: _total(s, stages), reverse=True)
    shown = ordered[:MOST][::-1]
    total = sum(_total(s, stages) * len(s.runs) for s in sweep.finished)
    more = f" The {MOST} longest of {len(ordered)} settings are shown." if len(ordered) > MOST else ""
    caption = f"Mean per run.{more} Settings whose models another run had trained already show no time for training."
    chart = Chart(
        f"{duration_words(total)} in all",
        Axis("seconds per run"),
        Axis("", ticks={float(k): _short(s.words) for k, s in enumerate(shown)}, limits=(-0.6, len(shown) - 0.4)),
        _bars(shown, stages),
        height=max(0.7, 0.35 + 0.06 * len(shown)),
    )
    return [Exhibit("cost", "Time per stage", caption, {(): [chart]})]


def stage_names(sweep: Sweep) -> list[str]:
    """Return the stages that were timed, in the order in which runs report them."""
    timed = (name for run in sweep.runs for name, seconds in run.metrics.items() if seconds > 0)
    names = dict.fromkeys(name for name in timed if re.fullmatch(r"time/.+_seconds", name))
    return [name.removeprefix("time/").removesuffix("_seconds") for name in names if name != "time/total_seconds"]


def _seconds(setting: Setting, stage: str) -> float:
    value = setting.estimate(f"time/{stage}_seconds").value
    return value if math.isfinite(value) else 0.0


def _total(setting: Setting, stages: Sequence[str]) -> float:
    return sum(_seconds(setting, stage) for stage in stages)


def _bars(settings: Sequence[Setting], stages: Sequence[str]) -> list[Series]:
    base = [0.0] * len(settings)
    series = []
    for role, stage in enumerate(stages):
        seconds = [_seconds(s, stage) for s in settings]
        hover = [f"{s.words}\n{stage}: {duration_words(v)}" for s, v in zip(settings, seconds, strict=True)]
        series.append(Series(stage, seconds, [float(k) for k in range(len(settings))], shape="hbars", base=base,
                             colour=style.category_colour(role), hover=hover))  # fmt: skip
        base = [a + b for a, b in zip(base, seconds, strict=True)]
    return series


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def duration_words(seconds: float) -> str:
    """Return a duration as people say it: 42 s, 3.5 min, 2.1 h."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
