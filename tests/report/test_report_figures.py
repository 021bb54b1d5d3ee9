import csv
import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import vl_convert
from report_fakes import STRENGTHS, failed, fake_run, fake_sweep, fetch_file, run_of

from mia.metrics.auc import auc_difference
from mia.metrics.roc import exposed
from mia.report import look
from mia.report.evidence import Evidence, data_of
from mia.report.figures import sweep_figures
from mia.study.frame import read_study
from mia.study.study import KNOWS_NOT, NO_DEFENCE, UTILITY


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return fake_sweep(tmp_path_factory.mktemp("runs"), keys=("train.l2", "defence.k"), seeds=(0, 1), records=120)


@pytest.fixture(scope="module")
def study(runs):
    return read_study(runs, fetch_file)


@pytest.fixture(scope="module")
def evidence(study):
    return Evidence(study)


@pytest.fixture(scope="module")
def figures(study, evidence):
    return {one.name: one for one in sweep_figures(study, evidence)}


@pytest.fixture(scope="module")
def data(figures, evidence):
    return data_of(figures.values(), evidence)


def figures_of(*runs):
    study = read_study(runs, fetch_file)
    evidence = Evidence(study)
    figures = {one.name: one for one in sweep_figures(study, evidence)}
    return figures, data_of(figures.values(), evidence)


def items_of(scene, kind):
    """All items of marks of a kind in a drawn scene, with their absolute places."""
    found = []

    def walk(node, x, y):
        if node.get("marktype") == kind:
            found.extend((item, x + item.get("x", 0), y + item.get("y", 0)) for item in node["items"])
        for item in node.get("items", []) if node.get("marktype") == "group" else []:
            for mark in item.get("items", []):
                walk(mark, x + item.get("x", 0), y + item.get("y", 0))

    walk(scene, 0, 0)
    return found


def scene_of(figure, data):
    spec = figure.with_data(data)
    compiled = vl_convert.vegalite_to_vega(spec, vl_version=look.vegalite_version())
    return vl_convert.vega_to_scenegraph(look.patched(compiled))["scenegraph"]


def test_a_sweep_over_defences_has_every_figure(figures) -> None:
    assert list(figures) == ["grid", "frontier", "trials", "leakage_by_strength", "leakage_by_size", "attacks",
                             "roc", "per_class", "differences", "exposure", "over_seeds", "agreement",
                             "gap", "cost"]  # fmt: skip


def test_specifications_keep_to_the_schema(figures, data) -> None:
    for figure in figures.values():
        figure.chart(data).to_dict(validate=True)


def test_figures_name_their_data_and_hold_none(figures, data) -> None:
    for figure in figures.values():
        assert look.data_names(figure.spec) <= set(data)
        assert len(json.dumps(figure.spec)) < 150_000
        assert "datasets" not in figure.spec


@pytest.mark.slow
def test_every_figure_is_drawn_as_png_and_pdf(figures, data) -> None:
    files = look.picture_files(list(figures.values()), data)
    assert {name for name, content in files.items() if content[:4] in (b"\x89PNG", b"%PDF")} == {
        f"figures/{name}.{kind}" for name in figures for kind in ("png", "pdf")
    }


def test_frontier_points_are_the_rows(study, figures, data) -> None:
    table = data["points"].set_index("k")["v"]
    attack = study.attacks[0]
    for k in study.finished:
        assert table[f"{k}|{attack}|auc"] == study.estimate(k, f"attack/{attack}/auc").value
        assert table[f"{k}||{UTILITY}"] == study.estimate(k, UTILITY).value
    symbols = [item for item, *_ in items_of(scene_of(figures["frontier"], data), "symbol")]
    known = [k for k in study.finished if study.rows[k].size == 2500]
    assert len(known) == 1 + 2 * 2 * 4
    assert len(symbols) >= 2 * len(known)


def test_no_two_of_fourteen_defences_share_colour_and_mark() -> None:
    names, colours, marks = look.by_category([f"d{k}" for k in range(14)] + [NO_DEFENCE], NO_DEFENCE).values()
    assert len(set(zip(colours, marks, strict=True))) == len(names) == 15
    assert (names[0], colours[0], marks[0]) == (NO_DEFENCE, look.INK, "circle")
    assert len(set(colours[1:10])) == len(set(marks[1:10])) == 9


def test_every_colour_has_a_dark_counterpart() -> None:
    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a, b):
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for light in (look.INK, look.THEME["quiet"], *look.CATEGORIES, *look.RAMP):
        assert contrast(light, look.THEME["paper"]) > 2.7
        assert contrast(look.DARK[light], look.DARK[look.THEME["paper"]]) > 3


@pytest.fixture(scope="module")
def nine():
    """Nine defences at two sizes against both attackers, one seed."""
    return figures_of(*fake_sweep(None, keys=tuple(STRENGTHS), seeds=(0,), records=60))


def test_labels_of_nine_defences_cover_neither_one_another_nor_a_mark(nine) -> None:
    figures, data = nine
    scene = scene_of(figures["frontier"], data)
    words = {text for values in STRENGTHS.values() for v in values for text in (f"{v:g}", f"k = {v:g}")}
    words |= {"none", "1e-4", "1e-3", "5e-3"}
    texts = [
        (item, x, y)
        for item, x, y in items_of(scene, "text")
        if item.get("text") in words
        and item.get("opacity", 1) > 0
        and item.get("fontSize") == 10
        and "angle" not in item
        and item.get("fill") == look.INK
    ]
    shown = [(item, *_box(item, x, y)) for item, x, y in texts]
    assert len(shown) > 20
    for (_, a, b, c, d), (_, e, f, g, h) in itertools.combinations(shown, 2):
        assert not (a < g and e < c and b < h and f < d)
    symbols = [(x, y) for item, x, y in items_of(scene, "symbol") if item.get("size") == 60]
    assert len(symbols) > 100
    for _, left, top, right, bottom in shown:
        assert not any(left < x < right and top < y < bottom for x, y in symbols)


def _box(item, x, y):
    width, height = 5.0 * len(str(item["text"])), 8.0
    left = x - {"left": 0, "center": width / 2, "right": width}[item.get("align", "left")]
    top = y - {"top": 0, "middle": height / 2, "bottom": height}.get(item.get("baseline", "alphabetic"), height)
    return left, top, left + width, top + height


def test_guides_have_their_names_outside_of_the_plot(nine) -> None:
    figures, data = nine
    for item, _, _ in items_of(scene_of(figures["frontier"], data), "text"):
        if item.get("text") == "chance":
            assert item.get("y", 0) <= 0
    panel = figures["leakage_by_strength"].spec["concat"][0]["width"]
    for item, _, _ in items_of(scene_of(figures["leakage_by_strength"], data), "text"):
        if item.get("text") == "chance":
            assert item["x"] >= panel


def test_every_choice_has_a_whole_label(figures) -> None:
    chosen = [one["bind"] for figure in figures.values() for one in figure.spec.get("params", ()) if "bind" in one]
    assert any(KNOWS_NOT in one["options"] for one in chosen)
    for one in chosen:
        assert len(one["labels"]) == len(one["options"])
        assert all(len(text) > 1 for text in one["labels"])


def test_sizes_on_an_axis_keep_their_digits(figures, data) -> None:
    texts = [str(item.get("text")) for item, *_ in items_of(scene_of(figures["leakage_by_size"], data), "text")]
    assert {"2,500", "5,000"} <= set(texts)


def test_lines_start_at_no_defence(data, study) -> None:
    paths = data["paths"]
    for (line, place, _), group in paths.groupby(["line", "place", "who"]):
        assert group.iloc[0]["defence"] == NO_DEFENCE
        assert set(group["defence"]) == {NO_DEFENCE, line}
        assert set(group["place"]) == {place}
        assert list(group["order"]) == sorted(group["order"])


def test_weaker_top_k_comes_first(study) -> None:
    settings = study.settings.sort_values("order")
    assert list(dict.fromkeys(settings[settings["defence"] == "top k"]["strength"]))[::3] == ["k = 5", "k = 1"]


def test_a_sweep_over_sizes_shows_all_metrics_together() -> None:
    runs = [fake_run(None, size, records=60) for size in (2500, 5000, 10000)]
    figures, data = figures_of(*runs)
    assert list(figures) == ["frontier", "leakage_by_size", "attacks", "gap", "cost"]
    assert sorted(data["settings"]["x_split_size"]) == [2500, 5000, 10000]
    lines = items_of(scene_of(figures["leakage_by_size"], data), "line")
    assert len({item["stroke"] for item, *_ in lines if "stroke" in item}) >= 5


def test_other_numbers_have_a_figure_and_words_are_compared() -> None:
    runs = [run_of(f"{k}", split__num_shadows=k, metrics={"attack/gap/auc": 0.5 + k / 100}) for k in (1, 2, 4, 16)]
    assert "leakage_by_shadows" in figures_of(*runs)[0]
    words = [
        run_of(n, data__name=n, metrics={"attack/gap/precision": p, UTILITY: 0.8})
        for n, p in (("digits", 0.5), ("cifar10", 0.7))
    ]
    figures, data = figures_of(*words)
    assert "settings" in figures
    assert {item["text"] for item, *_ in items_of(scene_of(figures["settings"], data), "text")} >= {
        "data digits",
        "data cifar10",
    }


def test_size_against_strength_leads_where_both_vary(figures, data, study) -> None:
    texts = [str(item.get("text")) for item, *_ in items_of(scene_of(figures["grid"], data), "text")]
    plain = next(k for k in study.finished if not study.rows[k].defences)
    for metric in (UTILITY, f"attack/{study.attacks[0]}/auc"):
        assert f"{study.estimate(plain, metric).value:.3f}" in texts


def test_exposure_counts_records_that_stay(study, evidence) -> None:
    attack = study.attacks[0]

    def records(k):
        with np.load(f"{study.rows[k].runs[0].artifacts}/scores.npz") as file:
            return set(file["index"][exposed(file[attack], file["member"])].tolist())

    line = [k for k in study.finished if study.rows[k].size == 2500 and study.rows[k].defence in (NO_DEFENCE, "L2")
            and study.rows[k].who != KNOWS_NOT]  # fmt: skip
    before = records(line[0])
    found = evidence.exposure
    for k in line:
        mine = found[(found["s"] == k) & (found["a"] == attack) & (found["defence"] == "L2, n = 2,500")]
        assert list(mine["count"]) == [len(before & records(k)), len(records(k) - before)]


def test_differences_are_paired_averaged_over_seeds_and_asymmetric(study, evidence) -> None:
    s, attack, found = next(
        one for one in evidence.differences if study.words(study.rows[one[0]]).startswith("n = 2,500, L2 0.01, knows")
    )
    plain = study.rows[evidence.plain(study.rows[s])]
    below, above, values = [], [], []
    for run, other in zip(study.rows[s].runs, plain.runs, strict=True):
        with np.load(f"{run.artifacts}/scores.npz") as a, np.load(f"{other.artifacts}/scores.npz") as b:
            one = auc_difference(a[attack], b[attack], a["member"])
        values.append(one.value)
        below.append(one.value - one.low)
        above.append(one.high - one.value)
    assert found.count == 2
    assert found.value == pytest.approx(np.mean(values))
    assert found.value - found.low == pytest.approx(math.hypot(*below) / 2)
    assert found.high - found.value == pytest.approx(math.hypot(*above) / 2)
    assert found.high < 0


def test_runs_on_other_records_are_not_compared(tmp_path) -> None:
    plain = fake_run(tmp_path, seed=0, records=40)
    other = fake_run(tmp_path, key="train.l2", strength=1e-2, seed=1, records=40)
    assert Evidence(read_study([plain, other], fetch_file)).differences == []


def test_gaps_of_classes_are_the_advantage_of_the_gap_attack(study, evidence) -> None:
    with open(f"{study.rows[0].runs[0].artifacts}/per_class.csv", newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    mine = evidence.classes[(evidence.classes["s"] == 0) & (evidence.classes["a"] == "loss")].set_index("c")
    for row in rows:
        if row["attack"] == "gap":
            assert mine.loc[row["class"], "gap"] == float(row["advantage"])
        if row["attack"] == "loss":
            assert mine.loc[row["class"], "v"] == float(row["precision"])


@pytest.mark.parametrize("content", [b"not a zip file", b"PK\x03\x04 and no more", b""])
def test_damaged_and_missing_files_are_left_out(tmp_path, content) -> None:
    run = fake_run(tmp_path, records=20)
    (tmp_path / run.name / "scores.npz").write_bytes(content)
    (tmp_path / run.name / "per_class.csv").unlink()
    assert list(figures_of(run)[0]) == ["attacks", "cost"]


def test_nothing_at_all_draws_nothing() -> None:
    assert figures_of(failed(run_of("a"), "x"))[0] == {}
    assert figures_of(run_of("a"))[0] == {}


def test_nan_metrics_are_left_out() -> None:
    runs = [fake_run(None, size, "train.l2", 1e-3, records=20) for size in (2500, 5000)] + [fake_run(None, records=20)]
    empty = [dataclasses.replace(run, metrics=dict.fromkeys(run.metrics, math.nan)) for run in runs]
    assert figures_of(*empty)[0] == {}
    figures, data = figures_of(empty[0], *runs[1:])
    for figure in figures.values():
        look.draw_svg(figure, data)


def test_names_from_outside_do_no_harm(tmp_path) -> None:
    evil = "it's \"<b>\" \\ {x} ${y} 'z'"
    runs = [fake_run(tmp_path, 2500, "train.l2", v, records=30) for v in (1e-3, 1e-2)] + [
        fake_run(tmp_path, 2500, records=30)
    ]
    runs = [
        dataclasses.replace(run, metrics={name.replace("/loss/", f"/{evil}/"): v for name, v in run.metrics.items()})
        for run in runs
    ]
    figures, data = figures_of(*runs)
    for figure in figures.values():
        look.draw_svg(figure, data)


def test_who_is_found_again_and_who_is_exposed_follow_from_the_scores(tmp_path) -> None:
    """Scores of 100 on forty members, the same with each seed, are found by all; of the others luck finds few."""
    runs = []
    for seed in (0, 1, 2):
        run = fake_run(tmp_path, key="train.l2", strength=1e-3, seed=seed, records=400)
        path = fetch_file(run, "scores.npz")
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        order = np.arange(len(arrays["index"]))
        member = np.arange(len(order)) < len(order) // 2
        score = np.random.default_rng(seed).normal(size=len(order)) + 100.0 * (np.arange(len(order)) < 40)
        np.savez(path, **{name: score if name == "loss" else one for name, one in arrays.items()}
                 | {"index": order, "member": member})  # fmt: skip
        runs.append(run)
    evidence = Evidence(read_study(runs, fetch_file))
    again = evidence.repeats[evidence.repeats["a"] == "loss"].set_index("what")["v"]
    assert again["found with every seed"] == pytest.approx(40 / member.sum(), abs=0.005)
    assert again["found with any seed"] >= again["found with one seed"] >= 40 / member.sum()
    assert again["accused with any seed"] <= 0.1
    listed = evidence.listed[evidence.listed["a"] == "loss"]
    assert set(range(40)) <= set(listed["record"])
    assert len(listed) <= 40 / 0.8
    assert (listed["seeds"] == 3).all()


def test_lines_join_settings_that_differ_in_one_strength_only():
    """A grid of one strength lies on a line; what a search tries of several defences at once has no order."""

    def tried(k, **params):
        found = {"attack/loss/auc": 0.9 - 0.03 * k, "target/test_accuracy": 0.5 - 0.01 * k}
        return run_of(f"r{k}", k, found, **params)

    ordered = [tried(k, train__l2=10.0**-k, train__dropout=0.1) for k in (2, 3, 4)]
    searched = [tried(5 + k, train__l2=10.0**-k, train__mixup=mixup) for k, mixup in ((2, 0.2), (3, 0.8), (4, 0.4))]
    figures, data = figures_of(tried(0), *ordered, *searched)
    paths = data["paths"]
    assert dict(paths.groupby("line")["ordered"].agg(lambda one: set(one).pop())) == {
        "L2 + dropout": True,
        "L2 + mixup": False,
    }
    for name, width, joined in (("frontier", 1.4, 4), ("leakage_by_strength", 1.5, 4)):
        items = [item for item, *_ in items_of(scene_of(figures[name], data), "line")]
        assert len([item for item in items if item["strokeWidth"] == width]) == joined, name
