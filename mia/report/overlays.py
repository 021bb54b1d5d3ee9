"""Curves and bars of several settings over one another: ROC, and precision by class.

Takes a sweep and the files of its runs; gives exhibits. Of several seeds the first is drawn.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from mia.records import StoredRun
from mia.report import style
from mia.report.chart import Chart, Exhibit, Variants
from mia.report.classes import class_chart
from mia.report.files import Files
from mia.report.lines import grouped
from mia.report.roc import roc_chart, roc_series
from mia.report.settings import ADAPTIVE, SIZE, Setting, Sweep
from mia.report.words import number_words

MOST_ATTACKS, MOST_LINES, MOST_BARS = 5, 10, 5
POINTS = 90  # of a curve: a page holds hundreds of them


def overlay_exhibits(sweep: Sweep, files: Files) -> list[Exhibit]:
    """Return ROC overlays, bars by class, and gap against precision by class, where the files are there."""
    groups = overlays(sweep)
    found = [
        _exhibit(
            "roc",
            "True against false positives",
            "Logarithmic axes: what counts is the left end, where few non-members are accused. Dashed grey: guessing.",
            {(a, w): _roc_charts(a, w, g, files) for a in sweep.attacks[:MOST_ATTACKS] for w, g in groups.items()},
        ),
        _exhibit(
            "per_class",
            "Precision by class",
            "Lines on the bars: 95% intervals. At the dashed line the attack is no better than guessing.",
            {(a, w): _class_charts(a, g, files) for a in sweep.attacks[:MOST_ATTACKS] for w, g in groups.items()},
        ),
    ]
    return [exhibit for exhibit in found if exhibit is not None]


def _exhibit(name: str, title: str, caption: str, variants: Variants) -> Exhibit | None:
    filled = {key: charts for key, charts in variants.items() if charts}
    if not filled:
        return None
    if len({words for _, words in filled}) == 1:
        return Exhibit(name, title, caption, {(attack,): charts for (attack, _), charts in filled.items()}, ("attack",))
    return Exhibit(name, title, caption, filled, ("attack", "settings"))


def overlays(sweep: Sweep) -> dict[str, list[tuple[str, Setting]]]:
    """Return which settings are drawn over one another, by what they share, each with its name in the legend."""
    if not any(s.defence.name for s in sweep.finished):
        by_other = grouped(sweep.finished, lambda s: s.other)
        if SIZE in sweep.axes and any(len(group) > 1 for group in by_other.values()):
            return {
                w: [(f"n = {number_words(s.size)}", s) for s in group[:MOST_LINES]] for w, group in by_other.items()
            }
        return {"": [(s.words, s) for s in sweep.finished[:MOST_LINES]]}
    overlays: dict[str, list[tuple[str, Setting]]] = {}
    for place, settings in grouped(sweep.finished, lambda s: s.place).items():
        plain = [("no defence", s) for s in settings if not s.defence.name][:1]
        strong = [s for s in settings if s.defence.name]
        for (name, is_known), group in grouped(strong, lambda s: (s.defence.name, s.is_adaptive)).items():
            parts = [name, place]
            parts += [] if ADAPTIVE not in sweep.axes else ["adaptive" if is_known else "non-adaptive"]
            lines = [(s.defence.words, s) for s in group[: MOST_LINES - 1]]
            overlays[", ".join(part for part in parts if part)] = plain + lines
    return overlays


def _roc_charts(attack: str, words: str, lines: Sequence[tuple[str, Setting]], files: Files) -> list[Chart]:
    found = [(name, scores_of(setting.runs[0], attack, files)) for name, setting in lines]
    known = [(name, *scores) for name, scores in found if scores is not None]
    colours = style.line_colours([name for name, *_ in known])
    series = [
        roc_series(name, score, member, colour, points=POINTS)
        for (name, score, member), colour in zip(known, colours, strict=True)
    ]
    if not series:
        return []
    nonmembers = max(int((~member).sum()) for _, _, member in known)
    return [roc_chart(": ".join(part for part in (attack, words) if part), series, nonmembers)]


def scores_of(run: StoredRun, attack: str, files: Files) -> tuple[Float[np.ndarray, "Q"], Bool[np.ndarray, "Q"]] | None:
    """Return an attack's scores on a run's records and who is a member, if they are stored."""
    arrays = files.scores(run)
    if arrays is None or attack not in arrays:
        return None
    return arrays[attack].astype(float), arrays["member"].astype(bool)


def _class_charts(attack: str, lines: Sequence[tuple[str, Setting]], files: Files) -> list[Chart]:
    tables = [(name, files.per_class(setting.runs[0])) for name, setting in spread(lines, MOST_BARS)]
    chart = class_chart(attack, [(name, rows) for name, rows in tables if rows])
    return [chart] if chart else []


def spread(items: Sequence[tuple[str, Setting]], most: int) -> Sequence[tuple[str, Setting]]:
    """Return at most `most` items, first and last among them."""
    if len(items) <= most:
        return items
    return [items[round(k * (len(items) - 1) / (most - 1))] for k in range(most)]
