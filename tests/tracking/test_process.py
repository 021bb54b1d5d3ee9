"""Who may call a run dead: only somebody who can know."""

import itertools
import os
import subprocess
import sys
import threading
import time

import pytest

from mia.tracking import Tracker, process
from mia.tracking.process import BEAT_SECONDS, HEARTBEAT, LEASE_SECONDS, is_gone


def test_dead_runs_are_closed_and_others_are_not(tracker: Tracker):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = tracker.start("mine", {})
    dead = tracker.start("dead", {"mia.pid": gone.pid})
    reused = tracker.start(
        "its number has been given to another process since", {"mia.pid_start": f"{process._boot()}-1"}
    )
    others = {"mia.pid": gone.pid, "mia.pid_start": "another-1"}
    namesake = tracker.start("on a machine of the same name", others)
    elsewhere = tracker.start("elsewhere", {"mia.pid": gone.pid, "mia.host": "another-machine"})
    assert {run.id for run in tracker.close_dead_runs()} == {dead.id, reused.id}
    assert {run.id: run.status for run in tracker.runs()} == {
        mine.id: "RUNNING", dead.id: "KILLED", reused.id: "KILLED", elsewhere.id: "RUNNING",
        namesake.id: "RUNNING",
    }  # fmt: skip
    assert str(gone.pid) in tracker.get(dead.id).tags["mia.error"]
    assert tracker.close_dead_runs() == []


@pytest.fixture
def gone() -> dict[str, str]:
    """The tags of a process that lived here, and does not any more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return {**process.process(), "mia.pid": str(child.pid)}


OTHERS = [
    {"mia.host": "another"},
    {"mia.pid_start": "0123abcd-1"},  # the same name, but another machine, or this one before it was started again
    {"mia.pid_namespace": "pid:[1]"},  # another container on this machine
]


@pytest.mark.parametrize("other", OTHERS)
def test_who_cannot_see_a_process_goes_by_its_heartbeat(gone: dict[str, str], other: dict[str, str]):
    now = time.time()
    assert is_gone(gone)
    assert is_gone({**gone, HEARTBEAT: str(int(now))})
    assert not is_gone({**gone, **other})
    assert not is_gone({**gone, **other, HEARTBEAT: str(int(now - 3 * BEAT_SECONDS))})
    assert not is_gone({**gone, **other, HEARTBEAT: str(int(now + 1000))})
    assert is_gone({**gone, **other, HEARTBEAT: str(int(now - LEASE_SECONDS - 2))})
    assert not is_gone({**process.process(), HEARTBEAT: "0"})  # slept, but can be seen to live


def test_a_process_that_has_ended_but_was_not_waited_for_is_gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone({**process.process(), "mia.pid": str(child.pid)})
    finally:
        child.wait()


@pytest.mark.parametrize("tags", [{}, {"mia.pid": "x"}, {"mia.host": "h"}, {"mia.pid": "1", HEARTBEAT: "soon"}])
def test_runs_that_say_little_are_left_alone(tags: dict[str, str]):
    assert not is_gone(tags)


def test_the_start_of_a_process_is_told_as_earlier_versions_did():
    ticks = process.Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    assert process.process()["mia.pid_start"].split("-") == [process._boot(), ticks]


def test_a_run_says_that_it_lives_as_long_as_it_does(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.001)
    beats = itertools.count()
    monkeypatch.setattr(process, "heartbeat", lambda: {HEARTBEAT: str(next(beats))})
    with tracker.run(name="a") as run:
        first = int(tracker.get(run.id).tags[HEARTBEAT])
        while int(tracker.get(run.id).tags[HEARTBEAT]) <= first:
            pass
    last = tracker.get(run.id).tags[HEARTBEAT]
    assert not [one for one in threading.enumerate() if run.id in one.name]
    assert tracker.get(run.id).tags[HEARTBEAT] == last


def test_a_store_that_is_away_for_a_heartbeat_is_no_failure(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    tried = threading.Event()

    def refuse(*_: object) -> None:
        tried.set()
        raise ConnectionError("away")

    monkeypatch.setattr(process, "BEAT_SECONDS", 0.001)
    with tracker.run(name="a", fingerprint="f"), monkeypatch.context() as patch:
        patch.setattr(tracker._client, "set_tag", refuse)
        assert tried.wait(60)
    assert tracker.finished("f") is not None
