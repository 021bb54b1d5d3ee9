"""`dry_run=true` tells what would be done and leaves no trace; `stop_after_failures` begins nothing more."""

from types import SimpleNamespace

import pytest

from mia import split
from mia.cli.forecast import Pace, Work, lines, pace_of
from mia.records import StoredRun
from mia.sweeper.total import Total
from mia.tracking import Reader, TrackingOptions

SMALL = ["split.size=60", "split.num_shadows=2", "train.epochs=2", "attack=[loss]"]


def test_a_dry_run_leaves_nothing(tmp_path, mia):
    code, out, err = mia(tmp_path / "none", *SMALL, "dry_run=true")
    assert code == 0, err
    assert "3 models to train" in out
    assert "1 configurations: 0 finished, 1 to run; 3 models" in out
    assert "no estimate of the time: no run of digits with mlp" in out
    code, out, _ = mia(tmp_path / "none", "-m", *SMALL, "train.l2=0,0.1", "seed=0,1", "dry_run=true")
    assert code == 0
    assert "4 configurations: 0 finished, 4 to run; 12 models to train" in out
    assert not (tmp_path / "none").exists()


def test_models_that_configurations_share_count_once(tmp_path, mia):
    sweep = ["defence=none,label_only", "split.num_shadows=2,4"]
    _, out, _ = mia(tmp_path / "none", "-m", *SMALL[:1], *SMALL[2:], *sweep, "dry_run=true")
    assert "4 to run; 5 models to train" in out


def test_a_dry_run_of_the_most_shadows_draws_no_records_of_each(tmp_path, mia, monkeypatch):
    drawn = []
    generator = split.stage_generator
    monkeypatch.setattr(split, "stage_generator", lambda *stage: drawn.append(stage) or generator(*stage))
    code, out, err = mia(tmp_path / "none", "split.num_shadows=100000", "dry_run=true")
    assert code == 0, err
    assert "100001 models to train" in out
    assert len(drawn) < 10


def test_a_dry_run_refuses_what_cannot_work(tmp_path, mia):
    assert mia(tmp_path / "none", "split.size=5000", "dry_run=true")[0] == 2


@pytest.mark.slow
def test_what_is_finished_is_told_and_gives_the_pace(empty_home, mia):
    code, _, err = mia(empty_home, *SMALL)
    assert code == 0, err
    before = len(Reader.open(TrackingOptions(), empty_home).runs())
    code, out, _ = mia(empty_home, "-m", *SMALL, "train.l2=0,0.1", "dry_run=true")
    assert "finished as run" in out
    assert "1 finished, 1 to run; 3 models to train" in out
    assert "as earlier runs of this kind went here" in out
    told = float(next(line for line in out.splitlines() if "MB on disk" in line).split()[1])
    assert 0.1 < told < 10
    code, out, _ = mia(empty_home, *SMALL, "dry_run=true")
    assert "nothing to do" in out
    assert len(Reader.open(TrackingOptions(), empty_home).runs()) == before


def test_the_pace_is_a_median_of_what_trained_something():
    def run(seconds, models, rest):
        params = {"data.name": "d", "model.name": "m", "split.size": "100", "train.epochs": "10"}
        metrics = {"time/train_seconds": seconds, "pool/models_trained": models, "time/attack_seconds": rest}
        return StoredRun("i", "n", "FINISHED", 0, params, metrics, {}, "")

    pace = pace_of([run(8.0, 4, 1.0), run(0.01, 0, 2.0), run(4.0, 2, 30.0)])
    assert pace.per_sample == {("d", "m"): pytest.approx(0.002)}
    assert pace.rest == {("d", "m"): pytest.approx(2.0)}


def test_why_there_is_no_estimate_is_said():
    def work(data):
        config = SimpleNamespace(data=SimpleNamespace(name=data), model=SimpleNamespace(name="m"))
        return Work(SimpleNamespace(config=config, overrides=[f"data={data}"]), models=2, samples=10.0)

    pace = Pace(per_sample={}, rest={("seen", "m"): 1.0})
    (said,) = [one for one in lines([work("seen"), work("new")], pace, 1) if "no estimate" in one]
    assert "no run of new with m is finished here" in said
    assert "finished runs of seen with m here took their models from pools" in said


@pytest.mark.slow
def test_after_so_many_failures_nothing_more_is_begun(empty_home, mia, monkeypatch):
    from mia.experiment import run

    def fail(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(run, "run_experiment", fail)
    sweep = ["-m", *SMALL, "seed=0,1,2,3"]
    code, _, err = mia(empty_home, *sweep, "stop_after_failures=2")
    assert code == 1
    assert "0 trained, 2 failed, 2 not run" in err
    _, _, err = mia(empty_home, *sweep)
    assert "0 trained, 4 failed" in err


def test_a_negative_number_of_failures_is_refused(tmp_path, mia):
    code, _, err = mia(tmp_path, "stop_after_failures=-1", "dry_run=true")
    assert code == 2
    assert "stop_after_failures=-1" in err


def test_a_range_by_factors_lists_its_ends_and_what_lies_between(tmp_path, mia):
    code, out, err = mia(tmp_path / "none", "-m", *SMALL, "train.l2=tag(log,range(1e-4,1e-2,3))", "dry_run=true")
    assert code == 0, err
    assert [line.split("train.l2=")[1].split()[0].rstrip(":") for line in out.splitlines() if "train.l2=" in line] == [
        "0.0001", "0.001", "0.01"
    ]  # fmt: skip
    code, _, err = mia(tmp_path / "none", "-m", *SMALL, "train.l2=tag(log,range(0,1,3))", "dry_run=true")
    assert code == 2
    assert "above 0" in err


def test_the_time_left_follows_from_what_was_begun():
    total = Total(whole=8, done=3, before=3, began=100.0)
    assert total.seconds_left(110.0) is None  # nothing has ended since
    assert total.onwards(1, 110.0).seconds_left(110.0) == pytest.approx(40.0)
    assert total.onwards(1, 110.0).seconds_left(115.0) == pytest.approx(35.0)
    assert total.onwards(1, 110.0).seconds_left(900.0) == 0.0
    assert total.onwards(5, 150.0).seconds_left(150.0) == 0.0
