"""`mia audit` as typed: what it writes, what it refuses, what it leaves in the store."""

import csv
import json

import numpy as np
import pytest

from mia.tracking import Tracker, TrackingOptions


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


@pytest.fixture
def predictions(tmp_path):
    """A file of four shadows and 60 records, without any signal."""
    generator = np.random.default_rng(0)
    member = generator.integers(0, 2, (5, 60)).astype(np.int8)
    path = tmp_path / "predictions.npz"
    np.savez(
        path,
        target_logits=generator.normal(size=(60, 3)),
        target_member=member[0],
        labels=generator.integers(0, 3, 60),
        shadow_logits=generator.normal(size=(4, 60, 3)),
        shadow_member=member[1:],
    )
    return path


def test_an_audit_that_fails_is_in_the_store_with_its_traceback(mia, shared_home, predictions, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("halfway through")

    monkeypatch.setattr("mia.experiment.attacking.run_attack", fail)
    code, _, err = mia(shared_home, "audit", f"signals={predictions}", f"out={tmp_path / 'out'}")
    assert (code, "halfway through" in err) == (1, True)
    tracker = Tracker.open(TrackingOptions(), shared_home)
    run = tracker.runs(kind="audit", limit=1)[0]
    assert run.status == "FAILED"
    assert "ZeroDivisionError" in tracker.artifact(run.id, "traceback.txt").read_text()


def test_growth_is_there_for_audits_too(mia, shared_home, predictions, tmp_path):
    out = tmp_path / "out"
    request = ("attack=[loss,calibration]", "attack.growth=true")
    assert mia(shared_home, "audit", f"signals={predictions}", f"out={out}", *request)[0] == 0
    rows = list(csv.DictReader((out / "growth.csv").read_text().splitlines()))
    assert [row["shadows"] for row in rows if row["attack"] == "calibration"] == ["1", "2", "4"]
