"""Sweeps over epochs that are killed at chosen moments of a snapshot's life, by a real SIGKILL of a real process."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mia.tracking import Tracker, TrackingOptions

SMALL = ["split=pool", "split.size=20", "split.num_shadows=2", "model.hidden=[4]", "attack=[loss,rmia_offline]"]
LENGTHS = (2, 3, 5)
KILLING = """
import os, re, signal, sys
from contextlib import contextmanager

from mia.experiment import training
from mia.store import beside, content, pool

pattern, number, moment, *arguments = sys.argv[1:]
whole_file, seen = pool.whole_file, 0
training.FEW = 0  # models are asked when a run needs it, as of a large data set


@contextmanager
def killing(path):
    global seen
    is_meant = re.search(pattern, str(path)) is not None
    seen += is_meant
    dies = is_meant and seen == int(number)
    with whole_file(path) as temporary:
        yield temporary
        if dies and moment == "writing":
            os.kill(os.getpid(), signal.SIGKILL)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)


for module in (beside, content, pool):
    module.whole_file = killing
from mia.cli.main import dispatch

sys.exit(dispatch(arguments))
"""
NEVER = ("never", 1, "writing")
MOMENTS = {
    "after the first model on the way": (r"pools/\w+/0000\.json$", 1, "written"),
    "while one is written": (r"pools/\w+/0001\.npz$", 2, "writing"),
    "between its files": (r"pools/\w+/0001\.npz$", 1, "written"),
    "before the last model": (r"pools/\w+/0002\.json$", 3, "writing"),
    "while its losses are written": (r"pools/\w+/leakage/0000\.npz$", 2, "written"),
    "while its answers are kept": (r"pools/\w+/answers/0001\.npz$", 2, "written"),
}


def run(home, moment, *arguments):
    """Run the command until it ends or kills itself, and return its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", KILLING, *map(str, moment), *arguments, *SMALL],
        env=os.environ | {"MIA_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def finished(home):
    """Return the scores of the finished runs, by fingerprint."""
    tracker = Tracker.open(TrackingOptions(), home)
    found = {}
    for one in tracker.runs(kind="run", status="FINISHED"):
        assert one.tags["mia.fingerprint"] not in found
        with np.load(tracker.artifact(one.id, "scores.npz")) as file:
            found[one.tags["mia.fingerprint"]] = dict(file)
    return found


def saved(home):
    """Return when each saved model was written."""
    paths = home.glob("pools/*/[0-9]*.json")
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The scores of each length trained alone, in a fresh store."""
    found = {}
    for epochs in LENGTHS:
        home = tmp_path_factory.mktemp("alone")
        assert run(home, NEVER, f"train.epochs={epochs}") == 0
        found |= finished(home)
    assert len(found) == len(LENGTHS)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_sweep_killed_on_the_way_ends_like_runs_alone_and_writes_no_model_twice(alone, tmp_path, moment):
    sweep = ["-m", f"train.epochs={','.join(map(str, LENGTHS))}"]
    assert run(tmp_path, MOMENTS[moment], *sweep) == -signal.SIGKILL
    before = saved(tmp_path)
    assert run(tmp_path, NEVER, *sweep) == 0
    after = saved(tmp_path)
    assert len(after) == 3 * len(LENGTHS)
    assert before.items() <= after.items()
    found = finished(tmp_path)
    assert found.keys() == alone.keys()
    for name, scores in alone.items():
        assert found[name].keys() == scores.keys()
        for attack, array in scores.items():
            np.testing.assert_array_equal(found[name][attack], array)
