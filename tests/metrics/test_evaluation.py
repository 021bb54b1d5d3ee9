"""One attack judged as a whole: names, what is left out, the null control, classes."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mia.metrics.evaluation import evaluate, per_class
from mia.records import Scores

CONTRACT = ("accuracy", "balanced_accuracy", "precision", "recall", "auc", "tpr_at_1pct_fpr", "advantage")


def test_contract_names_come_with_intervals(attack, half_members):
    is_member = half_members(20_000)
    metrics = evaluate(attack(np.random.default_rng(0), is_member, 1.0), is_member).metrics
    for name in (*CONTRACT, "tpr_at_0.1pct_fpr", "tpr_at_0.01pct_fpr", "precision_at_prior", "null_auc"):
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
        assert metrics[f"{name}_low"] < metrics[f"{name}_high"]
    assert all(type(value) is float and np.isfinite(value) for value in metrics.values())
    assert metrics["num_in"] == metrics["num_out"] == 4
    assert metrics["hindsight_balanced_accuracy"] >= metrics["balanced_accuracy"]


def test_unscored_records_are_left_out_and_counted(attack, half_members):
    is_member = half_members(400)
    scores = attack(np.random.default_rng(0), is_member, 1.0)
    unscored = np.arange(400) % 4 == 0
    masked = replace(scores, score=np.where(unscored, np.nan, scores.score))
    alone = Scores(scores.score[~unscored], scores.is_predicted[~unscored], np.full(300, 4), np.full(300, 4))
    evaluation, expected = evaluate(masked, is_member), evaluate(alone, is_member[~unscored])
    assert evaluation.metrics == expected.metrics | {"num_masked": 100.0}
    assert evaluation.metrics["num_scored"] == 300
    assert evaluation.warnings[0] == "100 of 400 records could not be scored and are left out"


def test_without_a_rule_there_are_no_metrics_at_a_rule(attack, half_members):
    is_member = half_members(200)
    scores = replace(attack(np.random.default_rng(0), is_member), is_predicted=None)
    metrics = evaluate(scores, is_member).metrics
    assert "auc" in metrics
    assert not set(metrics) & {"accuracy", "balanced_accuracy", "precision", "recall", "advantage"}
    assert not set(metrics) & {"null_balanced_accuracy", "precision_at_prior"}


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_of_record_only(attack, kind):
    is_member = np.full(50, kind)
    evaluation = evaluate(attack(np.random.default_rng(0), is_member), is_member)
    assert "accuracy" in evaluation.metrics
    assert "auc" not in evaluation.metrics
    absent = "non-members" if kind else "members"
    assert f"auc and the like left out: there are no {absent} among the scored records" in evaluation.warnings


def test_nothing_scored():
    count = np.zeros(3, int)
    evaluation = evaluate(Scores(np.full(3, np.nan), None, count, count), np.array([True, False, True]))
    assert evaluation.metrics == {"num_scored": 0.0, "num_masked": 3.0}


def test_unresolved_false_positive_rates_are_left_out_and_said(attack, half_members):
    is_member = half_members(100)
    evaluation = evaluate(attack(np.random.default_rng(0), is_member), is_member)
    assert not any(name.startswith("tpr_at") for name in evaluation.metrics)
    assert len([line for line in evaluation.warnings if "non-members x" in line]) == 3


def test_nobody_predicted_a_member(attack, half_members):
    is_member = half_members(60)
    scores = replace(attack(np.random.default_rng(0), is_member), is_predicted=np.zeros(60, bool))
    evaluation = evaluate(scores, is_member)
    assert "precision" not in evaluation.metrics
    assert "precision left out: no record is predicted to be a member" in evaluation.warnings


def test_null_control_does_not_undo_a_membership_drawn_from_the_same_seed():
    is_member = np.random.default_rng(7).permutation(2000) < 1000
    score = np.random.default_rng(7).permutation(is_member).astype(float)
    metrics = evaluate(Scores(score, None, np.ones(2000, int), np.ones(2000, int)), is_member, seed=7).metrics
    assert metrics["null_auc_low"] <= 0.5 <= metrics["null_auc_high"]


def test_the_same_seed_gives_the_same_metrics(attack, half_members):
    is_member = half_members(200)
    scores = attack(np.random.default_rng(0), is_member)
    assert evaluate(scores, is_member, seed=3) == evaluate(scores, is_member, seed=3)
    assert evaluate(scores, is_member, seed=3).metrics["null_auc"] != evaluate(scores, is_member).metrics["null_auc"]


def test_per_class_rows_are_the_metrics_of_their_records(attack, half_members):
    is_member = half_members(300)
    labels = np.arange(300, dtype=np.int32) % 3
    scores = attack(np.random.default_rng(0), is_member, 1.0)
    rows = per_class(scores, is_member, labels, ("ant", "bee", "cat"))
    assert [row["class"] for row in rows] == ["ant", "bee", "cat"]
    bees = labels == 1
    alone = Scores(scores.score[bees], scores.is_predicted[bees], scores.num_in[bees], scores.num_out[bees])
    expected = evaluate(alone, is_member[bees]).metrics
    shared = set(rows[1]) & set(expected)
    assert {"accuracy_low", "precision_high", "recall", "auc", "auc_low"} <= shared
    assert all(rows[1][name] == expected[name] for name in shared)
    assert rows[1]["count"] == bees.sum()
    assert rows[1]["auc"] == pytest.approx(roc_auc_score(is_member[bees], scores.score[bees]))


def test_per_class_leaves_out_what_is_undefined(attack):
    is_member = np.array([True, True, False, True])
    scores = replace(attack(np.random.default_rng(0), is_member), score=np.array([1.0, 2.0, 3.0, np.nan]))
    rows = per_class(scores, is_member, np.array([0, 0, 1, 2]))
    assert [row["class"] for row in rows] == ["0", "1"]
    assert all("auc" not in row for row in rows)
    assert not any(np.isnan(row[name]) for row in rows for name in row if name != "class")
