"""Leakage against one number that the sweep varies: all metrics of an attack together.

Takes a sweep, gives exhibits. The other axes are the reader's choice. Defences have figures of their own.
"""

from collections.abc import Sequence

from mia.report.axes import as_number
from mia.report.chart import Axis, Chart, Exhibit, Guide, Variants, file_words
from mia.report.defence import is_defence_key
from mia.report.lines import UTILITY, estimates_series, grouped, leakage_metrics, number_axis
from mia.report.settings import ADAPTIVE, SIZE, Setting, Sweep
from mia.report.words import as_value_words, key_words, metric_words, number_words

TOGETHER = ("precision", "recall", "accuracy", "auc")
MOST_CHOICES = 60


def trend_exhibits(sweep: Sweep) -> list[Exhibit]:
    """Return what can be drawn against each number that varies."""
    has_defences = any(setting.defence.name for setting in sweep.finished)
    left_out = {ADAPTIVE, SIZE} if has_defences else {ADAPTIVE}
    exhibits = [_over(sweep, axis) for axis in sweep.axes if axis not in left_out and not is_defence_key(axis)]
    return [exhibit for exhibit in exhibits if exhibit is not None and exhibit.variants]


def _over(sweep: Sweep, axis: str) -> Exhibit | None:
    """Return the exhibit of one axis, if it is a number and some line has two points."""
    having = [s for s in sweep.finished if as_number(s.values.get(axis)) is not None]
    if len({s.values[axis] for s in having}) < 2 or any(s.values[axis].lower() in {"true", "false"} for s in having):
        return None
    rest = grouped(having, lambda s: _rest_words(s, axis))
    rest = {words: settings for words, settings in rest.items() if len(settings) > 1}
    if not rest or len(rest) > MOST_CHOICES:
        return None
    word = key_words(axis)
    variants: Variants = {
        (attack, words): [_together(settings, attack, axis)]
        for attack in dict.fromkeys(attack for attack, _ in leakage_metrics(sweep))
        for words, settings in rest.items()
    }
    has_choice = len(rest) > 1
    if not has_choice:
        variants = {(attack,): charts for (attack, _), charts in variants.items()}
    return Exhibit(
        name=f"leakage_by_{file_words(word)}",
        title=f"Leakage against {word}",
        caption=f"Precision, recall, accuracy and AUC of the attack, and the target's test accuracy, against {word}.",
        variants=variants,
        choices=("attack", "setting") if has_choice else ("attack",),
    )


def _rest_words(setting: Setting, axis: str) -> str:
    parts = [f"{key_words(k)} {as_value_words(v)[0]}" for k, v in setting.values.items() if k != axis]
    return ", ".join(parts)


def _together(settings: Sequence[Setting], attack: str, axis: str) -> Chart:
    ordered = sorted(settings, key=lambda s: as_number(s.values[axis]) or 0.0)
    x = [as_number(s.values[axis]) or 0.0 for s in ordered]
    metrics = [f"attack/{attack}/{metric}" for metric in TOGETHER]
    metrics = [metric for metric in metrics if any(s.estimate(metric).is_known for s in ordered)]
    series = [estimates_series(metric_words(m), ordered, x, m, role=role) for role, m in enumerate(metrics)]
    series.append(estimates_series(metric_words(UTILITY), ordered, x, UTILITY, role=5, colour="quiet", is_dashed=True))
    ends = [(metric_words(m), ordered[0].estimate(m).value, ordered[-1].estimate(m).value) for m in metrics[-1:]]
    low, high = number_words(x[0]), number_words(x[-1])
    change = "".join(f": {word} {a:.3f} at {low}, {b:.3f} at {high}" for word, a, b in ends)
    return Chart(f"{attack}{change}", number_axis(key_words(axis), x), Axis("value", limits=(0.0, 1.05)), series,
                 [Guide(0.5, "chance")])  # fmt: skip
