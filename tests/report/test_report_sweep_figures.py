import csv
import dataclasses
import math

import numpy as np
import pytest
from report_fakes import CLASSES, STRENGTHS, failed, fake_run, fake_sweep, fetch_file, run_of

from mia.metrics.auc import auc_difference
from mia.report.chart import Axis, Chart, Series
from mia.report.draw import draw_figure
from mia.report.exposure import exposed, exposure_exhibits
from mia.report.files import Files
from mia.report.frontier import frontier_exhibits, pareto_front, price_words
from mia.report.gaps import class_gaps
from mia.report.grouping import read_sweep
from mia.report.layout import lay_out, ticks_of
from mia.report.paired import differences
from mia.report.placing import label_places
from mia.report.sweep import sweep_exhibits, sweep_figures

UTILITY = "target/test_accuracy"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return fake_sweep(tmp_path_factory.mktemp("runs"), keys=("train.l2", "defence.k"), seeds=(0, 1), records=120)


@pytest.fixture(scope="module")
def exhibits(runs):
    return {one.name: one for one in sweep_exhibits(read_sweep(runs), Files(fetch_file))}


def test_a_sweep_over_defences_has_every_figure(exhibits) -> None:
    assert list(exhibits) == ["frontier", "leakage_by_strength", "leakage_by_size", "differences", "attacks", "roc",
                              "per_class", "exposure", "gap", "cost"]  # fmt: skip


def test_frontier_points_are_the_settings(runs, exhibits) -> None:
    sweep = read_sweep(runs)
    wanted = {
        s.words: (s.estimate(f"attack/{sweep.attacks[0]}/auc").value, s.estimate(UTILITY).value) for s in sweep.finished
    }
    figure = draw_figure(exhibits["frontier"].charts)
    drawn = {
        point
        for axes in figure.axes
        for line in axes.lines
        for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }
    assert len(wanted) == 2 * (1 + 2 * 4 * 2)
    assert set(wanted.values()) <= drawn
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["n = 2,500", "n = 5,000"]


def test_pareto_front_against_its_definition() -> None:
    rng = np.random.default_rng(1)
    points = rng.integers(0, 8, size=(40, 2)) / 10
    runs = [run_of(str(k), x__y=k, metrics={"m": m, UTILITY: u}) for k, (m, u) in enumerate(points)]
    front = {(s.estimate("m").value, s.estimate(UTILITY).value) for s in pareto_front(read_sweep(runs).finished, "m")}
    pairs = {(float(m), float(u)) for m, u in points}
    beaten = {p for p in pairs for q in pairs if q != p and q[0] <= p[0] and q[1] >= p[1]}
    assert front == pairs - beaten


def test_the_sentence_names_the_cheapest_defence() -> None:
    found = {0.0: (0.80, 0.50), 0.1: (0.70, 0.495), 0.2: (0.60, 0.40)}
    runs = [run_of(str(d), train__dropout=d, metrics={"attack/gap/auc": m, UTILITY: u}) for d, (m, u) in found.items()]
    words = price_words(read_sweep(runs), "gap", "auc")
    assert words.endswith("at most one point of test accuracy: dropout 0.1 (0.800 to 0.700).")
    wide = {"attack/gap/auc_low": 0.5, "attack/gap/auc_high": 0.85}
    unsure = [dataclasses.replace(run, metrics=run.metrics | wide) for run in runs]
    assert price_words(read_sweep(unsure), "gap", "auc") == ""


def test_strength_lines_start_at_no_defence(runs, exhibits) -> None:
    chart = exhibits["leakage_by_strength"].charts[0]
    assert list((chart.x.ticks or {}).values()) == ["none", *(f"{v:.4g}" for v in STRENGTHS["train.l2"])]
    known = next(s for s in chart.series if s.name == "n = 2,500" and not s.is_hollow)
    sweep = read_sweep(runs)
    wanted = [s.estimate(f"attack/{sweep.attacks[0]}/auc").value for s in sweep.finished
              if s.size == 2500 and s.is_adaptive and s.defence.name in ("", "L2")]  # fmt: skip
    assert list(known.y) == wanted


def test_weaker_top_k_comes_first(exhibits) -> None:
    chart = exhibits["leakage_by_strength"].charts[1]
    assert list((chart.x.ticks or {}).values()) == ["none", "5", "3", "2", "1"]


def test_a_sweep_over_sizes_shows_all_metrics_together() -> None:
    runs = [fake_run(None, size, records=60) for size in (2500, 5000, 10000)]
    exhibits = {one.name: one for one in sweep_exhibits(read_sweep(runs), Files(fetch_file))}
    chart = exhibits["leakage_by_size"].charts[0]
    assert [s.name for s in chart.series] == ["precision", "recall", "accuracy", "AUC", "test accuracy"]
    assert all(list(s.x) == [2500, 5000, 10000] for s in chart.series)
    attack = read_sweep(runs).attacks[0]
    assert list(chart.series[0].y) == [run.metrics[f"attack/{attack}/precision"] for run in runs]


def test_other_numbers_have_a_figure_and_words_have_none() -> None:
    runs = [run_of(f"{k}{m}", split__num_shadows=k, model__name=m, metrics={"attack/gap/auc": 0.5 + k / 100})
            for k in (1, 2, 4, 16) for m in ("cnn", "mlp")]  # fmt: skip
    exhibits = {one.name: one for one in sweep_exhibits(read_sweep(runs), Files(fetch_file))}
    exhibit = exhibits["leakage_by_shadows"]
    assert exhibit.choices == ("attack", "setting")
    assert [key[1] for key in exhibit.variants] == ["model cnn", "model mlp"]
    assert exhibit.charts[0].x.is_log
    assert not any("model" in name for name in exhibits)


def test_words_are_compared_side_by_side() -> None:
    runs = [run_of(n, data__name=n, train__epochs=e, metrics={"attack/gap/precision": p, UTILITY: 0.8})
            for n, e, p in (("adult", 1, 0.5), ("texas", 2, 0.66))]  # fmt: skip
    exhibits = {one.name: one for one in sweep_exhibits(read_sweep(runs), Files(fetch_file))}
    precision, utility = exhibits["settings"].charts
    assert list((precision.y.ticks or {}).values()) == ["data texas", "data adult"]
    assert (list(precision.series[0].x), list(utility.series[0].x)) == ([0.66, 0.5], [0.8, 0.8])


def test_exposed_members_stand_above_all_but_one_percent() -> None:
    score = np.concatenate([np.arange(200.0), [150, 197, 198, 199.5, np.nan]])
    is_member = np.arange(205) >= 200
    assert exposed(score, is_member).tolist() == [False] * 200 + [False, False, True, True, False]


def test_exposure_counts_records_that_stay(runs, exhibits) -> None:
    sweep = read_sweep(runs)
    attack = sweep.attacks[0]
    chart = exhibits["exposure"].charts[0]

    def records(setting):
        with np.load(f"{setting.runs[0].artifacts}/scores.npz") as file:
            chosen = exposed(file[attack], file["member"])
            return set(file["index"][chosen].tolist())

    line = [s for s in sweep.finished if s.size == 2500 and s.is_adaptive and s.defence.name in ("", "L2")]
    before = records(line[0])
    assert list(chart.series[0].y) == [len(before & records(s)) for s in line]
    assert list(chart.series[1].y) == [len(records(s) - before) for s in line]


def test_differences_are_paired_and_averaged_over_seeds(runs) -> None:
    sweep = read_sweep(runs)
    plain = next(s for s in sweep.finished if s.size == 2500 and not s.defence.name)
    found = next(d for d in differences(sweep, Files(fetch_file)) if d.setting.words == "n = 2,500, L2 0.01, adaptive")
    halves, values = [], []
    for run, other in zip(found.setting.runs, plain.runs, strict=True):
        with np.load(f"{run.artifacts}/scores.npz") as a, np.load(f"{other.artifacts}/scores.npz") as b:
            one = auc_difference(a[found.attack], b[found.attack], a["member"])
        values.append(one.value)
        halves.append((one.high - one.low) / 2)
    assert found.seeds == 2
    assert found.value == pytest.approx(np.mean(values))
    assert found.high - found.value == pytest.approx(math.hypot(*halves) / 2)
    assert found.high < 0


def test_runs_on_other_records_are_not_compared(tmp_path) -> None:
    plain = fake_run(tmp_path, seed=0, records=40)
    other = fake_run(tmp_path, key="train.l2", strength=1e-2, seed=1, records=40)
    other = dataclasses.replace(other, params={**other.params, "seed": "0"})
    assert differences(read_sweep([plain, other]), Files(fetch_file)) == []


def test_gap_of_a_class_is_the_advantage_of_the_gap_attack() -> None:
    rows = [
        {"attack": "gap", "class": "cat", "advantage": "0.4"},
        {"attack": "loss", "class": "cat", "precision": "0.7"},
        {"attack": "gap", "class": "dog", "advantage": ""},
    ]
    assert class_gaps(rows, "loss") == [("cat", 0.4, 0.7)]


def test_class_bars_are_read_from_files(runs, exhibits) -> None:
    sweep = read_sweep(runs)
    chart = exhibits["per_class"].charts[0]
    with open(f"{sweep.finished[0].runs[0].artifacts}/per_class.csv", newline="") as file:  # noqa: PTH123
        rows = [row for row in csv.DictReader(file) if row["attack"] == sweep.attacks[0]]
    assert chart.series[0].name == "no defence"
    assert list(chart.series[0].y) == [float(row["precision"]) for row in rows]
    assert list((chart.x.ticks or {}).values()) == list(CLASSES)


def test_damaged_and_missing_files_are_left_out(tmp_path) -> None:
    (tmp_path / "scores.npz").write_bytes(b"not a zip file")
    run = dataclasses.replace(fake_run(None, records=20), artifacts=str(tmp_path))
    names = [one.name for one in sweep_exhibits(read_sweep([run]), Files(fetch_file))]
    assert names == ["attacks", "cost"]


def test_nothing_at_all_draws_nothing() -> None:
    assert sweep_figures([]) == {}
    assert sweep_figures([failed(run_of("a"), "x")]) == {}
    assert sweep_figures([run_of("a")]) == {}


def test_nan_metrics_are_drawn_as_gaps() -> None:
    runs = [fake_run(None, size, "train.l2", 1e-3, records=20) for size in (2500, 5000)] + [fake_run(None, records=20)]
    runs = [dataclasses.replace(run, metrics=dict.fromkeys(run.metrics, math.nan)) for run in runs]
    assert sweep_figures(runs) == {}
    mixed = [*runs[:1], fake_run(None, 5000, "train.l2", 1e-3, records=20), fake_run(None, records=20)]
    for figure in sweep_figures(mixed).values():
        figure.canvas.draw()


def test_labels_do_not_cover_one_another() -> None:
    series = Series("s", [0.5, 0.5, 0.5, 0.5, 0.5, 0.9], [0.5] * 6, shape="points", labels=["word"] * 6)
    (places,) = label_places(Chart("", Axis("x", limits=(0, 1)), Axis("y", limits=(0, 1)), [series]))
    assert sorted(places[:4]) == ["bottom left", "bottom right", "top left", "top right"]
    assert places[4] == ""


def test_ticks_are_round_and_complete() -> None:
    chart = Chart("", Axis("x", limits=(0.0, 1.03)), Axis("y", limits=(-0.31, 0.02)), [])
    assert list(ticks_of(chart, "x").values()) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert list(ticks_of(chart, "y").values()) == ["-0.30", "-0.25", "-0.20", "-0.15", "-0.10", "-0.05", "0.00"]


def test_panels_stay_on_the_sheet_and_apart(exhibits) -> None:
    for exhibit in exhibits.values():
        panels = lay_out(exhibit.charts, exhibit.title).panels
        for a in panels:
            assert a.left > 0
            assert a.bottom > 0
            assert a.left + a.width < 1
            assert a.bottom + a.height < 1
            assert not any(
                a is not b and a.left < b.left + b.width and b.left < a.left + a.width
                and a.bottom < b.bottom + b.height and b.bottom < a.bottom + a.height for b in panels
            )  # fmt: skip


def test_exposure_needs_a_setting_without_a_defence(tmp_path) -> None:
    runs = [fake_run(tmp_path, key="train.l2", strength=v, records=40) for v in (1e-3, 1e-2)]
    assert exposure_exhibits(read_sweep(runs), Files(fetch_file)) == []


def test_frontier_needs_two_points() -> None:
    assert frontier_exhibits(read_sweep([fake_run(None, records=20)])) == []
