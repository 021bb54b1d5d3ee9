"""Sweeps over the number of epochs: one training for all of a family, and nothing shared beyond it."""

import numpy as np
import pytest

from mia.composition import open_hydra
from mia.sweeper.check import Composer, LastData, check_all
from mia.sweeper.lengths import families, in_jobs, together

BASE = ["split.size=40", "split.num_shadows=2", "attack=[loss]"]


def found(*jobs):
    composer = Composer(open_hydra().config_loader)
    return check_all([[*BASE, *job] for job in jobs], composer, LastData())


def test_the_longest_of_each_family_comes_first_and_all_know_of_each_other():
    jobs = [[f"train.epochs={epochs}", f"train.l2={l2}"] for l2 in (0.0, 0.1) for epochs in (2, 8, 4)]
    launched = together(found(*jobs))
    assert [(one.config.train.l2, one.config.train.epochs) for one in launched] == [
        (0.0, 8), (0.0, 4), (0.0, 2), (0.1, 8), (0.1, 4), (0.1, 2),
    ]  # fmt: skip
    assert all(one.overrides[-1] == "engine.snapshots=[2,4,8]" for one in launched)


def test_what_has_no_family_is_left_as_it_is():
    alone = found(["train.epochs=2"], ["train.epochs=2", "seed=1"], ["train.epochs=4", "seed=2"])
    assert together(alone) == alone


def test_snapshots_that_were_asked_for_stay():
    asked = found(["train.epochs=2", "engine.snapshots=[1]"], ["train.epochs=4", "engine.snapshots=[1]"])
    assert [one.overrides[-1] for one in together(asked)] == ["engine.snapshots=[1]"] * 2


def test_a_job_of_a_cluster_runs_a_whole_family_and_its_longest_first():
    jobs = [[f"train.epochs={epochs}", f"train.l2={l2}"] for l2 in (0.0, 0.1) for epochs in (2, 8)]
    launched = together(found(*jobs, ["seed=1"]))
    number = {one.fingerprint: place for place, one in enumerate(launched)}
    for per_job, wanted in {1: [(0, 1), (2, 3), (4,)], 2: [(0, 1), (2, 3), (4,)], 3: [(0, 1), (2, 3, 4)]}.items():
        batches = in_jobs([one.fingerprint for one in launched], families(launched), per_job)
        assert [tuple(number[name] for name in batch) for batch in batches] == wanted


def test_without_families_a_job_runs_as_many_as_it_is_told_to():
    assert in_jobs("abcde", {}, 2) == [("a", "b"), ("c", "d"), ("e",)]
    assert in_jobs("abc", {}, 1) == [("a",), ("b",), ("c",)]
    assert in_jobs("", {}, 3) == []


def run_scores(home):
    """Return the scores of each run of a store by its number of epochs."""
    import sqlite3

    runs = sqlite3.connect(home / "mlflow.db").execute(
        "select p.value, m.value, r.artifact_uri from params p join runs r using (run_uuid) "
        "join latest_metrics m using (run_uuid) where p.key = 'train.epochs' and m.key = 'pool/models_trained'"
    )
    found = {}
    for epochs, trained, uri in runs:
        with np.load(f"{uri.removeprefix('file://')}/scores.npz") as file:
            found[int(epochs)] = trained, {name: file[name] for name in file.files}
    return found


@pytest.mark.slow
def test_a_sweep_over_epochs_trains_once_and_scores_as_runs_alone(tmp_path, monkeypatch):
    from mia.cli.main import dispatch

    arguments = [*BASE, "data=digits"]
    monkeypatch.setenv("MIA_HOME", str(tmp_path / "sweep"))
    assert dispatch(["-m", *arguments, "train.epochs=2,5,3"]) == 0
    swept = run_scores(tmp_path / "sweep")
    assert {epochs: trained for epochs, (trained, _) in swept.items()} == {5: 3, 3: 0, 2: 0}
    for epochs, (_, scores) in swept.items():
        monkeypatch.setenv("MIA_HOME", str(tmp_path / f"alone{epochs}"))
        assert dispatch([*arguments, f"train.epochs={epochs}"]) == 0
        (_, alone) = run_scores(tmp_path / f"alone{epochs}")[epochs]
        for name, score in alone.items():
            np.testing.assert_array_equal(score, scores[name], err_msg=name)
