"""`mia runs`, `status`, `diff`, `note`, `rm`: what a person asks of a store from another terminal."""

import csv
import io
import json
import re

import numpy as np
import pytest

from mia.cli.finding import Values, as_value, name_first, span_words
from mia.cli.job import print_lines
from mia.cli.runs import _auc_words
from mia.metrics.auc import auc_difference
from mia.records import StoredRun
from mia.tracking import Tracker, TrackingOptions

CONFIG = "seed: 0\nsplit:\n  size: {size}\ntrain:\n  l2: {l2}\n"
RUNS = [("small", 200, 0.0, 0.8, 0.7), ("small l2", 200, 0.1, 0.75, 0.6), ("large", 500, 0.0, 0.9, 0.55)]


def scores(seed, shift):
    draws = np.random.default_rng(seed)
    member = np.arange(100) % 2
    return {"index": np.arange(100), "member": member.astype(np.int8), "loss": draws.normal(size=100) + shift * member}


@pytest.fixture
def store(empty_home):
    """Three finished runs, of which two count in a sweep that has ended; the fourth configuration failed."""
    tracker = Tracker.open(TrackingOptions(), empty_home)
    names = {f"f{k}": name for k, (name, *_) in enumerate(RUNS)} | {"f3": "train.l2=9"}
    sweep = tracker.open_sweep("sizes", "s", {"mia.command": "mia -m split.size=200,500"}, names)
    ids = {"sweep": sweep.id}
    for k, (name, size, l2, accuracy, area) in enumerate(RUNS):
        params = {"split.size": size, "train.l2": l2, "data.name": "digits", "rerun": False}
        tags = {"mia.pools": f"pool{size}"}
        parent = sweep.id if k != 1 else None
        with tracker.run(name=name, fingerprint=f"f{k}", params=params, tags=tags, parent_id=parent) as run:
            run.log_metrics({"target/test_accuracy": accuracy, "attack/loss/auc": area, "attack/gap/auc": 0.5})
            run.log_metrics({"attack/loss/auc_low": area - 0.1, "attack/loss/auc_high": area + 0.1})
            run.log_metrics({"time/train_seconds": 60.0})
            run.log_text(CONFIG.format(size=size, l2=l2), "config.yaml")
            run.log_arrays("scores.npz", scores(k, k))
        ids[name] = run.id
    ids["failed"] = tracker.fail("broken", "f3", "the loss is not a number", sweep.id)
    sweep.finish("FAILED")
    return empty_home, ids, tracker


def listed(mia, home, *arguments):
    code, out, err = mia(home, "runs", "format=json", *arguments)
    assert code == 0, err
    return [one["name"] for one in json.loads(out)]


def test_runs_are_chosen_and_sorted_by_keys_and_metrics(store, mia):
    home, _, _ = store
    assert listed(mia, home, "where=split.size=200 and train.l2>0") == ["small l2"]
    assert listed(mia, home, "where=status='failed'") == ["broken"]
    assert listed(mia, home, "where=status='FAILED'") == ["broken"]
    assert listed(mia, home, "where=status='finished'", "sort=-attack/loss/auc") == ["small", "small l2", "large"]
    assert listed(mia, home, "sort=target/test_accuracy", "limit=2") == ["small l2", "small"]
    assert listed(mia, home, "where=largest_auc < 0.65") == ["large", "small l2"]
    assert listed(mia, home, "sweep=sizes", "sort=name") == ["broken", "large", "small"]


def test_runs_are_exported_with_all_their_values(store, mia):
    home, ids, _ = store
    _, out, _ = mia(home, "runs", "format=csv", "where=train.l2=0.1")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["id"] == ids["small l2"]
    assert float(row["attack/loss/auc_high"]) == pytest.approx(0.7)
    assert row["data.name"] == "digits"
    _, out, _ = mia(home, "runs", "columns=split.size,rerun", "format=json", "limit=1", "sort=-split.size")
    assert json.loads(out) == [{"split.size": 500, "rerun": False}]


def test_the_table_names_the_strongest_attack(store, mia):
    home, ids, _ = store
    _, out, _ = mia(home, "runs", "where=train.l2>0")
    assert ids["small l2"][:8] in out
    assert "0.6 loss" in out
    assert out.endswith("\n1 run\n")


@pytest.mark.parametrize(
    ("argument", "said"),
    [("where=split.sise=2", "did you mean 'split.size'"), ("sort=attack/los/auc", "did you mean 'attack/loss/auc'"),
     ("columns=nme", "did you mean 'name'"), ("format=xml", "format="), ("limit=-1", "limit=-1"),
     ("where=__import__('os')", "not allowed"), ("sweep=none", "sizes")],
)  # fmt: skip
def test_what_no_run_has_is_refused_in_one_line(store, mia, argument, said):
    code, _, err = mia(store[0], "runs", argument)
    assert code == 2
    assert said in err


def test_a_name_may_stand_alone(store, mia):
    home, _, _ = store
    assert (
        sorted(listed(mia, home, "sizes")) == sorted(listed(mia, home, "sweep=latest")) == ["broken", "large", "small"]
    )
    assert mia(home, "status", "sizes")[:2] == mia(home, "status", "sweep=sizes")[:2]
    code, _, err = mia(home, "runs", "sizse")
    assert code == 2
    assert err.strip() == "mia: error: sweep=sizse is not in the store, did you mean 'sizes'?"


@pytest.mark.parametrize("sweep", [(), ("sweep=wide",)], ids=len)
def test_what_is_read_for_a_list_is_enough_for_its_filter_and_order(store, mia, sweep):
    home, ids, tracker = store
    wide = tracker.open_sweep("wide", "w")
    for name, *_ in RUNS:
        tracker.link(ids[name], wide.id)
    found = listed(mia, home, *sweep, "where=largest_auc > 0.5 and split.size=200", "sort=-largest_auc")
    assert found == ["small", "small l2"]
    code, out, _ = mia(
        home, "runs", *sweep, "columns=largest_auc,train.l2", "sort=largest_auc", "where=train.l2 < 0.05"
    )
    assert code == 0
    assert re.findall(r"0\.\d+ \w+", out) == ["0.55 loss", "0.7 loss"]


@pytest.mark.parametrize("width", [80, 160])
def test_long_names_leave_room_for_the_rest(store, mia, monkeypatch, width):
    home, _, tracker = store
    monkeypatch.setenv("COLUMNS", str(width))
    sweep = tracker.open_sweep("long", "l")
    for k in range(2):
        settings = f"l2=1e-{k} label_smoothing=0.0{k}5 early_stopping.holdout=0.{k} augmentation.flip=0.{k} last={k}"
        name = f"images cnn n=2500 {settings}"
        with tracker.run(name=name, fingerprint=f"l{k}", parent_id=sweep.id) as run:
            run.log_metrics({"target/test_accuracy": 0.5, "attack/modified_entropy/auc": 0.51234})
    _, out, _ = mia(home, "runs", "long")
    assert out.count("modified_entropy") == 2
    assert "l2=1e-1" in out
    assert "=0.015" in out
    assert "2 runs; all are images cnn n=2500" in out
    assert out.count("\n") < (18 if width == 80 else 12)
    assert ("last=1" in out) == (width == 160)


def test_names_that_say_the_same_are_shown(store, mia):
    home, _, tracker = store
    sweep = tracker.open_sweep("twins", "t")
    for k in range(2):
        with tracker.run(name="twin n=7", fingerprint=f"t{k}", parent_id=sweep.id):
            pass
    _, out, _ = mia(home, "runs", "twins")
    assert out.count("twin n=7") == 2
    assert "all are" not in out


def test_a_sweep_is_no_run(store, mia):
    home, ids, _ = store
    for word in ("sizes", ids["sweep"][:8]):
        code, _, err = mia(home, "diff", "latest", word)
        assert code == 2
        assert f"mia runs {word} lists its runs" in err


def test_status_tells_what_failed_and_why(store, mia):
    home, _, _ = store
    code, out, _ = mia(home, "status")
    assert code == 1
    assert "2 of 4 done, 1 waiting, 1 failed; failed" in out
    assert "failed: train.l2=9: the loss is not a number" in out


def test_status_of_a_sweep_in_progress(store, mia):
    home, _, tracker = store
    sweep = tracker.open_sweep("going", "g", {}, {"f0": "one", "f1": "two", "x": "three", "y": "four"})
    code, out, _ = mia(home, "status")
    assert code == 0
    assert "sweep going" in out
    assert "sizes" not in out
    with tracker.run(name="small", fingerprint="x", parent_id=sweep.id) as run:
        run.set_tags({"mia.doing": "train: model 2 of 3, epoch 4/9"})
        _, out, _ = mia(home, "status")
        assert "1 running, 3 waiting" in out
        assert re.search(r"running: three: for \d+ s, train: model 2 of 3, epoch 4/9", out)
    _, out, _ = mia(home, "status", "sweep=going")
    assert re.search(r"1 of 4 done, 3 waiting; about \d+ s left", out)


def test_status_tells_of_processes_that_died(store, mia):
    home, _, tracker = store
    sweep = tracker.open_sweep("dead", "d", {"mia.command": "mia -m seed=1,2"}, {"x": "seed=1"})
    run = tracker.start("seed 1", {"mia.kind": "run", "mia.fingerprint": "x"}, sweep.id)
    for one in (sweep, run):
        one.set_tags({"mia.pid": 2**22 + 5, "mia.pid_start": ""})
    code, out, _ = mia(home, "status")
    assert code == 1
    assert "1 died; its process died" in out
    assert "goes on with: mia -m seed=1,2" in out


def test_a_filter_of_a_report_may_begin_and_end_with_words(store, mia):
    home, _, _ = store
    code, _, err = mia(home, "report", "sweep=sizes", "where='small' = name and name = 'large'", "out=there")
    assert code == 2
    assert "leaves none of 3 runs" in err


def test_a_sweep_is_found_by_as_few_letters_as_a_run(store, mia):
    home, ids, _ = store
    short = ids["sweep"][:4]
    _, _, err = mia(home, "diff", short, short)
    assert f"mia runs {short} lists its runs" in err
    assert listed(mia, home, short, "sort=name") == listed(mia, home, "sizes", "sort=name")


@pytest.mark.parametrize("asked", [("status",), ("runs",), ("report", "sweep=dead", "out=there")], ids=" ".join)
def test_whoever_looks_closes_the_runs_of_the_dead(store, mia, asked, monkeypatch, tmp_path):
    home, _, tracker = store
    monkeypatch.chdir(tmp_path)
    sweep = tracker.open_sweep("dead", "d", {}, {"x": "seed=1"})
    run = tracker.start("seed 1", {"mia.kind": "run", "mia.fingerprint": "x"}, sweep.id)
    alive = tracker.start("alive", {"mia.kind": "run", "mia.fingerprint": "y"})
    for one in (sweep, run):
        one.set_tags({"mia.pid": 2**22 + 5, "mia.pid_start": ""})
    mia(home, *asked)
    assert [tracker.get(one.id).status for one in (sweep, run, alive)] == ["KILLED", "KILLED", "RUNNING"]


def test_nothing_to_tell(empty_home, mia):
    code, out, _ = mia(empty_home, "status")
    assert code == 0
    assert "nothing is running" in out


def test_diff_names_keys_that_differ_and_pairs_what_judged_the_same_records(store, mia):
    home, ids, _ = store
    code, out, err = mia(home, "diff", "small", ids["small l2"][:8])
    assert code == 0, err
    text = " ".join(out.split())
    assert "train.l2 0.0 0.1" in text
    assert "split.size" not in text
    a, b = scores(0, 0), scores(1, 1)
    truth = auc_difference(b["loss"], a["loss"], a["member"].astype(bool), 0.95).named("d")
    assert f"{truth['d']:+.3f} ({truth['d_low']:+.3f} to {truth['d_high']:+.3f})" in out
    assert "paired" in out
    assert "-0.050" in text  # accuracy, of which no records are stored


def test_records_of_other_targets_are_not_paired(store, mia):
    home, ids, tracker = store
    arrays = scores(0, 0) | {"member": 1 - scores(0, 0)["member"]}
    tracker.resume(ids["large"]).log_arrays("scores.npz", arrays)
    _, out, _ = mia(home, "diff", "small", "large")
    assert "paired" not in out
    assert "-0.150" in out


@pytest.mark.parametrize(("arguments", "said"), [(["small"], "which two runs"), (["small", "smal"], "'smal'"),
                                                 (["a", "b", "c"], "too many"), ([], "which two")])  # fmt: skip
def test_diff_needs_two_runs(store, mia, arguments, said):
    code, _, err = mia(store[0], "diff", *arguments)
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (["sweep="], "sweep= names nothing"),
        (["sweep=,"], "sweep= names nothing"),
        (["run="], "run= names nothing"),
        (["sweep=sizes", "out="], "out= is empty"),
        (["sweep=sizes", "out={}/file"], "out={}/file cannot be made: {}/file is no folder"),
        (["sweep=sizes", "out={}/file/report.html"], "out={}/file cannot be made"),
        (["run=latest", "out=/proc/x"], "out=/proc/x cannot be written"),
        (["sweep=sizes", f"out={'a' * 300}"], "a cannot be written: File name too long"),
        (["sweep=sizes", "out={}/page.html"], "out={}/page.html is a folder"),
    ],
    ids=str,
)
def test_a_report_of_nothing_or_to_nowhere_is_refused(store, mia, tmp_path, request_, named):
    (tmp_path / "file").touch()
    (tmp_path / "page.html").mkdir()
    code, out, err = mia(store[0], "report", *(one.replace("{}", str(tmp_path)) for one in request_))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert named.replace("{}", str(tmp_path)) in err
    assert {path.name for path in tmp_path.iterdir()} <= {"file", "page.html", store[0].name}


@pytest.mark.parametrize("content", [b"no arrays", b"PK\x03\x04", b"", None], ids=["text", "cut", "empty", "other"])
def test_a_damaged_file_of_scores_is_named(store, mia, tmp_path, content):
    home, ids, tracker = store
    path = tracker.artifact(ids["small"], "scores.npz")
    if content is None:
        np.savez(path, loss=np.zeros(3))
    else:
        path.write_bytes(content)
    code, out, err = mia(home, "report", f"run={ids['small']}", f"out={tmp_path / 'out'}")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert f"{path} is damaged" in err
    assert "pickle" not in err
    assert not (tmp_path / "out").exists()


def test_the_latest_run_is_reported(store, mia, tmp_path):
    home, _, tracker = store
    with tracker.run(name="the last", fingerprint="f9", tags={"mia.kind": "run"}) as run:
        run.log_arrays("scores.npz", scores(9, 1))
    assert mia(home, "report", "run=latest", f"out={tmp_path / 'out'}")[0] == 0
    assert "the last" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    "text", ["it costs ${x}", "${oc.env:HOME}", r"a\b", "it's", '"quoted"', "null", "???", "[a, b]", r"\${x}"]
)
def test_a_note_is_taken_literally(store, mia, text):
    home, ids, tracker = store
    assert mia(home, "note", ids["small"], f"text={text}")[0] == 0
    assert tracker.get(ids["small"]).tags["mia.note"] == text
    assert mia(home, "note", "small")[1] == f"{text}\n"


def test_a_note_is_kept_replaced_and_taken_away(store, mia):
    home, ids, tracker = store
    tracker.resume(ids["sweep"]).set_note("| a | table |")
    for text in ("good, isn't it?", "better; a, b"):
        assert mia(home, "note", "sizes", f"text={text}")[0] == 0
        assert tracker.get(ids["sweep"]).tags["mlflow.note.content"] == f"{text}\n\n| a | table |"
    assert mia(home, "note", "sizes")[1].strip() == "better; a, b"
    mia(home, "note", "sizes", "text=")
    assert tracker.get(ids["sweep"]).tags["mlflow.note.content"] == "| a | table |"
    mia(home, "note", ids["large"], "text=look here")
    assert listed(mia, home, "where=note='look here'") == ["large"]


def test_rm_says_what_hangs_on_a_run_and_asks(store, mia):
    home, ids, tracker = store
    code, out, err = mia(home, "rm", "large")
    assert code == 2  # nobody was asked
    assert "counts in the sweep sizes" in out
    assert "pool500" in out
    assert "yes=true" in err
    assert tracker.finished("f2").id == ids["large"]
    code, out, _ = mia(home, "rm", "large", "yes=true")
    assert code == 0
    assert tracker.finished("f2") is None
    assert tracker.outcomes(ids["sweep"])["f2"].status == "waiting"
    _, out, _ = mia(home, "rm", "small")
    assert "pool200" not in out  # another run needs it


def test_a_run_that_goes_on_is_not_removed(store, mia):
    home, _, tracker = store
    with tracker.run(name="busy"):
        code, _, err = mia(home, "rm", "busy", "yes=true")
    assert code == 2
    assert "end it first" in err


def test_names_ids_and_latest(store, mia):
    home, ids, _ = store
    assert ids["failed"][:8] in mia(home, "note", "latest")[1]
    code, _, err = mia(home, "note", "smal")
    assert code == 2
    assert "did you mean 'small'" in err


def test_a_name_may_look_like_an_override():
    assert name_first(["digits mlp n=200 l2=0.1", "a", "tracking.uri=x"], ["a", "b"]) == [
        "a=digits mlp n=200 l2=0.1", "b=a", "tracking.uri=x",
    ]  # fmt: skip


def test_values_are_what_they_were_printed_as():
    run = StoredRun("i", "n", "FINISHED", 0, {"a": "1e-3", "b": "True", "c": "5", "d": "x,y"}, {"m": 0.5}, {}, "")
    assert {key: Values(run)[key] for key in ("a", "b", "c", "d", "m")} == {
        "a": 1e-3,
        "b": True,
        "c": 5,
        "d": "x,y",
        "m": 0.5,
    }
    assert as_value("None") is None
    assert "largest_auc" not in Values(run)


def test_the_largest_area_is_the_owners_only_where_nobody_else_has_one(capsys):
    areas = {"attack/gap/auc": 0.55, "attack/loss/auc": 0.625, "attack/gradient_norm/auc": 0.7412}
    run = StoredRun("i", "n", "FINISHED", 0, {}, areas, {}, "")
    assert (Values(run)["largest_auc"], _auc_words(run)) == (0.625, "0.625 loss")
    print_lines({"target/test_accuracy": 0.5} | areas, "i", "n")
    assert "largest AUC 0.625 of loss; run i" in capsys.readouterr().out
    owners = StoredRun("i", "n", "FINISHED", 0, {}, {"attack/gradient_norm/auc": 0.7412}, {}, "")
    assert _auc_words(owners) == "0.7412 gradient_norm (owner's view)"


def test_spans():
    assert [span_words(s) for s in (5, 600, 7800, 3e5)] == ["5 s", "10 min", "2 h 10 min", "3.5 days"]


def test_status_knows_how_many_trials_a_search_will_have_and_leaves_out_what_all_share(store, mia):
    home, _, tracker = store
    names = {"x": "split.size=60 seed=1", "y": "split.size=60 seed=2"}
    sweep = tracker.open_sweep("searching", "h", {"mia.trials": 9}, names)
    tracker.fail("broken", "x", "bad luck", sweep.id)
    code, out, _ = mia(home, "status")
    assert code == 1
    assert "0 of 9 done, 1 waiting, 1 failed" in out
    assert "failed: seed=1: bad luck" in out
