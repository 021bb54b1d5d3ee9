"""Settings beside one another where they differ in words, such as data sets or models.

Takes a sweep, gives the exhibit. Defences have figures of their own.
"""

from collections.abc import Sequence

from mia.report.chart import Axis, Chart, Exhibit, Guide, Series, Variants
from mia.report.lines import UTILITY, bounds, estimate_words, leakage_metrics
from mia.report.settings import Setting, Sweep, is_other_key
from mia.report.words import metric_words

MOST = 40
SHOWN = ("precision", "recall", "auc")


def comparison_exhibits(sweep: Sweep) -> list[Exhibit]:
    """Return leakage and utility of every setting as lying dots, for each attack; at most `MOST` settings."""
    settings = sweep.finished[:MOST][::-1]
    has_words = any(is_other_key(axis) for axis in sweep.axes)
    if len(settings) < 2 or not has_words or any(s.defence.name for s in sweep.finished):
        return []
    attacks = dict.fromkeys(attack for attack, _ in leakage_metrics(sweep))
    variants: Variants = {(attack,): comparison_charts(settings, attack) for attack in attacks}
    caption = "Bars: deviation over seeds, or the 95% interval of a single run. Dashed: guessing."
    return [Exhibit("settings", "The settings compared", caption, variants, ("attack",))] if variants else []


def comparison_charts(settings: Sequence[Setting], attack: str) -> list[Chart]:
    """Return a chart for each metric of the attack, and one for the target's accuracy."""
    names = [(metric_words(m), f"attack/{attack}/{m}", [Guide(0.5, "chance", is_vertical=True)]) for m in SHOWN]
    names.append((metric_words(UTILITY), UTILITY, []))
    return [
        _chart(settings, word, metric, guides)
        for word, metric, guides in names
        if any(s.estimate(metric).is_known for s in settings)
    ]


def _chart(settings: Sequence[Setting], word: str, metric: str, guides: Sequence[Guide]) -> Chart:
    rows = [float(k) for k in range(len(settings))]
    found = [s.estimate(metric) for s in settings]
    hover = [f"{s.words}\n{word} {estimate_words(e)}" for s, e in zip(settings, found, strict=True)]
    series = Series(word, [e.value for e in found], rows, shape="points", x_bounds=bounds(found), hover=hover)
    ticks = dict(zip(rows, [s.words for s in settings], strict=True))
    y = Axis("", limits=(-0.6, len(settings) - 0.4), ticks=ticks)
    title = word if metric == UTILITY else f"{metric.split('/')[1]}: {word}"
    return Chart(title, Axis(word), y, [series], guides, height=max(0.6, 0.3 + 0.07 * len(settings)))
