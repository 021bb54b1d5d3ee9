"""Leakage against overfitting: train - test accuracy of settings and of classes.

Takes a sweep and the files of its runs; gives the exhibit.
"""

import math
from collections.abc import Sequence

from mia.report import style
from mia.report.chart import Axis, Chart, Exhibit, Guide, Series, Variants
from mia.report.classes import Row, number
from mia.report.files import Files
from mia.report.lines import bounds, estimate_words, grouped, leakage_metrics, unknowing_entry
from mia.report.overlays import MOST_BARS, overlays, spread
from mia.report.settings import Setting, Sweep
from mia.report.words import metric_words

GAP = "target/generalization_gap"
MOST_LABELS = 12


def gap_exhibits(sweep: Sweep, files: Files) -> list[Exhibit]:
    """Return the scatter of gap against leakage, over settings and over classes."""
    variants: Variants = {}
    shared, lines = next(iter(overlays(sweep).items()), ("", []))
    for attack, metric in leakage_metrics(sweep):
        charts = [_setting_chart(sweep, attack, metric), class_gap_chart(attack, shared, lines, files)]
        known = [chart for chart in charts if chart is not None]
        if known:
            variants[attack, metric_words(metric)] = known
    caption = "Overfitting is what leaks: each mark is a setting on the left, a class on the right."
    return (
        [Exhibit("gap", "Leakage against the train - test gap", caption, variants, ("attack", "metric"))]
        if variants
        else []
    )


def _setting_chart(sweep: Sweep, attack: str, metric: str) -> Chart | None:
    name = f"attack/{attack}/{metric}"
    known = [s for s in sweep.finished if s.estimate(name).is_known and s.estimate(GAP).is_known]
    if len(known) < 2:
        return None
    roles = list(dict.fromkeys(s.defence.name for s in known))
    series = [
        _setting_points(defence, roles.index(defence), is_known, settings, name)
        for (defence, is_known), settings in grouped(known, lambda s: (s.defence.name, s.is_adaptive)).items()
    ]
    series += [unknowing_entry()] if any(one.is_hollow for one in series) else []
    label = f"{metric_words(metric)} of {attack}"
    return Chart("Each setting", Axis("train - test accuracy of the target"), Axis(label), series)


def _setting_points(defence: str, role: int, is_known: bool, settings: Sequence[Setting], metric: str) -> Series:
    x, y = [s.estimate(GAP) for s in settings], [s.estimate(metric) for s in settings]
    hover = [
        f"{s.words}\ngap {estimate_words(a)}\n{metric_words(metric)} {estimate_words(b)}"
        for s, a, b in zip(settings, x, y, strict=True)
    ]
    return Series(
        defence or "no defence",
        [e.value for e in x],
        [e.value for e in y],
        shape="points",
        colour=style.category_colour(role - 1) if defence else "ink",
        mark=style.category_mark(role),
        is_hollow=not is_known,
        y_bounds=bounds(y),
        hover=hover,
        in_legend=is_known,
    )


def class_gaps(rows: Sequence[Row], attack: str) -> list[tuple[str, float, float]]:
    """Return of each class its name, train - test accuracy, and the attack's precision.

    A class's gap is the advantage of the attack `gap` on it: that attack says member if and only if a record is
    classified correctly.
    """
    gaps = {str(row["class"]): number(row.get("advantage")) for row in rows if row.get("attack") == "gap"}
    precisions = {str(row["class"]): number(row.get("precision")) for row in rows if row.get("attack") == attack}
    found = [(name, gap, precisions.get(name, math.nan)) for name, gap in gaps.items()]
    return [(name, gap, precision) for name, gap, precision in found if math.isfinite(gap) and math.isfinite(precision)]


def class_gap_chart(attack: str, shared: str, lines: Sequence[tuple[str, Setting]], files: Files) -> Chart | None:
    """Return precision against the gap, one point per class and setting."""
    tables = [(name, class_gaps(files.per_class(s.runs[0]) or (), attack)) for name, s in spread(lines, MOST_BARS)]
    tables = [(name, found) for name, found in tables if found]
    if not tables:
        return None
    colours = style.line_colours([name for name, _ in tables])
    series = [
        _class_points(*table, role, colour) for role, (table, colour) in enumerate(zip(tables, colours, strict=True))
    ]
    x, y = Axis("train - test accuracy of the class"), Axis(f"precision of {attack}")
    return Chart(f"Each class{f' ({shared})' if shared else ''}", x, y, series, [Guide(0.5, "chance")])


def _class_points(name: str, found: Sequence[tuple[str, float, float]], role: int, colour: str) -> Series:
    classes, x, y = zip(*found, strict=True)
    return Series(
        name,
        x,
        y,
        shape="points",
        colour=colour,
        mark=style.category_mark(role),
        labels=classes if len(classes) <= MOST_LABELS and role == 0 else (),
        hover=[f"{name}, {one}" for one in classes],
    )
