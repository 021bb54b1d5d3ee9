import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mia.files import StorageError
from mia.records import StoredRun
from mia.tracking import Run, Tracker, process
from mia.tracking.names import clean_name


def test_finished_run_is_read_back_as_it_was_written(tracker: Tracker):
    with tracker.run(name="n=50", fingerprint="f1", params={"split.size": 50}, tags={"mia.sweep": "digits"}) as run:
        assert tracker.get(run.id).status == "RUNNING"
        run.log_metrics({"attack/gap/accuracy": 0.75, "axis/split.size": 50})
        run.log_curves({"curve/train_loss": np.array([3.0, 2.0, 1.0])})
        run.log_arrays("scores.npz", {"gap": np.arange(3.0), "index": np.arange(3)})
        run.log_text("x: 1\n", "config.yaml")
        run.log_table([{"class": 0, "recall": 0.5}, {"class": 1, "warning": "few"}], "per_class.csv")
        run.log_bytes("figures/roc.png", b"\x89PNG")
        run.set_note("| a |\n|---|\n| 1 |")
    stored = tracker.finished("f1")
    assert stored is not None
    assert (stored.id, stored.name, stored.status) == (run.id, "n=50", "FINISHED")
    assert stored.params == {"split.size": "50"}
    assert stored.metrics == {"attack/gap/accuracy": 0.75, "axis/split.size": 50, "curve/train_loss": 1}
    assert tracker.curve(run.id, "curve/train_loss") == [3, 2, 1]
    with np.load(tracker.artifact(run.id, "scores.npz"), allow_pickle=False) as arrays:
        assert arrays["gap"].tolist() == [0, 1, 2]
    assert tracker.artifact(run.id, "config.yaml").read_text() == "x: 1\n"
    assert tracker.artifact(run.id, "per_class.csv").read_text().split() == ["class,recall,warning", "0,0.5,", "1,,few"]
    assert tracker.artifact(run.id, "figures/roc.png").read_bytes().startswith(b"\x89PNG")
    assert Path(stored.artifacts, "config.yaml").exists()
    assert "| a |" in stored.tags["mlflow.note.content"]
    with pytest.raises(FileNotFoundError, match="absent"):
        tracker.artifact(run.id, "absent.txt")


def test_origin_is_known_from_the_start(tracker: Tracker):
    with tracker.run(name="a", fingerprint="f") as run:
        tags = tracker.get(run.id).tags
    assert tags["mia.pid"] == str(os.getpid())
    assert tags["mia.kind"] == "run"
    assert tags["mia.version.mlflow"]
    assert tags["mia.version.python"] == sys.version.split()[0]
    assert ("mia.git_dirty" in tags) == ("mia.git_commit" in tags) == bool(process.code())


def test_failed_run_keeps_its_traceback(tracker: Tracker):
    with pytest.raises(ZeroDivisionError), tracker.run(name="a", fingerprint="f"):
        _ = 1 / 0
    (run,) = tracker.runs()
    assert run.status == "FAILED"
    assert run.tags["mia.error"] == "ZeroDivisionError: division by zero"
    assert "1 / 0" in tracker.artifact(run.id, "traceback.txt").read_text()
    assert tracker.finished("f") is None


@pytest.mark.parametrize("end", ["ctrl-c", "sigterm", "exit"])
def test_interrupted_run_is_killed(tracker: Tracker, end: str):
    def interrupt() -> None:
        if end == "sigterm":
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(1) if end == "exit" else KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)), tracker.run(name="a", fingerprint="f"):
        interrupt()
    assert [run.status for run in tracker.runs()] == ["KILLED"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_first_error_is_reported_when_the_store_fails_too(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(Run, "finish", full)
    with pytest.raises(ZeroDivisionError), tracker.run(name="a"):
        _ = 1 / 0


def test_the_latest_finished_run_counts_whatever_came_of_attempts_since(tracker: Tracker):
    assert tracker.finished("f") is None
    with tracker.run(name="first", fingerprint="f") as first:
        pass
    with tracker.run(name="other", fingerprint="g"):
        pass
    found = tracker.finished("f")
    assert found is not None
    assert found.id == first.id
    with pytest.raises(ValueError, match="no"), tracker.run(name="second", fingerprint="f"):
        raise ValueError("no")
    with pytest.raises(KeyboardInterrupt), tracker.run(name="rerun, interrupted", fingerprint="f"):
        raise KeyboardInterrupt
    assert tracker.finished("f") == found
    with tracker.run(name="third", fingerprint="f") as third:
        assert tracker.finished("f") == found
    found = tracker.finished("f")
    assert found is not None
    assert found.id == third.id
    assert tracker.all_finished(["f", "g", "none"]) == {"f": light(tracker, "f"), "g": light(tracker, "g")}


def light(tracker: Tracker, fingerprint: str) -> StoredRun:
    """What is known of the latest finished run without its params and metrics."""
    found = tracker.finished(fingerprint)
    assert found is not None
    return replace(found, params={}, metrics={})


def test_dead_runs_are_closed_and_others_are_not(tracker: Tracker):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = tracker.start("mine", {})
    dead = tracker.start("dead", {"mia.pid": gone.pid})
    reused = tracker.start(
        "its number has been given to another process since", {"mia.pid_start": f"{process._boot()}-1"}
    )
    elsewhere = tracker.start("elsewhere", {"mia.pid": gone.pid, "mia.host": "another-machine"})
    assert {run.id for run in tracker.close_dead_runs()} == {dead.id, reused.id}
    assert {run.id: run.status for run in tracker.runs()} == {
        mine.id: "RUNNING", dead.id: "KILLED", reused.id: "KILLED", elsewhere.id: "RUNNING",
    }  # fmt: skip
    assert str(gone.pid) in tracker.get(dead.id).tags["mia.error"]
    assert tracker.close_dead_runs() == []


def test_sweep_shows_latest_attempts_and_linked_runs(tracker: Tracker):
    sweep = tracker.open_sweep("digits", "s1", {"mia.command": "mia -m +sweeps=digits"})
    with pytest.raises(ValueError, match="no"), tracker.run(name="a", fingerprint="a", parent_id=sweep.id):
        raise ValueError("no")
    with tracker.run(name="a again", fingerprint="a", parent_id=sweep.id):
        pass
    with pytest.raises(ValueError, match="no"), tracker.run(name="b", fingerprint="b", parent_id=sweep.id):
        raise ValueError("no")
    sweep.finish()
    assert [(run.name, run.status) for run in tracker.children(sweep.id)] == [("a again", "FINISHED"), ("b", "FAILED")]

    other = tracker.open_sweep("larger", "s2")
    finished = tracker.finished("a")
    assert finished is not None
    tracker.link(finished.id, other.id)
    with tracker.run(name="c", fingerprint="c", parent_id=other.id):
        pass
    assert [run.name for run in tracker.children(other.id)] == ["a again", "c"]
    assert [run.name for run in tracker.children(sweep.id)] == ["a again", "b"]
    assert [run.id for run in tracker.sweeps()] == [other.id, sweep.id]
    assert [run.id for run in tracker.sweeps("digits")] == [sweep.id]

    again = tracker.open_sweep("digits", "s1")
    assert again.id == sweep.id
    assert tracker.get(sweep.id).status == "RUNNING"


def test_runs_that_need_pools_are_found_in_every_experiment(tracker: Tracker, open_tracker: Callable[..., Tracker]):
    with tracker.run(name="a", tags={"mia.pools": "p1,p2"}) as first, tracker.run(name="without"):
        pass
    with pytest.raises(ValueError, match="no"), tracker.run(name="failed", tags={"mia.pools": "p1"}):
        raise ValueError("no")
    with open_tracker(experiment="other").run(name="b", tags={"mia.pools": "p2"}) as second:
        pass
    assert {run.id: run.tags["mia.pools"] for run in tracker.runs_with_pools()} == {first.id: "p1,p2", second.id: "p2"}


def test_what_mlflow_would_refuse_is_cut_or_replaced(tracker: Tracker):
    params = {"long": "x" * 7000, "odd:name=ü*": None, **{f"p{k}": k for k in range(250)}}
    with tracker.run(name="n" * 600, params=params, tags={"t": "y" * 9000}) as run:
        run.log_metrics({"odd@name": 1, "a//b/": 2, "nan": math.nan, "high": math.inf, "low": -math.inf})
        run.log_metrics({f"m{k}": k for k in range(1100)})
        run.log_curves({"curve": np.arange(2500) / 3})
        run.set_note("\n".join(f"| {k} | value |" for k in range(2000)))
        run.log_metrics({})
    stored = tracker.get(run.id)
    assert stored.params["long"].startswith("xxx")
    assert stored.params["long"].endswith("(7000 characters)")
    assert stored.params["odd:name___"] == "None"
    assert len(stored.params) == 252
    assert len(stored.tags["t"]) <= 8000
    note = stored.tags["mlflow.note.content"]
    assert len(note) <= 8000
    assert note.splitlines()[-3].endswith("| value |")
    assert stored.metrics["odd_name"] == 1
    assert stored.metrics["a/b"] == 2
    assert math.isnan(stored.metrics["nan"])
    assert stored.metrics["high"] == math.inf
    assert stored.metrics["low"] == -math.inf
    assert tracker.curve(run.id, "curve")[2499] == 2499 / 3


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "/a", "a/", "ü" * 300, "a/" * 200, "a b:c.d-e_f"])
def test_clean_names_are_accepted_by_mlflow(tracker: Tracker, name: str):
    from mlflow.utils.validation import _validate_metric_name, _validate_param_name

    _validate_metric_name(clean_name(name))
    _validate_param_name(clean_name(name))
    assert clean_name("attack/lira_online/tpr_at_0.1pct_fpr") == "attack/lira_online/tpr_at_0.1pct_fpr"


def test_inherited_run_id_is_not_reused(
    tracker: Tracker, open_tracker: Callable[..., Tracker], monkeypatch: pytest.MonkeyPatch
):
    sweep = tracker.open_sweep("digits", "s1")
    monkeypatch.setenv("MLFLOW_RUN_ID", sweep.id)
    with open_tracker().run(name="a", parent_id=sweep.id) as run:
        assert run.id != sweep.id


def test_artifact_is_whole_or_not_there(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    def fail(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    run = tracker.start("a", {})
    assert run.folder is not None
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        with pytest.raises(StorageError, match="No space left on device"):
            run.log_text("text", "file.txt")
    assert list(run.folder.iterdir()) == []
