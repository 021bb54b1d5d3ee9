"""Sweeps that are killed, interrupted, crowded or fail: what the store holds afterwards."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mia.checks import RequestError
from mia.machine import usable_cores
from mia.sweeper.grid import GridSweeper
from mia.sweeper.resuming import ResumingSweeper
from mia.tracking import Tracker, TrackingOptions

SMALL_BUT_SIZE = ["model.hidden=[4]", "train.epochs=2", "split.num_shadows=2", "attack=[gap]"]
SMALL = ["split.size=20", *SMALL_BUT_SIZE]
DIVERGES = "train.learning_rate=1e38"
BENCH = Path(__file__).parents[1] / "bench" / "kills.py"
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


@pytest.fixture
def home(empty_home):
    return empty_home


def tracker_of(home):
    return Tracker.open(TrackingOptions(), home)


def statuses(home):
    return sorted(run.status for run in tracker_of(home).runs(kind="run"))


def the_sweep(home):
    (sweep,) = tracker_of(home).sweeps()
    return sweep


def start(home, *arguments):
    """Start the command in a session of its own, with Ctrl-C as a terminal has it: a background shell ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a signal that is not ignored here is not in the child
    return subprocess.Popen(
        [sys.executable, "-m", "mia", *arguments],
        env=os.environ | {"MIA_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until(condition, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def nobody_left(group, seconds=30):
    """Wait until no process of a group lives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        living = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
                living += [path] * (state != "Z" and int(of_group) == group)
        if not living:
            return True
        time.sleep(0.2)
    return False


def running_runs(home):
    return [run for run in tracker_of(home).runs(kind="run") if run.status == "RUNNING"]


@pytest.mark.slow
def test_killed_sweeps_end_with_the_same_scores_and_no_model_trained_twice():
    command = [sys.executable, BENCH, "--kills", "3", "--configurations", "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["identical"] is True
    assert (found["running_left"], found["unfinished"], found["models_trained_twice"]) == (0, 0, 0)
    assert found["models"] == 6


@pytest.mark.parametrize("launcher", [[], JOBLIB], ids=["basic", "joblib"])
def test_one_failing_configuration_does_not_stop_the_others(mia, home, launcher):
    code, _, err = mia(home, "-m", *SMALL, "train.learning_rate=1e38,1e-3,1e-2", *launcher)
    assert code == 1
    assert "0 reused, 2 trained, 1 failed" in err
    assert "Traceback" not in err
    tracker = tracker_of(home)
    assert statuses(home) == ["FAILED", "FINISHED", "FINISHED"]
    (failed,) = tracker.runs(kind="run", status="FAILED")
    assert "Traceback" in tracker.artifact(failed.id, "traceback.txt").read_text()
    sweep = the_sweep(home)
    assert sweep.status == "FAILED"
    assert "DivergedError" in failed.tags["mia.error"]
    reason = failed.tags["mia.error"].partition(": ")[2]
    note = sweep.tags["mlflow.note.content"]
    assert DIVERGES.replace("1e38", "1e+38") in note or DIVERGES in note
    assert reason[:40] in note
    assert tracker.artifact(sweep.id, "report.html").exists()
    assert not (home / "sweeps").exists()

    code, _, err = mia(home, "-m", *SMALL, "train.learning_rate=1e38,1e-3,1e-2", *launcher)
    assert code == 1
    assert "2 reused, 0 trained, 1 failed" in err
    assert len(tracker.runs(kind="sweep")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], JOBLIB], ids=["basic", "joblib"])
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_sweep_closes_its_runs_and_says_so(home, launcher, signal_):
    endless = ["train.epochs=1000000", "split.num_shadows=1,2"]
    process = start(home, "-m", *SMALL, *endless, *launcher)
    wait_until(lambda: len(running_runs(home)) == (2 if launcher else 1), process)
    if signal_ == signal.SIGINT:
        os.killpg(process.pid, signal_)  # as a terminal does
    else:
        process.send_signal(signal_)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted" in err
    assert set(statuses(home)) == {"KILLED"}
    sweep = the_sweep(home)
    assert sweep.status == "KILLED"
    assert "not run" in sweep.tags["mlflow.note.content"]
    assert tracker_of(home).artifact(sweep.id, "summary.csv").exists()
    assert nobody_left(process.pid)


@pytest.mark.slow
def test_runs_of_a_killed_sweep_are_closed_at_the_next_start(mia, home):
    process = start(home, "-m", *SMALL, "train.epochs=1000000,3")
    wait_until(lambda: running_runs(home), process)
    process.kill()
    process.communicate()
    assert the_sweep(home).status == "RUNNING"
    code, _, _ = mia(home, *SMALL)
    assert code == 0
    assert the_sweep(home).status == "KILLED"
    assert statuses(home) == ["FINISHED", "KILLED"]
    assert list((home / "sweeps").iterdir())
    mia(home, "-m", *SMALL, "train.epochs=2,2")
    assert not (home / "sweeps").exists()


@pytest.mark.slow
def test_sweeps_side_by_side_on_an_empty_store_lose_nothing(mia, tmp_path):
    """Four processes at once on no folder at all, two of them joblib sweeps with configurations in common."""
    home = tmp_path / "new" / "mlruns"
    requests = [
        ["-m", "split.size=20,21", *JOBLIB],
        ["-m", "split.size=21,22", *JOBLIB],
        ["split.size=20"],
        ["split.size=23", "tracking.experiment=other"],
    ]
    processes = [start(home, *request, *SMALL_BUT_SIZE) for request in requests]
    for process in processes:
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert "locked" not in err
        assert "Traceback" not in err
    tracker = tracker_of(home)
    runs = tracker.runs(kind="run")
    assert {run.status for run in runs} == {"FINISHED"}
    assert {run.params["split.size"] for run in runs} == {"20", "21", "22"}
    (other,) = Tracker.open(TrackingOptions("other"), home).runs()
    assert (other.params["split.size"], other.status) == ("23", "FINISHED")
    assert len(tracker.sweeps()) == 2
    for sweep in tracker.sweeps():
        assert sweep.status == "FINISHED"
        assert len(tracker.children(sweep.id)) == 2
    assert len(list(home.glob("pools/*/[0-9]*.json"))) == 4 * 3


def test_workers_share_the_cores():
    """XLA's devices are bounded by what a sweep hands to its jobs; joblib bounds the threads of BLAS itself."""

    def workers(launcher, jobs):
        sweeper = ResumingSweeper.__new__(GridSweeper)
        sweeper._config = OmegaConf.create({"hydra": {"launcher": launcher}})
        return sweeper.workers(jobs)

    assert workers({"n_jobs": 2}, 3) == 2
    assert workers({"n_jobs": 4}, 2) == 2
    assert workers({"n_jobs": -1}, 1000) == usable_cores()
    assert workers({}, 2) == 1
    with pytest.raises(RequestError, match=r"hydra\.launcher\.n_jobs=0"):
        workers({"n_jobs": 0}, 2)
    probe = "import jax; from mia.train.devices import prepare; prepare(); print(jax.device_count())"
    bounded = os.environ | {"MIA_CORES": "1"}
    done = subprocess.run([sys.executable, "-c", probe], env=bounded, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "1"


@pytest.mark.slow
def test_a_finished_sweep_is_reused_whole_and_its_runs_are_linked_from_others(mia, home, monkeypatch):
    code, _, err = mia(home, "-m", *SMALL, "train.l2=0,1e-2")
    assert (code, "0 reused, 2 trained, 0 failed" in err) == (0, True)
    tracker = tracker_of(home)
    first = the_sweep(home)
    report = tracker.artifact(first.id, "report.html").stat().st_mtime_ns
    scores = {run.id: run.started for run in tracker.runs(kind="run")}

    monkeypatch.setattr("mia.tracking.process.code", lambda: {"mia.git_commit": "f" * 40})
    code, _, err = mia(home, "-m", *SMALL, "train.l2=0,1e-2")
    assert (code, "2 reused, 0 trained, 0 failed" in err) == (0, True)
    assert tracker.artifact(first.id, "report.html").stat().st_mtime_ns == report
    if "mia.git_commit" in first.tags:
        assert "made by commit" in err
        assert {run.tags["mia.reused_by_commit"] for run in tracker.runs(kind="run")} == {"f" * 40}

    code, _, err = mia(home, "-m", *SMALL, "train.l2=1e-2,1e-1")
    assert (code, "1 reused, 1 trained, 0 failed" in err) == (0, True)
    both = [{run.params["train.l2"] for run in tracker.children(sweep.id)} for sweep in tracker.sweeps()]
    assert both == [{"0.01", "0.1"}, {"0.0", "0.01"}]
    assert {run.id: run.started for run in tracker.runs(kind="run") if run.id in scores} == scores

    code, _, err = mia(home, "-m", *SMALL, "train.l2=0,1e-2", "rerun=true")
    assert (code, "0 reused, 2 trained, 0 failed" in err) == (0, True)
    assert len(tracker.runs(kind="run")) == 5
    assert len(tracker.sweeps()) == 2
