import csv
import dataclasses
import io
import math

import numpy as np
import pytest
from report_fakes import CLASSES, fake_result
from rich.console import Console

from mia.records import Result, Scores
from mia.report.classes import class_chart
from mia.report.console import console_table
from mia.report.contact import most_exposed
from mia.report.draw import draw_figure, save_figure
from mia.report.exposed import csv_text, record_rows
from mia.report.roc import roc_line
from mia.report.run import run_charts, run_figures


@pytest.fixture(scope="module")
def result() -> Result:
    return fake_result(size=400)


def test_every_figure_is_there(result: Result) -> None:
    images = np.zeros((1600, 8, 8, 1), np.uint8)
    figures = run_figures(result, images)
    assert list(figures) == ["roc", "attacks", "per_class", "learning_curves", "confidence", "most_exposed"]


def test_roc_line_joins_ties_and_leaves_out_what_was_not_scored() -> None:
    fpr, tpr = roc_line(np.array([9.0, 9.0, 5.0, 5.0, np.nan]), np.array([True, False, True, False, True]))
    assert fpr.tolist() == [0, 0.5, 1]
    assert tpr.tolist() == [0, 0.5, 1]


def test_thinned_roc_keeps_points_of_the_exact_curve() -> None:
    rng = np.random.default_rng(0)
    is_member = np.arange(20_000) < 10_000
    score = rng.normal(size=20_000) + is_member
    fpr, tpr = roc_line(score, is_member)
    exact_fpr, exact_tpr = roc_line(score, is_member, points=10**9)
    assert len(fpr) < 300
    assert set(zip(fpr, tpr, strict=True)) <= set(zip(exact_fpr, exact_tpr, strict=True))
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)


def test_roc_figure_shows_reported_rates_and_resolution(result: Result) -> None:
    figure = draw_figure(run_charts(result)["roc"])
    axes = figure.axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    points = {(x, y) for line in axes.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
    wanted = (
        result.metrics["attack/lira_online/fpr_reached_at_1pct"],
        result.metrics["attack/lira_online/tpr_at_1pct_fpr"],
    )
    assert wanted in points
    assert any(line.get_xdata()[0] == 1 / 400 for line in axes.lines)
    texts = [text.get_text() for text in axes.texts]
    assert "1% FPR" in texts
    assert "0.1% FPR" not in texts  # 400 non-members cannot show it
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[0] == f"lira_online (AUC {result.metrics['attack/lira_online/auc']:.3f})"
    assert "chance" in legend


def test_class_bars_have_heights_intervals_and_the_half_line(result: Result) -> None:
    chart = class_chart("loss", [("", result.per_class)])
    assert chart is not None
    axes = draw_figure([chart]).axes[0]
    rows = [row for row in result.per_class if row["attack"] == "loss"]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([row["precision"] for row in rows])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(CLASSES)
    assert any(list(line.get_ydata()) == [0.5, 0.5] for line in axes.lines)


def test_many_classes_are_sorted_and_unnamed() -> None:
    rows = [{"attack": "a", "class": str(k), "precision": 0.5 + k / 400} for k in range(100)]
    chart = class_chart("a", [("", rows)])
    assert chart is not None
    assert chart.x.ticks == {}
    assert list(chart.series[0].y) == sorted((0.5 + k / 400 for k in range(100)), reverse=True)


def test_learning_curves_hold_the_target_and_the_range_of_the_shadows(result: Result) -> None:
    accuracy = run_charts(result)["learning_curves"][0]
    named = {series.name: series for series in accuracy.series}
    assert result.curves is not None
    assert list(named["target, test"].y) == result.curves.test_accuracy[0].tolist()
    low, high = named["10 shadows, train (range)"].y_bounds or ((), ())
    assert list(low) == result.curves.train_accuracy[1:].min(axis=0).tolist()
    assert list(high) == result.curves.train_accuracy[1:].max(axis=0).tolist()


def test_confidence_histogram_counts_everybody(result: Result) -> None:
    series = run_charts(result)["confidence"][0].series
    assert [sum(s.y) for s in series] == pytest.approx([1, 1])


def test_an_audit_without_curves_and_attacks_is_drawn(result: Result) -> None:
    bare = dataclasses.replace(result, curves=None, shadow_accuracy=None, scores={}, per_class=[], metrics={})
    assert list(run_figures(bare)) == ["confidence"]
    Console(file=io.StringIO()).print(console_table(bare))


def test_nan_everywhere_is_drawn(result: Result) -> None:
    unscored = Scores(np.full(800, np.nan), None, np.zeros(800, int), np.zeros(800, int))
    metrics = dict.fromkeys(result.metrics, math.nan)
    rows = [{**row, "precision": math.nan} for row in result.per_class]
    bare = dataclasses.replace(result, metrics=metrics, scores={"loss": unscored}, per_class=rows)
    images = np.zeros((1600, 8, 8, 3), np.float32)
    for figure in run_figures(bare, images).values():
        figure.canvas.draw()
    Console(file=io.StringIO()).print(console_table(bare))


def test_names_from_outside_are_not_read_as_mathematics(result: Result) -> None:
    rows = [{"attack": "$x_", "class": f"$c{k}^", "precision": 0.6} for k in range(3)]
    metrics = {"attack/$x_/auc": 0.7}
    odd = dataclasses.replace(
        result, metrics=metrics, scores={"$x_": next(iter(result.scores.values()))}, per_class=rows
    )
    for figure in run_figures(odd).values():
        figure.canvas.draw()


def test_console_table_says_utility_leakage_and_models(result: Result) -> None:
    file = io.StringIO()
    Console(file=file, width=160).print(console_table(dataclasses.replace(result, warnings=("careful",))))
    text = file.getvalue()
    for wanted in ("0.990", "0.460", "lira_online", "10/10", "1% FPR", "400 members", "! careful", "10 shadows"):
        assert wanted in text
    low = result.metrics["attack/lira_online/auc_low"]
    assert f"{low:.3f}-" in text


def test_records_are_ranked_within_members_first(result: Result) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(record_rows(result)))))
    assert len(rows) == 800
    assert [row["member"] for row in rows[:400]] == ["1"] * 400
    ranks = [int(row["lira_online_rank"]) for row in rows[:400]]
    assert ranks == sorted(ranks)
    best = int(np.argmax(result.scores["lira_online"].score))
    assert next(row for row in rows if row["lira_online_rank"] == "1")["index"] == str(result.index[best])


def test_most_exposed_are_members_in_order(result: Result) -> None:
    chosen = most_exposed(result, "loss", 10)
    score = result.scores["loss"].score
    assert result.is_member[chosen].all()
    assert score[chosen].tolist() == sorted(score[result.is_member], reverse=True)[:10]


def test_files_are_written(result: Result, tmp_path) -> None:
    figure = draw_figure(run_charts(result)["confidence"])
    paths = save_figure(figure, tmp_path / "x")
    assert [path.suffix for path in paths] == [".png", ".pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[1].read_bytes().startswith(b"%PDF")
