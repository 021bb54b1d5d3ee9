"""`mia` end to end: the real command, and everything read back from the MLflow store."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mia.tracking import Tracker, TrackingOptions

SMALL = ("split.size=40", "split.num_shadows=3", "train.epochs=4", "model.hidden=[16]")
ATTACKS = ("shadow_svm", "gap", "loss", "modified_entropy")


def tracker(home):
    return Tracker.open(TrackingOptions(), home)


def latest(home):
    return tracker(home).runs(kind="run", limit=1)[0]


def scores_of(home, run):
    with np.load(tracker(home).artifact(run.id, "scores.npz"), allow_pickle=False) as arrays:
        return dict(arrays)


def test_a_sweep_needs_no_stream_to_complain_on(tmp_path):
    script = f"exec {sys.executable} -m mia -m seed=0,1 dry_run=true 2>&-"
    environment = os.environ | {"MIA_HOME": str(tmp_path / "mlruns")}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "2 to run" in done.stdout) == (0, True), done.stdout


def test_options_may_stand_among_overrides(mia, tmp_path):
    code, out, err = mia(tmp_path / "mlruns", "seed=0", "-m", "split.size=100,120", "dry_run=true")
    assert (code, "2 to run" in out) == (0, True), err


@pytest.fixture(scope="module")
def default_run(shared_home):
    """One small run by the installed command, in a process of its own."""
    environment = os.environ | {"MIA_HOME": str(shared_home)}
    done = subprocess.run(
        [sys.executable, "-m", "mia", *SMALL], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done, latest(shared_home)


def test_the_default_prints_utility_leakage_and_the_runs_id(default_run):
    done, run = default_run
    for word in ("Utility", "Leakage", "target", run.id, "mia ui", *ATTACKS):
        assert word in done.stdout
    assert "Traceback" not in done.stderr


def test_everything_the_contract_names_is_in_the_store(default_run, shared_home):
    _, run = default_run
    assert run.status == "FINISHED"
    for name in ("train_accuracy", "test_accuracy", "generalization_gap"):
        assert 0 <= run.metrics[f"target/{name}"] + 1 <= 2
    for attack in ATTACKS:
        for metric in ("accuracy", "balanced_accuracy", "precision", "recall", "auc", "advantage"):
            value, low, high = (run.metrics[f"attack/{attack}/{metric}{end}"] for end in ("", "_low", "_high"))
            assert low <= value <= high
        assert f"attack/{attack}/null_auc" in run.metrics
    assert run.metrics["axis/split.size"] == 40
    assert {"time/train_seconds", "shadow/train_accuracy", "shadow/test_accuracy"} <= set(run.metrics)
    assert run.params["split.size"] == "40"
    assert run.params["data.name"] == "digits"
    assert run.tags["mia.command"] == f"mia {' '.join(SMALL)}".replace("model.hidden=[16]", "'model.hidden=[16]'")
    assert {"mia.fingerprint", "mia.data_fingerprint", "mia.pools", "mia.host"} <= set(run.tags)
    files = tracker(shared_home)
    for name in (
        "config.yaml",
        "overrides.yaml",
        "per_class.csv",
        "records.csv",
        "curves.npz",
        "run.html",
        "most_exposed.png",
    ):
        assert files.artifact(run.id, name).exists()
    assert len(files.curve(run.id, "curve/train_loss")) == 4
    assert len(files.curve(run.id, "shadows/test_accuracy")) == 3


def test_scores_name_records_of_the_target_alone(default_run, shared_home):
    scores = scores_of(shared_home, default_run[1])
    assert set(scores) == {"index", "member", *ATTACKS}
    assert len(scores["index"]) == len(set(scores["index"])) == 80
    assert scores["member"].sum() == 40


def test_the_metrics_follow_from_the_stored_scores(default_run, shared_home):
    """The AUC in the store, recomputed from scores.npz by its definition."""
    run, scores = default_run[1], scores_of(shared_home, default_run[1])
    member = scores["member"].astype(bool)
    for attack in ATTACKS:
        inside, outside = scores[attack][member][:, None], scores[attack][~member][None]
        auc = (inside > outside).mean() + (inside == outside).mean() / 2
        assert run.metrics[f"attack/{attack}/auc"] == pytest.approx(auc, abs=1e-12)


def test_the_same_command_again_runs_nothing(mia, default_run, shared_home):
    code, out, err = mia(shared_home, *SMALL)
    assert code == 0
    assert "finished before" in err
    assert [line.rstrip() for line in out.splitlines()] == [
        line.rstrip() for line in default_run[0].stdout.splitlines()
    ]  # the numbers once more
    assert default_run[1].id in err
    assert latest(shared_home).id == default_run[1].id


def test_rerun_gives_the_same_bits_without_training_and_a_fresh_store_with_training(
    mia, default_run, shared_home, empty_store, tmp_path
):
    first = scores_of(shared_home, default_run[1])
    assert mia(shared_home, *SMALL, "rerun=true")[0] == 0
    again = latest(shared_home)
    assert again.id != default_run[1].id
    assert again.metrics["pool/models_trained"] == 0
    assert mia(tmp_path / "elsewhere", *SMALL)[0] == 0
    afresh = latest(tmp_path / "elsewhere")
    assert afresh.metrics["pool/models_trained"] == 4
    for home, run in ((shared_home, again), (tmp_path / "elsewhere", afresh)):
        other = scores_of(home, run)
        for name, array in first.items():
            np.testing.assert_array_equal(array, other[name])


def test_another_attack_on_the_same_models_trains_nothing(mia, default_run, shared_home):
    assert mia(shared_home, *SMALL, "attack=[gap,calibration,rmia_offline]")[0] == 0
    run = latest(shared_home)
    assert run.metrics["pool/models_trained"] == 0
    assert "attack/rmia_offline/auc" in run.metrics
    assert run.metrics["attack/calibration/num_out"] == 3


def test_a_defence_on_the_output_trains_nothing_and_changes_what_is_seen(mia, default_run, shared_home):
    assert mia(shared_home, *SMALL, "defence=label_only")[0] == 0
    run = latest(shared_home)
    assert run.metrics["pool/models_trained"] == 0
    assert run.metrics["target/test_accuracy"] == default_run[1].metrics["target/test_accuracy"]
    assert run.metrics["attack/loss/auc"] == pytest.approx(run.metrics["attack/gap/auc"])


def test_a_run_that_fails_is_failed_in_the_store_and_says_why(mia, shared_home):
    code, out, err = mia(shared_home, *SMALL, "train.learning_rate=1e38")
    assert code == 1
    assert out == ""
    assert [line for line in err.splitlines() if line.startswith("mia: error:")] == err.splitlines()
    assert "learning_rate" in err
    run = latest(shared_home)
    assert run.status == "FAILED"
    assert "DivergedError" in tracker(shared_home).artifact(run.id, "traceback.txt").read_text()


def test_label_only_asks_the_models_about_changed_records(mia, shared_home):
    assert mia(shared_home, *SMALL, "attack=[gap,label_only]", "attack.label_only.queries=4")[0] == 0
    assert "attack/label_only/auc" in latest(shared_home).metrics


def test_the_pool_protocol_allows_online_attacks_and_several_targets(mia, shared_home):
    arguments = ("split=pool", "split.size=60", "split.num_shadows=6", "split.num_targets=2", *SMALL[2:])
    assert mia(shared_home, *arguments, "attack=[gap,lira_online,rmia_online]")[0] == 0
    run = latest(shared_home)
    assert {"attack/lira_online/auc", "attack/lira_online/auc_sd", "attack/rmia_online/auc"} <= set(run.metrics)


@pytest.mark.slow
def test_where_no_defence_is_on_both_attackers_are_one_run(mia, empty_home):
    grid = ("train.l2=0,1e-2", "attacker.adaptive=true,false")
    code, _, err = mia(empty_home, "-m", *SMALL, *grid)
    assert code == 0
    assert "4 configurations, 3 different" in err
    assert "0 reused, 3 trained, 0 failed" in err
    assert len(Tracker.open(TrackingOptions(), empty_home).runs(kind="run")) == 3
