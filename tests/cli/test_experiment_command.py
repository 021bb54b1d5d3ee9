"""`mia` end to end: the real command, and everything read back from the MLflow store."""

import csv
import json
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
    for name in ("config.yaml", "overrides.yaml", "per_class.csv", "records.csv", "figures"):
        assert files.artifact(run.id, name).exists()
    assert len(list(files.artifact(run.id, "figures").glob("*.png"))) >= 4
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


def test_an_audit_of_the_files_contract_writes_scores_and_metrics(mia, shared_home, tmp_path):
    generator = np.random.default_rng(0)
    member = generator.integers(0, 2, (5, 90)).astype(np.int8)
    logits = generator.normal(size=(5, 90, 3))
    labels = generator.integers(0, 3, 90)
    logits[:, np.arange(90), labels] += 2 * member
    target_member = member[0].copy()
    target_member[:10] = -1
    np.savez(
        tmp_path / "signals.npz",
        target_logits=logits[0],
        target_member=target_member,
        labels=labels,
        shadow_logits=logits[1:],
        shadow_member=member[1:],
    )
    out = tmp_path / "out"
    code, printed, _ = mia(shared_home, "audit", f"signals={tmp_path / 'signals.npz'}", f"out={out}")
    assert code == 0
    assert "lira_online" in printed
    with np.load(out / "scores.npz", allow_pickle=False) as scores:
        np.testing.assert_array_equal(scores["index"], np.arange(10, 90))
        assert scores["lira_online"].shape == (80,)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["attack/loss/auc"] > 0.7
    rows = list(csv.DictReader((out / "records.csv").read_text().splitlines()))
    assert len(rows) == 80


def test_an_audit_refuses_names_that_are_nearly_right(mia, shared_home, tmp_path):
    arrays = {"target_logits": np.zeros((6, 2)), "target_member": np.arange(6) % 2, "labels": np.zeros(6, int)}
    strange = {"shadow_logit": np.zeros((1, 6, 2)), "shadow_members": np.zeros((1, 6))}
    for content, named in (
        (arrays | strange, "'shadow_logit', which is none of"),
        ({k: v for k, v in arrays.items() if k != "target_member"}, "np.savez(path, labels=, target_member=)"),
    ):
        np.savez(tmp_path / "typo.npz", **content)
        code, _, err = mia(shared_home, "audit", f"signals={tmp_path / 'typo.npz'}", f"out={tmp_path / 'typo'}")
        assert (code, named in err) == (2, True), err
    np.savez(tmp_path / "more.npz", **arrays, labels_coarse=np.zeros(6))  # one's own, and nothing is missing
    assert mia(shared_home, "audit", f"signals={tmp_path / 'more.npz'}", f"out={tmp_path / 'more'}")[0] == 0


def test_an_audit_without_shadows_says_what_its_thresholds_are_worth(mia, shared_home, tmp_path):
    generator = np.random.default_rng(0)
    np.savez(
        tmp_path / "alone.npz",
        target_probabilities=generator.dirichlet(np.ones(3), 50),
        target_member=np.arange(50) % 2,
        labels=generator.integers(0, 3, 50),
    )
    code, printed, _ = mia(shared_home, "audit", f"signals={tmp_path / 'alone.npz'}", f"out={tmp_path / 'out'}")
    assert code == 0
    assert "calibrated on nothing" in " ".join(printed.split())
    code, _, err = mia(
        shared_home, "audit", f"signals={tmp_path / 'alone.npz'}", f"out={tmp_path / 'no'}", "attack=[lira_online]"
    )
    assert code == 2
    assert "lira_online" in err
    assert not (tmp_path / "no").exists()
