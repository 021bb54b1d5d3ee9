"""What repeats over seeds: against counting by hand."""

import numpy as np
import pytest

from mia.metrics.over_seeds import agreement, align, found_at_fpr, overlap_rows, repeats, repeats_at_fpr
from mia.metrics.roc import roc, tpr_at_low_fpr


def test_found_at_a_rate_is_the_rate_of_the_metric():
    generator = np.random.default_rng(0)
    is_member = np.arange(1000) < 500
    score = np.round(generator.normal(size=1000) + 1.5 * is_member, 2)
    metrics, _ = tpr_at_low_fpr(roc(score, is_member))
    found = found_at_fpr(score, is_member, 0.01)
    assert found[is_member].mean() == metrics["tpr_at_1pct_fpr"]
    assert found[~is_member].mean() == metrics["fpr_reached_at_1pct"]


def test_found_leaves_out_what_has_no_score_or_no_yardstick():
    score = np.array([np.inf, np.nan, 3.0, 1.0])
    assert found_at_fpr(score, np.array([True, True, True, False]), 0.01).tolist() == [True, False, True, False]
    assert not found_at_fpr(score, np.ones(4, bool), 0.01).any()
    assert not found_at_fpr(np.array([1.0, 1.0]), np.array([True, False]), 0.5).any()
    assert not found_at_fpr(np.array([np.inf, np.inf]), np.array([True, False]), 0.5).any()


def test_runs_are_aligned_by_record():
    records, aligned = align([np.array([3, 5]), np.array([9, 3])], [np.array([1, 0]), np.array([0, 1])], -1)
    assert records.tolist() == [3, 5, 9]
    assert aligned.tolist() == [[1, 0, -1], [1, -1, 0]]
    _, found = align([np.array([3, 5]), np.array([9])], [np.array([True, True]), np.array([True])], fill=False)
    assert found.dtype == bool
    assert found.tolist() == [[True, True, False], [False, False, True]]


def test_coverage_and_stability_with_one_split_are_found_in_any_and_in_all():
    found = np.array([[1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]], bool)
    membership = np.tile(np.array([1, 1, 1, 1, 0, 0], np.int8), (3, 1))
    metrics = repeats(found, membership)
    assert metrics["coverage"] == 3 / 4
    assert metrics["stability"] == 1 / 4
    assert metrics["found_per_seed"] == pytest.approx(6 / 12)
    assert metrics["false_coverage"] == 1 / 2
    assert metrics["stability_low"] < 1 / 4 < metrics["stability_high"]
    assert (metrics["num_seeds"], metrics["num_members"]) == (3, 4)


def test_seeds_in_which_a_record_was_no_member_do_not_count():
    found = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]], bool)
    membership = np.array([[1, -1, 1], [0, 1, 0], [1, 1, 0]], np.int8)
    metrics = repeats(found, membership)
    assert metrics["num_members"] == 2
    assert metrics["coverage"] == metrics["stability"] == 1
    assert metrics["false_coverage"] == 1  # the third record, out twice and found once


def test_one_seed_repeats_nothing():
    assert repeats(np.ones((1, 3), bool), np.ones((1, 3), np.int8)) == {"num_seeds": 1.0, "num_members": 0.0}


def test_agreement_is_jaccards():
    one, two, none = np.array([[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0]], bool)
    assert agreement({"a": one, "b": two, "none": none}) == [
        ("a", "a", 1.0, 3), ("b", "b", 1.0, 3), ("a", "b", 0.5, 2), ("b", "a", 0.5, 2),
    ]  # fmt: skip
    assert agreement({"a": one, "none": none}) == []


def test_repeats_at_a_rate_are_those_of_whom_each_run_finds():
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(3):
        index, member = rng.permutation(400)[:200], np.arange(200) < 100
        runs.append((index, member, rng.normal(size=200) + member))
    found, membership = np.zeros((3, 400), bool), np.full((3, 400), -1, np.int8)
    for k, (index, member, score) in enumerate(runs):
        found[k, index], membership[k, index] = found_at_fpr(score, member, 0.05), member
    assert repeats_at_fpr(runs, 0.05) == repeats(found, membership)


def test_overlap_counts_whom_an_attack_finds_alone():
    is_member = np.array([True] * 4 + [False] * 4)
    one = np.array([9.0, 9, 9, 1, 8, 0, 0, 0])
    two = np.array([0.0, 9, 9, 9, 8, 8, 0, 0])
    same = np.array([0.0, 9, 9, np.nan, 8, 8, 0, 0])
    nobody = np.zeros(8)
    rows = overlap_rows({"one": one, "two": two, "same": same, "nobody": nobody}, is_member)
    assert [(row["found"], row["found_alone"]) for row in rows] == [(3, 1), (3, 1), (2, 0), (0, 0)]
    assert rows[0] == {"attack": "one", "found": 3, "found_alone": 1, "one": 1, "two": 0.5, "same": 2 / 3, "nobody": 0}
    assert [row["one"] for row in rows] == [1, 0.5, 2 / 3, 0]
    assert "nobody" not in rows[3]
