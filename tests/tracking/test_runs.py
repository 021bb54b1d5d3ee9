import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mia.files import StorageError
from mia.records import Dataset, StoredRun
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


def test_a_run_names_the_data_set_it_was_trained_on(any_tracker: Tracker):
    images = Dataset("digits", np.zeros((5, 8, 8, 1), np.uint8), np.arange(5, dtype=np.int32), 10)
    with any_tracker.run(name="a") as run:
        run.log_dataset(images)
    (found,) = any_tracker._client.get_run(run.id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("digits", images.fingerprint[:36])
    profile = json.loads(found.dataset.profile)
    assert (profile["num_rows"], profile["num_classes"], profile["features_shape"]) == (5, 10, [5, 8, 8, 1])
    features = json.loads(json.loads(found.dataset.schema)["mlflow_tensorspec"]["features"])
    assert features[0]["tensor-spec"] == {"dtype": "uint8", "shape": [-1, 8, 8, 1]}
    assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training")]


@pytest.mark.parametrize(
    "said",
    [
        "(psycopg2.errors.UniqueViolation) duplicate key value",
        "(sqlite3.IntegrityError) UNIQUE constraint failed: datasets.name",
    ],
)
def test_a_data_set_that_another_process_stores_at_the_same_moment(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, said
):
    from mlflow.exceptions import MlflowException

    images = Dataset("digits", np.zeros((5, 8, 8, 1), np.uint8), np.arange(5, dtype=np.int32), 10)
    with tracker.run(name="a") as run:
        log, errors = tracker._client.log_inputs, [MlflowException(said)]

        def second_time(*args, **kwargs):
            if errors:
                raise errors.pop()
            log(*args, **kwargs)

        monkeypatch.setattr(tracker._client, "log_inputs", second_time)
        run.log_dataset(images)
        errors[:] = [MlflowException("no such run")]
        with pytest.raises(StorageError, match="no such run"):
            run.log_dataset(images)
    assert len(tracker._client.get_run(run.id).inputs.dataset_inputs) == 1


def test_what_is_stored_together_takes_one_call(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    with tracker.run(name="a", fingerprint="f") as run:
        log_batch = tracker._client.log_batch
        monkeypatch.setattr(tracker._client, "log_batch", lambda *a, **b: calls.append("once") or log_batch(*a, **b))
        with run.together(), run.together():
            run.log_params({"p": 1})
            run.log_curves({"curve": np.arange(100.0)})
            for shadow in range(1, 65):
                run.log_metrics({"shadows/a": shadow, "shadows/b": shadow}, step=shadow)
            run.set_tags({"t": 1})
            assert calls == []
    assert calls == ["once"]
    stored = tracker.finished("f")
    assert stored is not None
    assert (stored.params["p"], stored.tags["t"], stored.metrics["shadows/b"]) == ("1", "1", 64)
    assert tracker.curve(run.id, "shadows/a") == list(range(1, 65))
    assert tracker.curve(run.id, "curve") == list(range(100))


def test_what_was_to_be_stored_together_is_stored_when_the_block_fails(tracker: Tracker):
    run = tracker.start("a", {})

    def fail() -> None:
        with run.together():
            run.log_metrics({"m": 1})
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert tracker.get(run.id).metrics == {"m": 1}


def test_a_file_and_a_server_are_read_alike(any_tracker: Tracker):
    runs = []
    for number in range(3):
        with any_tracker.run(
            name=f"run {number}", fingerprint=f"f{number}", params={"p": number}, tags={"mia.pools": f"p{number}"}
        ) as run:
            run.log_metrics({"m": number, "inf": -math.inf})
            run.log_curves({"c": [3, 2, number]})
        runs.append(run.id)
    with pytest.raises(ValueError, match="no"), any_tracker.run(name="failed", fingerprint="f0"):
        raise ValueError("no")
    assert [run.name for run in any_tracker.runs(kind="run")] == ["failed", "run 2", "run 1", "run 0"]
    assert [run.name for run in any_tracker.runs(status="FINISHED", limit=2)] == ["run 2", "run 1"]
    assert [run.name for run in any_tracker.runs(fingerprint="f0")] == ["failed", "run 0"]
    found = any_tracker.finished("f1")
    assert found is not None
    assert (found.name, found.params, found.status) == ("run 1", {"p": "1"}, "FINISHED")
    assert found.metrics == {"m": 1, "inf": -math.inf, "c": 1}
    assert abs(found.started - time.time()) < 600
    assert any_tracker.get(runs[1]) == found
    assert any_tracker.curve(runs[1], "c") == [3, 2, 1]
    assert {run.id for run in any_tracker.runs_with_pools()} >= set(runs)
    assert {name: run.id for name, run in any_tracker.all_finished(["f0", "f2"]).items()} == {
        "f0": runs[0], "f2": runs[2],
    }  # fmt: skip
    assert [run.id for run in any_tracker.find(runs[2][:10])] == [runs[2]]
    assert any_tracker.store_id in any_tracker.store_ids()
    with pytest.raises(StorageError):
        any_tracker.get("0" * 32)


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
