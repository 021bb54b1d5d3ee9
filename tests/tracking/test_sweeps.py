"""Sweeps as the store knows them: which runs belong to one, which count, and what became of each configuration."""

from pathlib import Path

import pytest

from mia.records import StoredRun
from mia.tracking import Reader, Tracker, TrackingOptions, ui_views
from mia.tracking.process import HEARTBEAT
from mia.tracking.reading import Outcome, latest_attempts


def attempt(tracker: Tracker, name: str, error: BaseException | None = None, sweep: str | None = None) -> str:
    """Run a configuration whose fingerprint is its name, and return the run's id."""
    try:
        with tracker.run(name=name, fingerprint=name, parent_id=sweep) as run:
            if error is not None:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    return run.id


def names(runs: list[StoredRun]) -> list[tuple[str, str]]:
    return [(run.name, run.status) for run in runs]


def test_a_sweep_shows_its_runs_and_those_that_others_made(any_tracker: Tracker):
    sweep = any_tracker.open_sweep("digits", "s1", {"mia.command": "mia -m +sweeps=digits"})
    attempt(any_tracker, "a", ValueError("no"), sweep.id)
    attempt(any_tracker, "a", None, sweep.id)
    attempt(any_tracker, "b", ValueError("no"), sweep.id)
    sweep.finish()
    assert names(any_tracker.children(sweep.id)) == [("a", "FINISHED"), ("b", "FAILED")]

    other = any_tracker.open_sweep("larger", "s2")
    finished = any_tracker.finished("a")
    assert finished is not None
    assert any_tracker.reuse(finished, other.id) == ""
    attempt(any_tracker, "c", None, other.id)
    assert names(any_tracker.children(other.id)) == [("a", "FINISHED"), ("c", "FINISHED")]
    assert names(any_tracker.children(sweep.id)) == [("a", "FINISHED"), ("b", "FAILED")]
    assert [run.id for run in any_tracker.sweeps()] == [other.id, sweep.id]
    assert [run.id for run in any_tracker.sweeps("digits")] == [sweep.id]

    again = any_tracker.open_sweep("digits", "s1")
    assert again.id == sweep.id
    assert any_tracker.get(sweep.id).status == "RUNNING"


def test_that_a_run_belongs_to_a_sweep_is_told_once(tracker: Tracker):
    sweep, other = tracker.open_sweep("digits", "s1"), tracker.open_sweep("other", "s2")
    made = attempt(tracker, "a", None, sweep.id)
    tracker.link(made, other.id)
    told = [name for name, value in tracker.get(made).tags.items() if sweep.id in f"{name}{value}"]
    assert told == [f"mia.sweep.{sweep.id}"]
    assert not [name for name, value in tracker.get(sweep.id).tags.items() if made in f"{name}{value}"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_an_attempt_that_came_to_nothing_hides_no_finished_run(tracker: Tracker, error: BaseException):
    sweep = tracker.open_sweep("digits", "s1")
    first = attempt(tracker, "a", None, sweep.id)
    attempt(tracker, "a", error, sweep.id)  # rerun=true
    assert [run.id for run in tracker.children(sweep.id)] == [first]
    again = attempt(tracker, "a", None, sweep.id)
    attempt(tracker, "a", error, sweep.id)
    assert [run.id for run in tracker.children(sweep.id)] == [again]
    found = tracker.finished("a")
    assert found is not None
    assert found.id == again


def test_of_attempts_that_all_failed_the_latest_counts(tracker: Tracker):
    attempt(tracker, "a", ValueError("first"))
    attempt(tracker, "a", ValueError("second"))
    (run,) = latest_attempts(tracker.runs())
    assert "second" in run.tags["mia.error"]


def make_sweep_of_an_earlier_version(tracker: Tracker) -> tuple[str, list[str]]:
    """A sweep with a failed and a finished attempt of its own, and a run of another sweep, linked."""
    sweep = tracker.open_sweep("digits", "s1").id
    tracker._client.delete_tag(sweep, "mia.opened")
    runs = [attempt(tracker, "linked"), attempt(tracker, "own", ValueError("no")), attempt(tracker, "own")]
    for run in runs[1:]:
        tracker._client.set_tag(run, "mlflow.parentRunId", sweep)
    tracker._client.set_tag(sweep, f"mia.linked.{runs[0]}", "true")
    tracker._client.set_tag(runs[2], f"mia.sweep.{sweep}", "true")  # marked for the view
    return sweep, runs


def test_sweeps_of_earlier_versions_are_read(any_tracker: Tracker):
    sweep, runs = make_sweep_of_an_earlier_version(any_tracker)
    assert [run.id for run in any_tracker.children(sweep)] == [runs[0], runs[2]]
    assert any_tracker.expected(sweep) == {}
    assert set(any_tracker.outcomes(sweep)) == {"linked", "own"}


def test_sweeps_of_earlier_versions_go_on(any_tracker: Tracker):
    sweep, runs = make_sweep_of_an_earlier_version(any_tracker)
    assert any_tracker.open_sweep("digits", "s1").id == sweep
    new = attempt(any_tracker, "new", None, sweep)
    assert [run.id for run in any_tracker.children(sweep)] == [runs[0], runs[2], new]
    assert {run.id for run in any_tracker.members(sweep)} == {*runs, new}


def test_outcomes_are_read_from_the_store_alone(any_tracker: Tracker, tmp_path: Path):
    finished_before = attempt(any_tracker, "reused")
    expected = {name: f"n={name}" for name in ("finished", "reused", "failed", "early", "killed", "running", "waiting")}
    sweep = any_tracker.open_sweep("digits", "s1", {"mia.question": "?"}, expected)
    assert any_tracker.expected(sweep.id) == expected
    assert set(any_tracker.outcomes(sweep.id).values()) == {Outcome("waiting")}
    any_tracker.link(finished_before, sweep.id)
    failed = attempt(any_tracker, "failed", ValueError("too\nlarge"), sweep.id)
    attempt(any_tracker, "finished", ValueError("at first"), sweep.id)
    finished = attempt(any_tracker, "finished", None, sweep.id)
    killed = attempt(any_tracker, "killed", KeyboardInterrupt(), sweep.id)
    early = any_tracker.fail("n=early", "early", "data.path=x\n is not there", sweep.id)
    with any_tracker.run(name="n=running", fingerprint="running", parent_id=sweep.id) as run:
        outcomes = {name: one._replace(seconds=0.0) for name, one in any_tracker.outcomes(sweep.id).items()}
    assert list(outcomes) == list(expected)
    assert outcomes == {
        "finished": Outcome("finished", finished),
        "reused": Outcome("reused", finished_before),
        "failed": Outcome("failed", failed, "ValueError: too"),
        "early": Outcome("failed", early, "data.path=x is not there"),
        "killed": Outcome("killed", killed, "KeyboardInterrupt"),
        "running": Outcome("running", run.id),
        "waiting": Outcome("waiting"),
    }


def test_a_sweep_that_goes_on_says_so(tracker: Tracker):
    sweep = tracker.open_sweep("digits", "s1")
    assert HEARTBEAT not in tracker.get(sweep.id).tags  # who never says that he lives cannot be found silent
    with sweep.alive():
        assert HEARTBEAT in tracker.get(sweep.id).tags
    tracker.open_sweep("digits", "s1")
    assert HEARTBEAT not in tracker.get(sweep.id).tags


def test_outcomes_of_a_sweep_that_was_given_again(tracker: Tracker):
    expected = {"a": "a", "b": "b", "c": "c"}
    sweep = tracker.open_sweep("digits", "s1", None, expected)
    first = attempt(tracker, "a", None, sweep.id)
    failed = attempt(tracker, "b", ValueError("no"), sweep.id)
    sweep.set_tags({"mia.error": "KeyboardInterrupt"})
    sweep.finish("KILLED")
    assert tracker.outcomes(sweep.id)["b"] == Outcome("failed", failed, "ValueError: no")
    sweep = tracker.open_sweep("digits", "s1", None, expected)
    assert "mia.error" not in tracker.get(sweep.id).tags
    assert {name: one._replace(seconds=0.0) for name, one in tracker.outcomes(sweep.id).items()} == {
        "a": Outcome("reused", first),
        "b": Outcome("waiting"),
        "c": Outcome("waiting"),
    }
    killed = attempt(tracker, "a", KeyboardInterrupt(), sweep.id)  # rerun=true, interrupted
    assert tracker.outcomes(sweep.id)["a"] == Outcome("killed", killed, "KeyboardInterrupt")
    assert tracker.children(sweep.id)[0].id == first


def test_a_sweep_of_thousands_fits(tracker: Tracker, new_home: Path):
    expected = {f"{k:020x}": f"digits mlp n={k} train.l2={k} defence=none" for k in range(3000)}
    sweep = tracker.open_sweep("large", "s", None, expected)
    assert Reader.open(TrackingOptions(), new_home).expected(sweep.id) == expected
    assert len(tracker.outcomes(sweep.id)) == 3000


def test_the_view_of_a_sweep_finds_what_counts(tracker: Tracker):
    sweep, runs = make_sweep_of_an_earlier_version(tracker)
    tracker.prepare_view("t", ["train.l2"], ["attack/gap/accuracy"], sweep)
    found = tracker._client.search_runs([tracker.experiment_id], ui_views.condition(sweep))
    assert {run.info.run_id for run in found} == {runs[0], runs[2]}


def test_a_sweep_is_judged_alike_by_its_runs_and_by_what_stands_for_them(any_tracker: Tracker):
    tracker, spent = any_tracker, {"time/train_seconds": 3.0, "time/attack_seconds": 1.0}
    names = ["before", "done", "broken", "again", "going", "waiting"]
    with tracker.run(name="before", fingerprint="before") as run:
        run.log_metrics(spent)
    sweep = tracker.open_sweep("s", "s", {}, {name: name for name in names})
    tracker.reuse(tracker.get(run.id), sweep.id)
    for name in ("done", "again"):
        with tracker.run(name=name, fingerprint=name, parent_id=sweep.id) as run:
            run.log_metrics(spent)
        tracker.count(sweep.id, name, run.started, 4.0)
    for name in ("broken", "again"):
        tracker.fail(name, name, "the loss is not a number", sweep.id)
    tracker.start("going", {"mia.kind": "run", "mia.fingerprint": "going"}, sweep.id)

    stored = tracker.get(sweep.id)
    judged = tracker.outcomes(sweep.id, tracker.sketched(stored))
    by_runs = tracker.outcomes(sweep.id)
    assert [(name, one.status, one.reason) for name, one in judged.items()] == [
        (name, one.status, one.reason) for name, one in by_runs.items()
    ]
    assert [one.status for one in judged.values()] == ["reused", "finished", "failed", "failed", "running", "waiting"]
    assert judged["done"].seconds in (4.0, by_runs["done"].seconds)
    assert judged["before"].seconds == pytest.approx(by_runs["before"].seconds)
    assert tracker.num_failed(stored) == 2
    assert tracker.has_running(sweep.id)


def test_a_sweep_that_is_over_is_complete_though_a_point_is_missing(any_tracker: Tracker):
    tracker = any_tracker
    sweep = tracker.open_sweep("s", "s", {}, {"a": "a", "b": "b"})
    for name in ("a", "b"):
        with tracker.run(name=name, fingerprint=name, parent_id=sweep.id) as run:
            run.log_metrics({"time/train_seconds": 1.0})
    tracker.count(sweep.id, "a", run.started, 1.0)  # and died before it said so of b
    sweep.finish()
    judged = tracker.outcomes(sweep.id, tracker.sketched(tracker.get(sweep.id)))
    assert [one.status for one in judged.values()] == ["finished", "finished"]
