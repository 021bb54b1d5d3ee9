"""`mia -m hydra/sweeper=optuna ...` with outcomes that are made up: nothing is trained."""

import csv

import numpy as np
import pytest

from mia.records import Result
from mia.tracking import Tracker, TrackingOptions

SMALL = ["split.size=60", "split.num_shadows=1", "train.epochs=2", "attack=[loss]"]
SEARCH = ["-m", "hydra/sweeper=optuna", *SMALL, "train.dropout=0,0.2,0.4,0.6,0.8",
          "train.l2=tag(log,interval(1e-5,1e-1))",
          "hydra.sweeper.maximize=[target/test_accuracy]", "hydra.sweeper.minimize=[attack/loss/auc_high]"]  # fmt: skip


@pytest.fixture
def world(monkeypatch):
    """Experiments are made up; what they were asked, and whom an interrupt or an error hits, is the test's."""
    asked, plan = [], {}

    def run_experiment(options, *_):
        asked.append((options.seed, options.train.dropout, options.train.l2))
        if error := plan.get(len(asked)):
            raise error
        metrics = {
            "target/test_accuracy": 0.9 - 0.3 * options.train.dropout**2 - 0.01 * options.seed,
            "attack/loss/auc_high": 0.8 - 0.2 * options.train.dropout - options.train.l2,
            "time/train_seconds": 1.0,
        }
        empty = np.zeros(0, np.int64)
        return Result(metrics, empty, empty.astype(bool), empty, empty.astype(float), {}, (), None, None, (), ())

    monkeypatch.setattr("mia.experiment.run.run_experiment", run_experiment)
    monkeypatch.setattr("mia.cli.publish.publish", lambda run, result, _: run.log_metrics(result.metrics))
    return asked, plan


def tracker_of(home):
    return Tracker.open(TrackingOptions(), home)


def front_of(home):
    tracker = tracker_of(home)
    (sweep,) = [one for one in tracker.sweeps() if "x" in one.name]
    with tracker.artifact(sweep, "front.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_search_that_is_interrupted_ends_with_exactly_its_trials(world, empty_home, mia):
    asked, plan = world
    plan[4] = KeyboardInterrupt()
    code, _, err = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=6")
    assert code == 130
    assert "the same command goes on" in err
    code, _, err = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=6")
    assert code == 0, err
    assert "3 reused, 3 trained, 0 failed" in err
    assert len(asked) == 7  # the fourth was begun twice
    assert len(set(asked)) == 6
    assert asked[3] == asked[4]
    assert len(tracker_of(empty_home).runs(kind="run", status="FINISHED")) == 6
    _, _, err = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=6")
    assert len(asked) == 7
    code, _, err = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=8")  # a larger number goes on
    assert code == 0, err
    assert len(set(asked)) == 8


def test_a_trial_that_fails_counts_and_the_others_go_on(world, empty_home, mia):
    asked, plan = world
    plan[2] = RuntimeError("no luck")
    code, _, err = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=4")
    assert code == 1
    assert "3 trained, 1 failed" in err
    assert "no luck" in err
    assert len(asked) == 4


@pytest.mark.slow
def test_a_search_stops_after_failures_and_goes_on(world, empty_home, mia):
    asked, plan = world
    plan |= {1: RuntimeError("no"), 2: RuntimeError("no")}
    code, _, _ = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=5", "stop_after_failures=2")
    assert code == 1
    assert len(asked) == 2
    assert mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=5")[0] == 0
    assert len(asked) == 5


@pytest.mark.slow
def test_what_a_grid_has_finished_is_told_and_not_run_again(world, empty_home, mia):
    asked, _ = world
    grid = ["-m", *SMALL, "train.dropout=0.2,0.8", "train.l2=0.001"]
    assert mia(empty_home, *grid)[0] == 0
    code, _, err = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=3")
    assert code == 0, err
    assert "2 finished runs are told to the study" in err
    assert "2 reused, 3 trained" in err
    assert len(asked) == len(set(asked)) == 5


@pytest.mark.slow
def test_the_front_is_confirmed_with_seeds_that_the_search_has_not_seen(world, empty_home, mia):
    asked, _ = world
    command = [*SEARCH, "hydra.sweeper.n_trials=5", "hydra.sweeper.confirm=2", "seed=3"]
    code, _, err = mia(empty_home, *command)
    assert code == 0, err
    rows = front_of(empty_home)
    assert len(asked) == 5 + 2 * len(rows)
    assert {seed for seed, *_ in asked} == {3, 4, 5}
    for row in rows:
        found, again = float(row["found target/test_accuracy"]), float(row["confirmed target/test_accuracy"])
        assert found - again == pytest.approx(0.015)  # seeds 4 and 5 in place of 3
    mia(empty_home, *command)
    assert len(asked) == 5 + 2 * len(rows)


def test_seeds_that_are_searched_cannot_confirm_and_nothing_runs(world, tmp_path, mia):
    asked, _ = world
    code, _, err = mia(tmp_path / "none", *SEARCH, "seed=range(0,9)", "hydra.sweeper.confirm=2")
    assert code == 2
    assert "hydra.sweeper.confirm=2 needs seeds of its own: leave seed out of what is searched" in err
    assert not asked
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_below_the_floor_no_shadow_is_trained(world, empty_home, mia, monkeypatch):
    asked, _ = world
    monkeypatch.setattr(
        "mia.experiment.floor.target_utility",
        lambda options, *_: {"target/test_accuracy": 0.9 - options.train.dropout, "target/train_accuracy": 1.0},
    )
    code, out, err = mia(
        empty_home, *SEARCH, "hydra.sweeper.n_trials=8", "hydra.sweeper.floor=target/test_accuracy=0.4"
    )
    assert code == 0, err
    pruned = [run for run in tracker_of(empty_home).runs(kind="run") if "mia.pruned" in run.tags]
    assert pruned
    assert len(asked) + len(pruned) == 8
    assert all(dropout <= 0.5 for _, dropout, _ in asked)
    assert f"{len(asked)} trained, 0 failed, {len(pruned)} pruned" in err
    assert "is below the floor 0.4" in out
    assert {run.status for run in pruned} == {"KILLED"}
    code, out, _ = mia(empty_home, "status")
    assert code == 0
    assert "8 of 8 done" in out


@pytest.mark.slow
def test_several_trials_at_a_time(world, empty_home, mia):
    asked, _ = world
    code, _, err = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2")
    assert code == 0, err
    assert len(set(asked)) == 5
    assert "[2/5" in err


def test_a_dry_search_leaves_nothing(tmp_path, mia):
    code, out, err = mia(tmp_path / "none", *SEARCH, "hydra.sweeper.n_trials=50", "dry_run=true")
    assert code == 0, err
    assert "a search of 50 trials" in out
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_dry_search_goes_on_from_what_is_done(world, empty_home, mia):
    asked, _ = world
    assert mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=3")[0] == 0
    before = sorted(path for path in empty_home.rglob("*") if path.is_file())
    code, out, _ = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=5", "hydra.sweeper.confirm=2", "dry_run=true")
    assert code == 0
    assert "a search of 5 trials, 3 of them done: the others are like the 2 above" in out
    assert "2 runs of each point of its front" in out
    assert sorted(path for path in empty_home.rglob("*") if path.is_file()) == before
    dropouts = [float(line.split("train.dropout=")[1].split()[0]) for line in out.splitlines() if line[0] == "["]
    code, out, _ = mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=3", "dry_run=true")
    assert "all 3 trials of this search are done" in out
    assert mia(empty_home, *SEARCH, "hydra.sweeper.n_trials=5")[0] == 0
    assert [dropout for _, dropout, _ in asked[3:]] == dropouts or asked[3][1] == dropouts[0]


@pytest.mark.slow
def test_a_search_with_conditions_learns_from_earlier_runs_too(world, empty_home, mia):
    asked, _ = world
    grid = ["-m", *SMALL, "train.l2=0,0.001"]
    assert mia(empty_home, *grid)[0] == 0
    search = ["-m", "+sweeps=defences", "data=digits", "model=mlp", *SMALL, "hydra.sweeper.floor=null",
              "hydra.sweeper.minimize=[attack/loss/auc_high]"]  # fmt: skip
    code, _, err = mia(empty_home, *search, "hydra.sweeper.n_trials=2")
    assert code == 0, err
    assert "2 finished runs are told to the study" in err  # no defence, and L2
    prints = [run.tags["mia.fingerprint"] for run in tracker_of(empty_home).runs(kind="run", status="FINISHED")]
    assert len(asked) == len(prints) == len(set(prints)) == 4


TINY_SEARCH = ["-m", "+sweeps=search", "data=digits", "model=mlp", "attack=[loss]", "split.size=60",
               "train.augmentation.flip=0", "train.augmentation.shift=0", "dry_run=true"]  # fmt: skip


def test_a_sweep_file_may_be_a_search_and_what_is_typed_wins(tmp_path, mia):
    code, out, err = mia(tmp_path / "none", *TINY_SEARCH, "hydra.sweeper.minimize=[attack/loss/auc]")
    assert code == 0, err
    assert "a search of 40 trials" in out
    more = ["hydra.sweeper.minimize=[attack/loss/auc]", "hydra.sweeper.n_trials=7", "train.dropout=0.5"]
    code, out, err = mia(tmp_path / "none", *TINY_SEARCH, *more)
    assert code == 0, err
    assert "a search of 7 trials" in out
    (shared,) = [line for line in out.splitlines() if line.startswith("all with ")]
    assert "train.dropout=0.5" in shared.split()
    assert out.count("train.dropout") == 1
    assert "dry_run" not in out


def test_a_grid_refuses_the_ranges_of_a_search_in_one_line(tmp_path, mia):
    code, _, err = mia(tmp_path / "none", "-m", *SMALL, "train.l2=interval(0,1)")
    assert code == 2
    assert "lists no values" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["hydra.sweeper.minimize=[attack/los/auc]"], "did you mean 'loss'"), (["hydra.sweeper.sampler=best"], "nsga2"),
     (["hydra.sweeper.floor=0.4"], "METRIC=VALUE"), (["train.l2=interval(0,1)", "split.size=100000"], "100000"),
     (["hydra.sweeper.n_trails=3"], "n_trails is not"), (["hydra/sweeper=optna"], "optuna")],
)  # fmt: skip
def test_an_impossible_search_runs_nothing(tmp_path, mia, arguments, said):
    code, _, err = mia(tmp_path / "none", *SEARCH, *arguments)
    assert code == 2
    assert said in err
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_a_target_alone_is_judged_as_in_the_whole_experiment(empty_home, mia):
    from mia.composition import compose_config
    from mia.config import Config, to_options
    from mia.data import load
    from mia.experiment.floor import target_utility
    from mia.experiment.run import run_experiment
    from mia.store import PoolStore

    options = to_options(compose_config([*SMALL]), Config).experiment()
    data, store = load(options.data), PoolStore(empty_home / "pools")
    alone = target_utility(options, data, store)
    whole = run_experiment(options, data, store)
    assert {name: whole.metrics[name] for name in alone} == alone
    assert whole.metrics["pool/models_trained"] == 1  # the shadow
