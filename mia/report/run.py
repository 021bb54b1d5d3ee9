"""The figures of one run.

Takes a `Result` (and its pictures where the data are pictures), gives matplotlib figures by file name. Draws nothing
for what a result does not hold: an audit has no learning curves, a run without an attack no ROC.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from mia.metrics.roc import FPR_LIMITS
from mia.records import Result
from mia.report import style
from mia.report.chart import Axis, Chart, Guide, Series
from mia.report.classes import class_chart
from mia.report.growth import growth_charts
from mia.report.roc import roc_chart, roc_series
from mia.report.words import metric_words, percent_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 4
CONFIDENCE_TICKS = {
    -7: "0.001",
    -4.6: "0.01",
    -2.2: "0.1",
    0: "0.5",
    2.2: "0.9",
    4.6: "0.99",
    7: "0.999",
    11.5: "1 - 1e-5",
}


def run_figures(result: Result, images: Shaped[np.ndarray, "N h w c"] | None = None) -> dict[str, "Figure"]:
    """Return the figures of a run by file name; `images` (the data set's own `x`) adds the contact sheet."""
    from mia.report.contact import contact_sheet
    from mia.report.draw import draw_figure

    figures = {name: draw_figure(charts) for name, charts in run_charts(result).items() if charts}
    if images is not None and images.ndim == 4 and result.scores:
        figures["most_exposed"] = contact_sheet(result, images)
    return figures


def run_charts(result: Result) -> dict[str, list[Chart]]:
    """Return the panels of each figure of a run; a figure that the result cannot fill has none."""
    return {
        "roc": _roc_charts(result),
        "attacks": _attack_charts(result),
        "per_class": _class_charts(result),
        "learning_curves": _curve_charts(result),
        "growth": growth_charts(result),
        "confidence": [_confidence_chart(result)] if len(result.index) else [],
    }


def attack_order(metrics: Mapping[str, float], attacks: Sequence[str]) -> list[str]:
    """Return attacks by falling AUC, those without one last."""
    return sorted(attacks, key=lambda name: -_finite(metrics.get(f"attack/{name}/auc"), -1.0))


def _finite(value: float | None, otherwise: float) -> float:
    return value if value is not None and math.isfinite(value) else otherwise


def _roc_charts(result: Result) -> list[Chart]:
    lines, marks = [], []
    for position, name in enumerate(attack_order(result.metrics, list(result.scores))):
        colour = style.category_colour(position)
        line = roc_series(name, result.scores[name].score, result.is_member, colour,
                          is_dashed=position >= style.NUM_CATEGORIES)  # fmt: skip
        auc = result.metrics.get(f"attack/{name}/auc", math.nan)
        label = f"{name} (AUC {auc:.3f})" if math.isfinite(auc) else name
        lines.append(_renamed(line, label))
        marks += _marked_rates(result.metrics, name, colour, position)
    if not lines:
        return []
    return [
        roc_chart(_roc_title(result.metrics, list(result.scores)), [*lines, *marks], int((~result.is_member).sum()))
    ]


def _renamed(line: Series, name: str) -> Series:
    return Series(name, line.x, line.y, colour=line.colour, is_dashed=line.is_dashed)


def _marked_rates(metrics: Mapping[str, float], attack: str, colour: str, position: int) -> list[Series]:
    """Return the reported TPRs of an attack as one point each."""
    found = [
        (
            metrics.get(f"attack/{attack}/fpr_reached_at_{unit}", rate),
            metrics.get(f"attack/{attack}/tpr_at_{unit}_fpr", 0.0),
        )
        for unit, rate in FPR_LIMITS.items()
    ]
    found = [(rate, value) for rate, value in found if rate > 0 and value > 0]
    if not found:
        return []
    x, y = zip(*found, strict=True)
    return [Series(f"{attack}, reported", x, y, shape="points", colour=colour, mark=style.category_mark(position),
                   in_legend=False)]  # fmt: skip


def _roc_title(metrics: Mapping[str, float], attacks: Sequence[str]) -> str:
    for unit, rate in reversed(FPR_LIMITS.items()):
        found = [(metrics.get(f"attack/{name}/tpr_at_{unit}_fpr", math.nan), name) for name in attacks]
        found = [pair for pair in found if math.isfinite(pair[0])]
        if found:
            value, name = max(found)
            return (
                f"{name} finds {percent_words(round(value, 4))} of the members at {percent_words(rate)} false positives"
            )
    return "True against false positives of each attack"


def _attack_charts(result: Result) -> list[Chart]:
    """Return the attacks beside one another: AUC, and the reported TPR."""
    names = attack_order(result.metrics, list(result.scores))[::-1]
    charts = []
    if not names:
        return []
    chance = Guide(0.5, "chance", is_vertical=True)
    for metric in ("auc", "balanced_accuracy"):
        series = dot_series(
            metric_words(metric), [_estimate(result.metrics, f"attack/{name}/{metric}") for name in names]
        )
        if any(math.isfinite(v) for v in series.x):
            ticks = {float(k): name for k, name in enumerate(names)}
            title = f"{metric_words(metric)} of each attack, 95% intervals"
            y = Axis("", limits=(-0.6, len(names) - 0.4), ticks=ticks)
            height = max(0.6, 0.1 * len(names))
            charts.append(Chart(title, Axis(metric_words(metric)), y, [series], [chance], height))
    return charts


def _estimate(metrics: Mapping[str, float], name: str) -> tuple[float, float, float]:
    value = metrics.get(name, math.nan)
    return value, metrics.get(f"{name}_low", value), metrics.get(f"{name}_high", value)


def dot_series(name: str, estimates: Sequence[tuple[float, float, float]], colour: str = "c0") -> Series:
    """Return estimates with their intervals as lying dots, the first at the bottom."""
    x, low, high = zip(*estimates, strict=True)
    hover = [f"{value:.3f} [{a:.3f}, {b:.3f}]" for value, a, b in estimates]
    return Series(
        name, x, [float(k) for k in range(len(x))], shape="points", colour=colour, x_bounds=(low, high), hover=hover
    )


def _class_charts(result: Result) -> list[Chart]:
    order = attack_order(result.metrics, list(dict.fromkeys(str(row["attack"]) for row in result.per_class)))
    charts = [class_chart(name, [("", result.per_class)], result.class_names) for name in order]
    return [chart for chart in charts if chart is not None][:MOST_PANELS]


def _curve_charts(result: Result) -> list[Chart]:
    curves = result.curves
    if curves is None or curves.train_accuracy.shape[-1] == 0:
        return []
    num_epochs = curves.train_accuracy.shape[1]
    train, test = curves.train_accuracy[0, -1], curves.test_accuracy[0, -1]
    titles = f"Target: accuracy {train:.3f} in training, {test:.3f} on the test set, after {num_epochs} epochs", "Loss"
    pairs = (curves.train_accuracy, curves.test_accuracy), (curves.train_loss, curves.test_loss)
    labels = "accuracy", "loss"
    return [
        Chart(title, Axis("epoch"), Axis(label, limits=(0.0, 1.03) if label == "accuracy" else None),
              [*_curve_series("train", train, "c0"), *_curve_series("test", test, "c1")])
        for title, label, (train, test) in zip(titles, labels, pairs, strict=True)
    ]  # fmt: skip


def _curve_series(name: str, values: Float[np.ndarray, "M E"], colour: str) -> list[Series]:
    """Return the target's curve, and the shadows' range behind it."""
    epochs = list(range(1, values.shape[1] + 1))
    shape = "line" if len(epochs) > 1 else "points"
    target = Series(f"target, {name}", epochs, values[0].tolist(), shape=shape, colour=colour, width=2.2)
    shadows = values[1:]
    if not len(shadows):
        return [target]
    edges = shadows.min(axis=0).tolist(), shadows.max(axis=0).tolist()
    band = Series(f"{len(shadows)} shadows, {name} (range)", epochs, shadows.mean(axis=0).tolist(), shape="band",
                  colour=colour, y_bounds=edges)  # fmt: skip
    return [band, target]


def _confidence_chart(result: Result) -> Chart:
    """Return histograms of log(p / (1 - p)): on a plain axis an overfitted model's all stand in the last bin."""
    p = np.clip(result.confidence.astype(float), 1e-6, 1 - 1e-6)
    value = np.log(p) - np.log1p(-p)
    edges = np.linspace(value.min() - 0.01, value.max() + 0.01, 49)
    series = [_confidence_series(name, value[chosen], edges, colour) for name, chosen, colour in (
        ("non-members", ~result.is_member, "c1"), ("members", result.is_member, "c0"))]  # fmt: skip
    medians = [
        float(np.median(p[chosen])) if chosen.any() else math.nan for chosen in (result.is_member, ~result.is_member)
    ]
    ticks = {float(k): text for k, text in CONFIDENCE_TICKS.items() if edges[0] <= k <= edges[-1]}
    return Chart(
        f"Median confidence in the true class: members {medians[0]:.4f}, non-members {medians[1]:.4f}",
        Axis("confidence in the true class (logit scale)", ticks=ticks or None),
        Axis("share of records", limits=(0.0, 1.08 * max(max(s.y) for s in series) or 1.0)),
        series,
    )


def _confidence_series(name: str, values: Float[np.ndarray, "R"], edges: Float[np.ndarray, "B"], colour: str) -> Series:
    counts = np.histogram(values, edges)[0] / max(len(values), 1)
    return Series(name, edges.tolist(), [*counts.tolist(), 0.0], shape="area", colour=colour)
