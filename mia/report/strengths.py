"""Leakage by defence: against size with a line per strength, and against strength with a line per size.

Takes a sweep, gives exhibits. No defence is strength zero of every defence.
"""

import math
from collections.abc import Callable, Sequence

from mia.report import style
from mia.report.chart import Axis, Chart, Exhibit, Guide, Series, Variants, extent, shared_limits
from mia.report.lines import UTILITY, estimates_series, grouped, leakage_metrics, number_axis, unknowing_entry
from mia.report.placing import span
from mia.report.settings import SIZE, Setting, Sweep
from mia.report.words import metric_words, number_words

CHANCE = Guide(0.5, "chance")
HAS_CHANCE = ("auc", "accuracy", "precision")
WHO = "Dashed with hollow marks: an attacker who does not know of the defence."

Lines = Callable[[Sequence[Setting], Sequence[Setting], str], tuple[Axis, list[Series]]]


def strength_exhibits(sweep: Sweep) -> list[Exhibit]:
    """Return what can be drawn about the strengths of defences; nothing where none varies."""
    if not any(setting.defence.name for setting in sweep.finished):
        return []
    found = [_over_strength(sweep), *([_over_size(sweep)] if SIZE in sweep.axes else [])]
    return [exhibit for exhibit in found if exhibit.variants]


def _over_size(sweep: Sweep) -> Exhibit:
    """Return one panel per defence: a line per strength over the sizes."""
    names = {(a, metric_words(m)): f"attack/{a}/{m}" for a, m in leakage_metrics(sweep)}
    return Exhibit(
        "leakage_by_size",
        "Leakage against size, for each strength",
        f"One line per strength. {WHO}",
        _variants(sweep, names, _size_lines),
        ("attack", "metric"),
    )


def _over_strength(sweep: Sweep) -> Exhibit:
    """Return one panel per defence: a line per size over the strengths."""
    names = {(a, metric_words(m)): f"attack/{a}/{m}" for a, m in leakage_metrics(sweep)}
    names |= {(attack, metric_words(UTILITY)): UTILITY for attack in dict.fromkeys(attack for attack, _ in names)}
    return Exhibit(
        "leakage_by_strength",
        "Leakage against the strength of the defence",
        f"One line per size. {WHO}",
        _variants(sweep, names, _strength_lines),
        ("attack", "metric"),
    )


def _variants(sweep: Sweep, names: dict[tuple[str, str], str], lines: Lines) -> Variants:
    panels = {key: _panels(sweep, metric, lines) for key, metric in names.items()}
    return {key: charts for key, charts in panels.items() if charts}


def _panels(sweep: Sweep, metric: str, lines: Lines) -> list[Chart]:
    """Return a panel for each defence (and each of the other axes), those without a line left out."""
    guides = [CHANCE] if metric.rpartition("/")[2] in HAS_CHANCE else []
    charts = []
    for other, settings in grouped(sweep.finished, lambda s: s.other).items():
        plain = [s for s in settings if not s.defence.name]
        for name in dict.fromkeys(s.defence.name for s in settings if s.defence.name):
            strong = [s for s in settings if s.defence.name == name]
            axis, series = lines(plain, strong, metric)
            if series:
                title = ", ".join(part for part in (name, other) if part)
                charts.append(Chart(title, axis, Axis(metric_words(metric)), series, guides))
    return shared_limits(charts, "y", span([v for chart in charts for v in extent(chart, "y")]))


def _size_lines(plain: Sequence[Setting], strong: Sequence[Setting], metric: str) -> tuple[Axis, list[Series]]:
    texts = _strengths(strong)
    colours = dict(zip(texts, style.ramp(len(texts)), strict=True))
    series = []
    if len(unique_sizes(plain)) > 1:
        series.append(_line("no defence", [(s.size, s) for s in plain], metric, colour="ink", role=0, is_known=True))
    for (text, is_known), settings in grouped(strong, lambda s: (s.defence.text, s.is_adaptive)).items():
        if len(unique_sizes(settings)) > 1:
            points = [(s.size, s) for s in settings]
            role = 1 + texts.index(text)
            series.append(_line(text or "on", points, metric, colour=colours[text], role=role, is_known=is_known))
    series += [unknowing_entry()] if any(one.is_hollow for one in series) else []
    return number_axis("size of the training set", [s.size for s in (*plain, *strong)]), series


def _strength_lines(plain: Sequence[Setting], strong: Sequence[Setting], metric: str) -> tuple[Axis, list[Series]]:
    place = {text: float(k) for k, text in enumerate(_strengths(strong), start=1)}
    sizes = unique_sizes([*plain, *strong]) or [math.nan]
    colours = style.ramp(len(sizes))
    series = []
    for (size, is_known), settings in grouped(strong, lambda s: (s.size, s.is_adaptive)).items():
        start = [s for s in plain if s.size == size or len(sizes) == 1][:1]
        points = [(0.0, s) for s in start] + [(place[s.defence.text], s) for s in settings]
        if len(points) > 1:
            role = sizes.index(size) if size in sizes else 0
            name = f"n = {number_words(size)}" if len(sizes) > 1 else metric_words(metric)
            series.append(_line(name, points, metric, colour=colours[role], role=role, is_known=is_known))
    series += [unknowing_entry()] if any(one.is_hollow for one in series) else []
    ticks = ({0.0: "none"} if plain else {}) | {where: text or "on" for text, where in place.items()}
    return Axis("strength", ticks=ticks, limits=(min(ticks) - 0.3, max(ticks) + 0.3)), series


def _strengths(settings: Sequence[Setting]) -> list[str]:
    """Return the strengths that occur, in words, rising."""
    ordered = sorted(settings, key=lambda s: s.defence.order)
    return list(dict.fromkeys(s.defence.text for s in ordered))


def unique_sizes(settings: Sequence[Setting]) -> list[float]:
    """Return the sizes that occur, rising; settings of unknown size have none."""
    return sorted({s.size for s in settings if not math.isnan(s.size)})


def _line(
    name: str, points: Sequence[tuple[float, Setting]], metric: str, *, colour: str, role: int, is_known: bool
) -> Series:
    ordered = sorted(points, key=lambda point: point[0])
    x, settings = [place for place, _ in ordered], [setting for _, setting in ordered]
    return estimates_series(name, settings, x, metric, role=role, colour=colour,
                            is_dashed=not is_known, is_hollow=not is_known, in_legend=is_known)  # fmt: skip
