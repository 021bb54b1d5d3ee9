"""A sweep on a Ray cluster of two machines, and what goes wrong with it: nothing lost, nothing twice."""

import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ENDLESS, FAKE, OWN, SMALL

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs: pip install '.[ray]'")
SECONDS = 180


@pytest.fixture(scope="module")
def ray_cluster():
    """A function that ends the second machine, and the address."""
    given = os.environ | {"PYTHONPATH": f"{FAKE}:{OWN}", "FAKE_EPOCH_SECONDS": "0.05"}
    given = {name: value for name, value in given.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, Path(__file__).with_name("local_ray.py")]
    with subprocess.Popen(command, env=given, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        address = process.stdout.readline().strip()
        yield address, process
        process.stdin.close()


class Home:
    """Where somebody starts sweeps on the cluster."""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address

    def sweep(self, *typed):
        given = os.environ | {"MIA_HOME": str(self.folder), "PYTHONPATH": f"{FAKE}:{OWN}"}
        own = ["hydra/launcher=ray", f"hydra.launcher.address={self.address}"]
        return subprocess.Popen(
            [sys.executable, "-m", "mia", "-m", *SMALL, *own, *typed], env=given, text=True, cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def runs(self):
        """Return the status and the epochs of each run, oldest first."""
        try:
            with closing(sqlite3.connect(f"file:{self.folder}/mlflow.db?mode=ro", uri=True)) as database:
                return database.execute(
                    "SELECT status, value FROM runs JOIN params USING (run_uuid) WHERE key = 'train.test_records' "
                    "ORDER BY start_time"
                ).fetchall()
        except sqlite3.OperationalError:
            return []

    def begun(self):
        """Return what each task has said at its start."""
        files = sorted(self.folder.glob("sweeps/*/*/begun"))
        return [json.loads(line) for path in files for line in path.read_text().splitlines()]

    def wait(self, condition):
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, (self.runs(), self.begun())
            time.sleep(0.2)


@pytest.fixture
def home(ray_cluster, tmp_path):
    return Home(tmp_path, ray_cluster[0])


def running(home, count):
    return lambda: [status for status, _ in home.runs()].count("RUNNING") >= count


def test_a_killed_worker_is_made_again_and_nothing_is_lost_or_twice(home):
    process = home.sweep("train.test_records=60,61,1")
    home.wait(running(home, 2))
    os.kill(home.begun()[0]["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert "0 reused, 3 trained, 0 failed" in err, err
    found = home.runs()
    assert sorted(epochs for status, epochs in found if status == "FINISHED") == ["1", "60", "61"]
    assert [status for status, _ in found if status != "FINISHED"] == ["KILLED"]
    assert not list(home.folder.glob("sweeps/*"))
    _, err = (again := home.sweep("train.test_records=60,61,1")).communicate(timeout=SECONDS)
    assert (again.returncode, "3 reused, 0 trained" in err) == (0, True), err


def test_ctrl_c_ends_the_tasks(home):
    process = home.sweep(f"train.test_records={ENDLESS},{ENDLESS + 1},{ENDLESS + 2}")
    home.wait(running(home, 2))
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert "cancelling Ray task" in err
    assert {status for status, _ in home.runs()} == {"KILLED"}, err


def test_a_lost_machine_leaves_its_work_to_the_other(home, ray_cluster):
    process = home.sweep("train.test_records=100,101")
    home.wait(running(home, 2))
    ray_cluster[1].stdin.write("end it\n")
    ray_cluster[1].stdin.flush()
    assert ray_cluster[1].stdout.readline() == "ended\n"
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert sorted(epochs for status, epochs in home.runs() if status == "FINISHED") == ["100", "101"]
    assert "RUNNING" not in [status for status, _ in home.runs()]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hydra.launcher.gpus_per_task=64", "no machine of the Ray cluster has so many"),
        ("+hydra.launcher.cpus=1", "known: address, cpus_per_task"),
    ],
)
def test_what_no_machine_has_is_refused(home, typed, said):
    process = home.sweep("train.test_records=1,2", typed)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 2, err
    assert said in err
