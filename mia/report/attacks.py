"""The attacks beside one another, for one setting at a time.

Takes a sweep, gives the exhibit.
"""

from collections.abc import Sequence

from mia.report.chart import Axis, Chart, Exhibit, Guide, Series, Variants
from mia.report.lines import bounds, estimate_words
from mia.report.settings import Setting, Sweep
from mia.report.words import metric_words

SHOWN = (("auc", 0.5), ("accuracy", 0.5), ("tpr_at_1pct_fpr", 0.01))  # with what guessing achieves
MOST_SETTINGS = 100


def attack_exhibits(sweep: Sweep) -> list[Exhibit]:
    """Return AUC, accuracy and TPR of every attack; the setting is the reader's choice."""
    variants: Variants = {(s.words,): attack_charts(s, sweep.attacks) for s in sweep.finished[:MOST_SETTINGS]}
    variants = {key: charts for key, charts in variants.items() if charts}
    if not variants:
        return []
    caption = "Bars: deviation over seeds, or the 95% interval of a single run. Dashed: guessing."
    if len(variants) == 1:
        return [Exhibit("attacks", "The attacks compared", caption, {(): next(iter(variants.values()))})]
    return [Exhibit("attacks", "The attacks compared", caption, variants, ("setting",))]


def attack_charts(setting: Setting, attacks: Sequence[str]) -> list[Chart]:
    """Return a chart of lying dots for each metric that some attack has."""
    charts = [_chart(setting, attacks, metric, chance) for metric, chance in SHOWN]
    return [chart for chart in charts if chart.series]


def _chart(setting: Setting, attacks: Sequence[str], metric: str, chance: float) -> Chart:
    names = [name for name in attacks if setting.estimate(f"attack/{name}/{metric}").is_known][::-1]
    rows = [float(k) for k in range(len(names))]
    word = metric_words(metric)
    y = Axis("", limits=(-0.6, len(names) - 0.4), ticks=dict(zip(rows, names, strict=True)))
    guide = Guide(chance, "chance", is_vertical=True)
    height = max(0.6, 0.3 + 0.07 * len(names))
    return Chart(f"{setting.words}: {word}", Axis(word), y, _dots(setting, names, metric), [guide], height)


def _dots(setting: Setting, names: Sequence[str], metric: str) -> list[Series]:
    if not names:
        return []
    found = [setting.estimate(f"attack/{name}/{metric}") for name in names]
    return [
        Series(
            metric_words(metric),
            [e.value for e in found],
            [float(k) for k in range(len(names))],
            shape="points",
            x_bounds=bounds(found),
            hover=[f"{name}: {estimate_words(e)}" for name, e in zip(names, found, strict=True)],
        )
    ]
