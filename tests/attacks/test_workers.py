"""Worker processes: they end with the program they work for, and what the caller had running stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mia import machine
from mia.attacks.shadow_classifier import workers
from mia.attacks.shadow_classifier.workers import Workers

BUSY = """
import sys
from mia.attacks.shadow_classifier import workers
sys.path.insert(0, {folder!r})
import busy_job
workers.count_cores = lambda: 2
with workers.Workers(1e9) as some:
    list(some.run(busy_job.work, [({folder!r},)] * 2, 2))
"""
JOB = """
import os, pathlib
def work(folder):
    pathlib.Path(folder, f"{os.getpid()}.pid").touch()
    while True:
        sum(range(10**8))  # never lets another thread of the process run
"""


def is_alive(pid):
    """Tell whether a process is there and no zombie that its new parent has yet to bury."""
    if sys.platform == "linux":
        status = Path(f"/proc/{pid}/stat")
        try:
            return status.read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread looks, which this job would not let run")
def test_workers_end_with_a_program_that_is_killed(tmp_path):
    (tmp_path / "busy_job.py").write_text(JOB)
    command = [sys.executable, "-c", BUSY.format(folder=str(tmp_path))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    program = subprocess.Popen(command, env=environment)
    try:
        wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    finally:
        program.send_signal(signal.SIGKILL)
        program.wait()
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    wait_for(lambda: not any(map(is_alive, pids)))


@pytest.mark.slow
def test_an_executor_of_the_callers_is_left_running(monkeypatch):
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    monkeypatch.setattr(workers, "count_cores", lambda: 2)
    try:
        assert Parallel(n_jobs=2)(delayed(pow)(2, power) for power in range(3)) == [1, 2, 4]
        with Workers(1e9) as some:
            assert list(some.run(pow, [(2, 2), (3, 2)], 2)) == [4, 9]
        assert workers._are_running()
    finally:
        get_reusable_executor().shutdown(wait=True)
    with Workers(1e9) as some:
        assert list(some.run(pow, [(2, 2), (3, 2)], 2)) == [4, 9]
    assert not workers._are_running()


def test_cores_are_those_of_this_process(monkeypatch):
    monkeypatch.delenv("MIA_CORES", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 9}, raising=False)
    assert machine.usable_cores() == 3
    monkeypatch.setenv("MIA_CORES", "2")
    assert machine.usable_cores() == 2
    assert workers.count_cores() <= 2
