"""The result of a run as tables for the terminal.

Takes a `Result`, gives something that rich can print. Prints nothing itself.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mia.records import Result, Scores
from mia.report.run import attack_order
from mia.report.words import value_words

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

HEADINGS = {
    "accuracy": "acc.",
    "balanced_accuracy": "bal.\nacc.",
    "precision": "prec.",
    "recall": "recall",
    "auc": "AUC",
    "tpr_at_1pct_fpr": "TPR at\n1% FPR",
    "tpr_at_0.1pct_fpr": "TPR at\n0.1%",
}
WITH_INTERVAL = {"auc"}


def console_table(result: Result) -> "Group":
    """Return the tables of utility and leakage of a run, with its warnings below."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if _has_utility(result.metrics):
        parts.append(_utility_table(result))
    if result.scores:
        parts.append(_leakage_table(result))
    if privacy := _privacy_words(result.metrics):
        parts.append(Text(privacy))
    parts += [Text(f"! {line}", style="yellow") for line in result.warnings]
    return Group(*parts)


def _privacy_words(metrics: Mapping[str, float]) -> str:
    """Return what DP-SGD guarantees and how, or nothing."""
    if "privacy/epsilon" not in metrics:
        return ""
    epsilon, delta, noise = (metrics[f"privacy/{name}"] for name in ("epsilon", "delta", "noise_multiplier"))
    return f"Privacy: epsilon {epsilon:.3g} at delta {delta:.3g} (DP-SGD, noise multiplier {noise:.4g})"


def _has_utility(metrics: Mapping[str, float]) -> bool:
    return any(math.isfinite(metrics.get(f"target/{part}_accuracy", math.nan)) for part in ("train", "test"))


def _utility_table(result: Result) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        title="Utility", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, show_edge=False
    )
    for heading in ("", "train accuracy", "test accuracy", "gap"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for who in ("target", "shadow"):
        train, test = (result.metrics.get(f"{who}/{part}_accuracy", math.nan) for part in ("train", "test"))
        if math.isfinite(train) or math.isfinite(test):
            count = len(result.shadow_accuracy) if who == "shadow" and result.shadow_accuracy is not None else 1
            name = who if who == "target" else "1 shadow" if count == 1 else f"{count} shadows, mean"
            table.add_row(name, value_words(train), value_words(test), value_words(train - test))
    return table


def _leakage_table(result: Result) -> "Table":
    """Return a table narrow enough for 80 columns: intervals stand below their value."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    metrics = result.metrics
    orders = attack_order(metrics, list(result.scores))
    shown = [m for m in HEADINGS if any(math.isfinite(metrics.get(f"attack/{a}/{m}", math.nan)) for a in orders)]
    nulls = {name: _null_words(metrics, name) for name in orders}
    members = int(result.is_member.sum())
    title = f"Leakage ({members:,} members, {len(result.is_member) - members:,} non-members; 95% intervals)"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, show_edge=False
    )
    table.add_column("attack")
    for metric in shown:
        table.add_column(HEADINGS[metric], justify="right")
    if any(nulls.values()):
        table.add_column("null\nAUC", justify="right")
    table.add_column("models\nin/out", justify="right")
    for name in orders:
        cells = [_cell(metrics, f"attack/{name}/{metric}", metric) for metric in shown]
        cells += [nulls[name]] if any(nulls.values()) else []
        table.add_row(Text(name), *cells, models_words(result.scores[name]))
    return table


def _cell(metrics: Mapping[str, float], name: str, metric: str) -> str:
    value = metrics.get(name, math.nan)
    if metric.startswith("tpr"):
        return f"{100 * value:.2f}%" if math.isfinite(value) else "-"
    text = value_words(value)
    if metric in WITH_INTERVAL and f"{name}_low" in metrics:
        text += f"\n{value_words(metrics[f'{name}_low'])}-{value_words(metrics[f'{name}_high'])}"
    return text


def _null_words(metrics: Mapping[str, float], attack: str) -> str:
    """Return the null control's AUC, marked where its interval leaves out one half; empty where it is absent."""
    name = f"attack/{attack}/null_auc"
    if name not in metrics:
        return ""
    value = metrics[name]
    is_off = metrics.get(f"{name}_low", value) > 0.5 or metrics.get(f"{name}_high", value) < 0.5
    return value_words(value) + ("!" if is_off else "")


def models_words(scores: Scores) -> str:
    """Return how many IN and OUT models are behind each score, as a range where records differ; a dash for none."""
    words = f"{_range_words(scores.num_in)}/{_range_words(scores.num_out)}"
    return "-" if words == "0/0" else words


def _range_words(counts: np.ndarray) -> str:
    if not len(counts):
        return "0"
    low, high = int(np.min(counts)), int(np.max(counts))
    return str(low) if low == high else f"{low}-{high}"
