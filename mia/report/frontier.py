"""The frontier: utility against leakage, one line per defence, against an attacker who knows and one who does not.

Takes a sweep, gives the exhibit. The Pareto front holds the settings than which none has both more utility and less
leakage; it is drawn over attackers who know the defence, since a defence that fools only the others protects nobody.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from mia.report import style
from mia.report.chart import Axis, Chart, Exhibit, Guide, Series, Variants, extent, shared_limits
from mia.report.lines import UTILITY, bounds, estimate_words, grouped, leakage_metrics, unknowing_entry
from mia.report.placing import span
from mia.report.settings import Setting, Sweep
from mia.report.words import metric_words, number_words, value_words

CHANCE = ("auc", "accuracy", "precision")
LEAKAGE = ("auc", "accuracy", "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")
PRICE = 0.01
"""Test accuracy that the sentence over the figure is ready to pay."""


def frontier_exhibits(sweep: Sweep) -> list[Exhibit]:
    """Return the frontier, if two settings or more have utility and leakage."""
    variants: Variants = {}
    for attack, metric in leakage_metrics(sweep, LEAKAGE):
        charts = _charts(sweep, attack, metric)
        if charts:
            variants[attack, metric_words(metric)] = charts
    if not variants:
        return []
    attack, words = next(iter(variants))
    metric = next(m for a, m in leakage_metrics(sweep, LEAKAGE) if (a, metric_words(m)) == (attack, words))
    knows = (
        " Filled marks: the attacker knows the defence; hollow marks: the attacker does not."
        if _has_both(sweep)
        else ""
    )
    caption = (
        "Up and to the left is better. Bars: deviation over seeds, or the 95% interval of a single run. Thick line: "
        f"the Pareto front against the attacker who knows the defence.{knows} {price_words(sweep, attack, metric)}"
    )
    title = "Utility against leakage"
    return [Exhibit("frontier", title, caption.strip(), variants, ("attack", "leakage"), print_each="leakage")]


def _has_both(sweep: Sweep) -> bool:
    return len({s.is_adaptive for s in sweep.finished}) > 1


def _charts(sweep: Sweep, attack: str, metric: str) -> list[Chart]:
    """Return a panel for each size (and each of the other axes)."""
    name = f"attack/{attack}/{metric}"
    known = [s for s in sweep.finished if s.estimate(name).is_known and s.estimate(UTILITY).is_known]
    has_defences = any(s.defence.name for s in known)
    panels = grouped(known, lambda s: s.place if has_defences else s.other)
    roles = {words: role for role, words in enumerate(dict.fromkeys(s.defence.name for s in known if s.defence.name))}
    charts = [
        _chart(
            settings[0].place if has_defences else settings[0].other,
            settings,
            name,
            roles,
            f"{metric_words(metric)} of {attack}",
        )
        for settings in panels.values()
        if len(settings) > 1
    ]
    return shared_limits(charts, "x", span([v for chart in charts for v in extent(chart, "x")]))


def _chart(title: str, settings: Sequence[Setting], metric: str, roles: dict[str, int], label: str) -> Chart:
    front = pareto_front([s for s in settings if s.is_adaptive] or settings, metric)
    series = [_front_steps(front, metric)]
    plain = [s for s in settings if not s.defence.name]
    lines = grouped([s for s in settings if s.defence.name], lambda s: (s.defence.name, s.is_adaptive))
    series += [
        _defence_line(
            [*plain[:1], *points], metric, name, roles[name], is_known=is_known, with_known=(name, True) in lines
        )
        for (name, is_known), points in lines.items()
    ]
    if plain:
        series.append(_plain_points(plain, metric))
    if any(one.is_hollow for one in series):
        series.append(unknowing_entry())
    guides = [Guide(0.5, "chance", is_vertical=True)] if metric.rpartition("/")[2] in CHANCE else []
    return Chart(title, Axis(label), Axis("test accuracy"), series, guides, height=1.15)


def _front_steps(front: Sequence[Setting], metric: str) -> Series:
    """Return the front as steps: between two settings nothing is better than the one that leaks less."""
    corners = [(s.estimate(metric).value, s.estimate(UTILITY).value) for s in front]
    steps = corners[:1]
    for (_, before), (x, y) in pairwise(corners):
        steps += [(x, before), (x, y)]
    return Series("Pareto front", [x for x, _ in steps], [y for _, y in steps], colour="quiet", width=6.0, opacity=0.35)


def _defence_line(
    settings: Sequence[Setting], metric: str, name: str, role: int, *, is_known: bool, with_known: bool
) -> Series:
    """Return a defence's line over its strengths; it starts at no defence, whose own mark is drawn elsewhere.

    Beside the line of the attacker who knows, that of the other goes without labels and legend.
    """
    ordered = sorted(settings, key=lambda s: (bool(s.defence.name), s.defence.order))
    labels = [s.defence.text if s.defence.name else "" for s in ordered] if is_known or not with_known else []
    colour, mark = style.category_colour(role), style.category_mark(role + 1)
    return _series(name, ordered, metric, labels, colour=colour, mark=mark, is_known=is_known)


def _plain_points(settings: Sequence[Setting], metric: str) -> Series:
    """Return the settings without a defence: the start of every line; where there are several they differ in size."""
    sizes = {s.size for s in settings}
    ordered = sorted(settings, key=lambda s: s.size)
    if len(sizes) < 2:
        ordered = ordered[:1]
    labels = [f"n = {number_words(s.size)}" if len(sizes) > 1 else "none" for s in ordered]
    return _series("no defence", ordered, metric, labels, colour="ink", mark="circle", is_known=True)


def _series(
    name: str,
    settings: Sequence[Setting],
    metric: str,
    labels: Sequence[str],
    *,
    colour: str,
    mark: str,
    is_known: bool,
) -> Series:
    leakage = [s.estimate(metric) for s in settings]
    utility = [s.estimate(UTILITY) for s in settings]
    hover = [
        f"{s.words}\ntest accuracy {estimate_words(u)}\n{metric_words(metric)} {estimate_words(e)}"
        for s, u, e in zip(settings, utility, leakage, strict=True)
    ]
    return Series(
        name,
        [e.value for e in leakage],
        [e.value for e in utility],
        shape="line+points",
        colour=colour,
        mark=mark,
        is_hollow=not is_known,
        is_dashed=not is_known,
        width=1.3,
        x_bounds=bounds(leakage),
        y_bounds=bounds(utility),
        labels=labels,
        hover=hover,
        in_legend=is_known or bool(labels),
    )


def pareto_front(settings: Sequence[Setting], metric: str) -> list[Setting]:
    """Return the settings that no other beats in both leakage (less) and utility (more), by rising leakage."""

    def worth(setting: Setting) -> tuple[float, float]:
        return setting.estimate(metric).value, -setting.estimate(UTILITY).value

    front: list[Setting] = []
    best = -math.inf
    for setting in sorted(settings, key=worth):
        utility = setting.estimate(UTILITY).value
        if utility > best:
            front.append(setting)
            best = utility
    return front


def price_words(sweep: Sweep, attack: str, metric: str, price: float = PRICE) -> str:
    """Return in a sentence which defence leaks least at (almost) no cost, for each size; empty where none is cheap."""
    name = f"attack/{attack}/{metric}"
    lines = []
    for place, settings in grouped(sweep.finished, lambda s: s.place).items():
        known = [s for s in settings if s.is_adaptive and s.estimate(name).is_known and s.estimate(UTILITY).is_known]
        plain = next((s for s in known if not s.defence.name), None)
        cheap = [
            s
            for s in known
            if s.defence.name and plain and s.estimate(UTILITY).value >= plain.estimate(UTILITY).value - price
        ]
        if plain is None or not cheap:
            continue
        best = min(cheap, key=lambda s: s.estimate(name).value)
        if best.estimate(name).high < plain.estimate(name).value:  # by more than chance
            before, after = (value_words(s.estimate(name).value) for s in (plain, best))
            lines.append(f"{f'{place}: ' if place else ''}{best.defence.words} ({before} to {after})")
    if not lines or len(lines) > 4:
        return ""
    what = f"Lowest {metric_words(metric)} of {attack} at a cost of at most one point of test accuracy"
    return f"{what}: {'; '.join(lines)}."
