import dataclasses
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import vl_convert
from report_fakes import CLASSES, fake_result, fetch_file, run_of
from rich.console import Console

from mia.checks import RequestError
from mia.cli.terminal import console_table
from mia.contact_sheet import contact_sheet, most_exposed
from mia.metrics.slices import slice_rows
from mia.model_card import About
from mia.outputs import audit_page
from mia.records import Result, Scores
from mia.report import look
from mia.report.run import (
    exposed_table,
    figure,
    run_data,
    run_figures,
    run_files,
    run_page,
    write_run_report,
)
from mia.stored_result import stored_result
from mia.tables import attacks_by_auc


@pytest.fixture(scope="module")
def result() -> Result:
    found = fake_result(size=400)
    growth = [
        {"attack": "loss", "shadows": k, "auc": 0.5 + k / 100, "auc_low": 0.5, "auc_high": 0.7} for k in (1, 2, 4)
    ]
    kinds = {"class": np.array(CLASSES)[found.labels], "correct": np.where(found.confidence > 0.5, "right", "wrong")}
    slices, _ = slice_rows({name: one.score for name, one in found.scores.items()}, found.is_member, kinds)
    return dataclasses.replace(found, growth=growth, slices=slices)


def compiled(result, name):
    data = run_data(result)
    one = next(one for one in run_figures(result, data) if one.name == name)
    return vl_convert.vega_to_svg(
        look.patched(vl_convert.vegalite_to_vega(one.with_data(data), vl_version=look.vegalite_version()))
    )


def test_without_test_records_the_caption_says_nothing_of_a_test_set(result: Result) -> None:
    nothing = np.full_like(result.curves.test_accuracy, np.nan)
    untested = dataclasses.replace(
        result, curves=dataclasses.replace(result.curves, test_loss=nothing, test_accuracy=nothing)
    )
    for one, is_tested in ((result, True), (untested, False)):
        text = " ".join(shown.caption for shown in run_figures(one, run_data(one)))
        assert "in training" in text
        assert ("on the test set" in text) == is_tested


def test_every_figure_is_there_and_keeps_to_the_schema(result: Result) -> None:
    names = list(look.templates()["run"])
    assert [one.name for one in run_figures(result, run_data(result))] == names
    for name in names:
        figure(result, name).to_dict(validate=True)


def test_a_figure_that_cannot_be_is_refused(result: Result) -> None:
    with pytest.raises(RequestError, match="figure"):
        figure(result, "rock")
    with pytest.raises(RequestError, match="learning_curves"):
        figure(dataclasses.replace(result, curves=None), "learning_curves")


def test_the_roc_shows_reported_rates_and_what_the_data_resolve(result: Result) -> None:
    data = run_data(result)
    metrics = result.metrics
    wanted = (metrics["attack/lira_online/fpr_reached_at_1pct"], metrics["attack/lira_online/tpr_at_1pct_fpr"])
    assert wanted in {(line["f"], line["t"]) for line in data["reported"]}
    assert [line["label"] for line in data["limits"] if "at" in line] == ["1%"]  # 400 non-members cannot show 0.1%
    assert min(line["f"] for line in data["limits"] if "f" in line) == 0.5 / 400
    svg = compiled(result, "roc")
    assert f"lira_online (AUC {metrics['attack/lira_online/auc']:.3f})" in svg


def test_precision_by_class_is_that_of_the_rows(result: Result) -> None:
    lines = [line for line in run_data(result)["classes"] if line["a"] == "loss"]
    rows = [row for row in result.per_class if row["attack"] == "loss"]
    assert [line["v"] for line in lines] == [row["precision"] for row in rows]
    assert [line["c"] for line in lines] == list(CLASSES)


def test_learning_curves_hold_the_target_and_the_range_of_the_shadows(result: Result) -> None:
    assert result.curves is not None
    lines = [line for line in run_data(result)["epochs"] if (line["what"], line["part"]) == ("accuracy", "train")]
    assert [line["v"] for line in lines] == result.curves.train_accuracy[0].tolist()
    assert [line["l"] for line in lines] == result.curves.train_accuracy[1:].min(axis=0).tolist()
    assert [line["h"] for line in lines] == result.curves.train_accuracy[1:].max(axis=0).tolist()


def test_leakage_while_it_trains_is_drawn_where_it_was_logged(result: Result, tmp_path) -> None:
    """Runs whose files do not hold the curve have it in the store alone, with steps."""
    assert result.curves is not None
    lines = run_data(result)["leakage"]
    assert [line["v"] for line in lines] == result.curves.loss_auc.tolist()
    assert [line["epoch"] for line in lines] == list(range(1, 31))
    without = dataclasses.replace(result, curves=dataclasses.replace(result.curves, loss_auc=None))
    assert "leakage_by_epoch" not in [one.name for one in run_figures(without, run_data(without))]
    for name, content in run_files(without).items():
        (tmp_path / name).write_bytes(content)
    scores = {name: one.score for name, one in result.scores.items()}
    np.savez(tmp_path / "scores.npz", index=result.index, member=result.is_member, **scores)
    run = dataclasses.replace(run_of(metrics={**result.metrics, "curve/loss_auc": 0.9}), artifacts=str(tmp_path))
    asked = []

    def history(run_id, name):
        asked.append((run_id, name))
        return np.linspace(0.5, 0.9, 30).tolist()

    path = write_run_report(run, fetch_file, tmp_path / "out", history=history)
    assert asked == [(run.id, "curve/loss_auc")]
    assert "Leakage while it trains" in path.read_text()
    plain = dataclasses.replace(run, metrics=result.metrics)
    path = write_run_report(plain, fetch_file, tmp_path / "other", history=history)
    assert "Leakage while it trains" not in path.read_text()


def test_which_attack_finds_whom_counts_the_members_both_find(result: Result) -> None:
    """Two attacks that each find forty members, ten of them the same ones."""
    score, other = np.zeros(800), np.zeros(800)
    score[:40] = other[30:70] = 1.0
    kept = {name: dataclasses.replace(result.scores["loss"], score=one) for name, one in (("a", score), ("b", other))}
    lines = run_data(dataclasses.replace(result, scores=kept))["agreement"]
    found = {(line["a"], line["b"]): (line["v"], line["both"]) for line in lines}
    assert found == {("a", "a"): (1.0, 40), ("b", "b"): (1.0, 40), ("a", "b"): (10 / 70, 10), ("b", "a"): (10 / 70, 10)}
    alone = dataclasses.replace(result, scores={"a": kept["a"]})
    assert run_data(alone)["agreement"] == []


def test_confidence_counts_everybody(result: Result) -> None:
    for who in ("members", "non-members"):
        assert sum(line["v"] for line in run_data(result)["confidence"] if line["who"] == who) == pytest.approx(1)


def test_an_audit_without_curves_and_attacks_has_a_page(result: Result) -> None:
    bare = dataclasses.replace(
        result, curves=None, shadow_accuracy=None, scores={}, per_class=[], metrics={}, growth=[]
    )
    assert [one.name for one in run_figures(bare, run_data(bare))] == ["confidence"]
    assert "No attack could rank these records" in audit_page(bare, About())
    Console(file=io.StringIO()).print(console_table(bare))


def test_nan_everywhere_is_drawn(result: Result) -> None:
    unscored = Scores(np.full(800, np.nan), None, np.zeros(800, int), np.zeros(800, int))
    metrics = dict.fromkeys(result.metrics, math.nan)
    rows = [{**row, "precision": math.nan} for row in result.per_class]
    bare = dataclasses.replace(result, metrics=metrics, scores={"loss": unscored}, per_class=rows)
    for one in run_figures(bare, run_data(bare)):
        compiled(bare, one.name)
    run_files(bare, np.zeros((1600, 8, 8, 3), np.float32))
    Console(file=io.StringIO()).print(console_table(bare))


def test_more_attacks_than_colours_are_told_apart_by_dashes(result: Result) -> None:
    scores = {f"a{k:02}": one for k, one in enumerate(list(result.scores.values()) * 4)}
    many = dataclasses.replace(result, scores=scores, metrics={})
    svg = compiled(many, "roc")
    assert len(scores) == 16
    assert svg.count('stroke-dasharray="5,3"') >= 6


def test_a_stored_run_gives_the_same_figures(result: Result, tmp_path) -> None:
    for name, content in run_files(result).items():
        (tmp_path / name).write_bytes(content)
    scores = {name: one.score for name, one in result.scores.items()}
    np.savez(tmp_path / "scores.npz", index=result.index, member=result.is_member, **scores)
    run = dataclasses.replace(run_of(metrics=dict(result.metrics)), artifacts=str(tmp_path))

    def fetch(_, name):
        path = tmp_path / name
        return path if path.exists() else None

    stored = stored_result(run, fetch)
    before, after = run_data(result), run_data(stored)
    for name in before:
        assert len(before[name]) == len(after[name]), name
    assert json.dumps(before["curves"]) == json.dumps(after["curves"])
    assert json.dumps(before["epochs"]) == json.dumps(after["epochs"])
    assert json.dumps(before["leakage"]) == json.dumps(after["leakage"])
    assert json.dumps(before["agreement"]) == json.dumps(after["agreement"])
    assert [line["c"] for line in after["classes"]] == [line["c"] for line in before["classes"]]
    with pytest.raises(FileNotFoundError):
        stored_result(run, lambda *_: None)


def test_a_runs_page_draws_without_the_charting_library_() -> None:
    code = (
        "import sys, report_fakes\n"
        "from mia.report.run import run_files\n"
        "result = report_fakes.fake_result(size=50)\n"
        "run_files(result)\n"
        "assert not {'altair', 'pandas', 'matplotlib'} & set(sys.modules)\n"
    )
    folder = str(__import__("pathlib").Path(__file__).parent)
    environment = {"PYTHONPATH": f"{folder}:{':'.join(sys.path)}", "PATH": "/usr/bin"} | {
        key: value for key, value in __import__("os").environ.items() if key in {"HOME", "XDG_CACHE_HOME"}
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_console_table_says_utility_leakage_and_models(result: Result) -> None:
    file = io.StringIO()
    Console(file=file, width=160).print(console_table(dataclasses.replace(result, warnings=("careful",))))
    text = file.getvalue()
    for wanted in ("0.990", "0.460", "lira_online", "10/10", "1% FPR", "400 members", "! careful", "10 shadows"):
        assert wanted in text
    assert f"{result.metrics['attack/lira_online/auc_low']:.3f}-" in text


def test_a_control_that_failed_stands_first_and_loud(result: Result) -> None:
    failed = dataclasses.replace(result, warnings=("loss: CONTROL FAILED: on answers", "careful"))
    file = io.StringIO()
    Console(file=file, width=160, force_terminal=True).print(console_table(failed))
    red, yellow = "\x1b[1;31m! loss: CONTROL FAILED", "\x1b[33m! careful"
    assert red in file.getvalue()
    assert yellow in file.getvalue()
    page, harmless = audit_page(failed, About()), audit_page(result, About())
    assert page.index("A control failed: do not trust") < page.index("True against false positives")
    assert page.count("loss: CONTROL FAILED: on answers") == 1
    assert "BUT 1 of its controls failed" in page
    assert "do not trust" not in harmless


def test_most_exposed_are_members_in_order(result: Result) -> None:
    chosen = most_exposed(result, "loss", 10)
    score = result.scores["loss"].score
    assert result.is_member[chosen].all()
    assert score[chosen].tolist() == sorted(score[result.is_member], reverse=True)[:10]


@pytest.mark.parametrize(("shape", "kind"), [((8, 8, 1), np.float32), ((32, 32, 3), np.uint8)])
def test_the_contact_sheet_is_one_small_picture(result: Result, shape, kind) -> None:
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 255, (1600, *shape)).astype(kind)
    content = contact_sheet(result, images)
    assert len(content) < 150_000
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.width < 1000
        best = most_exposed(result, "lira_online", 1)[0]
        if kind == np.uint8:
            shown = np.asarray(
                picture.convert("RGB").crop((2, 0, 74, 72)).resize((32, 32), Image.Resampling.NEAREST), float
            )
            assert np.abs(shown - images[result.index[best]]).mean() < 25  # but for its few colours


def test_the_contact_sheet_of_few_shades_is_not_black(result: Result) -> None:
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 17, (1600, 8, 8, 1)).astype(np.uint8)
    with Image.open(io.BytesIO(contact_sheet(result, images))) as picture:
        tile = np.asarray(picture.convert("L").crop((2, 0, 74, 72)))
    assert tile.max() > 240
    assert 90 < tile.mean() < 165


def test_a_page_names_exposed_members_how_it_was_computed_and_whom_to_cite(result: Result) -> None:
    table = exposed_table(result, most=5)
    assert table is not None
    named = [cell.text for cell in table.columns["record"]]
    strongest = result.scores[attacks_by_auc(result)[0]].score
    best = np.sort(strongest[result.is_member])[::-1][:5]
    assert [str(one) for one in result.index[result.is_member][np.argsort(-strongest[result.is_member])[:5]]] == named
    assert [cell.order for cell in [*table.columns.values()][-1]] == pytest.approx(list(best))
    page = run_page(result, title="x")
    assert "How it was computed" in page
    assert "Whom to cite" in page
