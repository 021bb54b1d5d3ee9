"""Means over targets and paired differences."""

from dataclasses import replace

import numpy as np
import pytest

from mia.metrics.comparison import over_targets, paired_difference
from mia.metrics.evaluation import evaluate


def test_over_targets_gives_mean_and_deviation():
    metrics = over_targets([{"auc": 0.6, "auc_low": 0.5, "only_first": 1.0}, {"auc": 0.8, "auc_low": 0.7}])
    assert metrics == pytest.approx({"auc": 0.7, "auc_sd": np.sqrt(0.02), "auc_low": 0.6, "num_targets": 2.0})


def test_over_one_target_there_is_no_deviation():
    assert over_targets([{"auc": 0.6}]) == {"auc": 0.6, "num_targets": 1.0}


def test_paired_difference_is_the_difference_of_the_metrics(attack, half_members):
    is_member = half_members(600)
    generator = np.random.default_rng(0)
    strong, weak = attack(generator, is_member, 2.0), attack(generator, is_member, 0.5)
    paired = paired_difference(strong, weak, is_member)
    a, b = evaluate(strong, is_member).metrics, evaluate(weak, is_member).metrics
    for name in ("auc", "accuracy"):
        assert paired[f"{name}_difference"] == pytest.approx(a[name] - b[name])
        assert 0 < paired[f"{name}_difference_low"] < paired[f"{name}_difference_high"]
    backwards = paired_difference(weak, strong, is_member)
    assert backwards["auc_difference_low"] == pytest.approx(-paired["auc_difference_high"])
    assert backwards["accuracy_difference_low"] == pytest.approx(-paired["accuracy_difference_high"])


def test_paired_difference_uses_the_records_both_could_score(attack, half_members):
    is_member = half_members(100)
    scores = attack(np.random.default_rng(0), is_member, 1.0)
    masked = replace(scores, score=np.where(np.arange(100) < 10, np.nan, scores.score))
    paired = paired_difference(masked, scores, is_member)
    assert paired["num_scored"] == 90
    assert paired["auc_difference"] == paired["accuracy_difference"] == 0


def test_paired_difference_leaves_out_what_is_undefined(attack, half_members):
    is_member = half_members(50)
    scores = replace(attack(np.random.default_rng(0), is_member), is_predicted=None)
    assert "accuracy_difference" not in paired_difference(scores, scores, is_member)
    everyone = np.ones(50, bool)
    assert paired_difference(scores, scores, everyone) == {"num_scored": 50.0}


def test_paired_auc_interval_covers_no_difference(attack, half_members):
    is_member = half_members(200)
    covered = []
    for seed in range(150):
        generator = np.random.default_rng(seed)
        paired = paired_difference(attack(generator, is_member, 1.0), attack(generator, is_member, 1.0), is_member)
        covered.append(paired["auc_difference_low"] <= 0 <= paired["auc_difference_high"])
    assert np.mean(covered) >= 0.9
