"""The controls: quiet where nothing is there, loud where something is."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mia.metrics.controls import (
    _advantage_deviation,
    _area_deviation,
    _midranks,
    null_control,
    null_line,
    numbers_control,
    placebo_control,
)
from mia.metrics.evaluation import evaluate
from mia.seeds import stage_seed


def test_null_control_is_inside_its_interval_for_97_of_100_seeds(attack, half_members):
    is_member = half_members(1000)
    scores = attack(np.random.default_rng(0), is_member, strength=3.0)
    nulls = [null_control(scores.score, scores.is_predicted, is_member, seed) for seed in range(300)]
    for name in ("null_auc", "null_balanced_accuracy"):
        inside = [null[f"{name}_low"] <= 0.5 <= null[f"{name}_high"] for null in nulls]
        assert np.mean(inside) >= 0.97
        assert len({null[name] for null in nulls}) > 100


def test_null_intervals_are_no_wider_than_they_need_be(attack, half_members):
    """Half of the draws lie in the inner quarter of a 99% interval (.674 of 2.576)."""
    is_member = half_members(400)
    scores = attack(np.random.default_rng(0), is_member, strength=1.0)
    nulls = [null_control(scores.score, scores.is_predicted, is_member, seed) for seed in range(400)]
    for name in ("null_auc", "null_balanced_accuracy"):
        far = [abs(n[name] - 0.5) > 0.674 / 2.576 * (n[f"{name}_high"] - n[f"{name}_low"]) / 2 for n in nulls]
        assert 0.42 <= np.mean(far) <= 0.58


def test_deviations_are_those_of_all_permutations():
    score = np.array([1.0, 2, 2, 3, 3, 3, 5])
    predicted = score > 2
    orders = set(permutations([True, True, True, False, False, False, False]))
    areas = [roc_auc_score(order, score) for order in orders]
    gains = [np.mean(predicted[np.array(o)]) - np.mean(predicted[~np.array(o)]) for o in orders]
    _, sizes = _midranks(score)
    assert _area_deviation(sizes, 3, 4) == pytest.approx(np.std(areas))
    assert _advantage_deviation(int(predicted.sum()), 3, 4) == pytest.approx(np.std(gains))


def test_one_permutation_is_the_area_under_the_roc(attack, half_members):
    is_member = half_members(50)
    score = np.round(attack(np.random.default_rng(0), is_member).score, 1)
    permuted = np.random.default_rng([4, 0x6E756C6C]).permutation(is_member)
    null = null_control(score, None, is_member, 4, permutations=1)
    assert null["null_auc"] == pytest.approx(roc_auc_score(permuted, score))


@pytest.mark.parametrize("members", [1, 3, 10])
def test_a_constant_score_is_one_half_exactly(members):
    is_member = np.arange(30) < members
    null = null_control(np.zeros(30), np.ones(30, bool), is_member, 0)
    for name in ("null_auc", "null_balanced_accuracy"):
        assert null[name] == pytest.approx(0.5)
        assert null[f"{name}_low"] <= 0.5 <= null[f"{name}_high"]


def test_attacks_with_their_own_seeds_do_not_deviate_together(attack, half_members):
    is_member = half_members(500)
    scores = attack(np.random.default_rng(0), is_member)
    own, shared = ([], [])
    for seed in range(60):
        for found, names in ((own, ("a", "b")), (shared, ("null", "null"))):
            nulls = [evaluate(scores, is_member, seed=stage_seed(seed, f"null/{name}")) for name in names]
            found.append([null.metrics["null_auc"] for null in nulls])
    assert abs(np.corrcoef(np.transpose(own))[0, 1]) < 0.4
    assert np.corrcoef(np.transpose(shared))[0, 1] == pytest.approx(1)


def test_more_attacks_are_flagged_no_more_often(attack, half_members):
    """Twenty harmless attacks: together at 99%, where each at 99% flags one of five such runs."""
    is_member = half_members(200)
    scores = attack(np.random.default_rng(0), is_member)
    flagged = {1: 0, 20: 0}
    for run in range(100):
        for asked in flagged:
            nulls = [null_control(scores.score, None, is_member, 20 * run + k, num_attacks=asked) for k in range(20)]
            flagged[asked] += any(not null["null_auc_low"] <= 0.5 <= null["null_auc_high"] for null in nulls)
    assert flagged[20] <= 5 < flagged[1]


def test_a_placebo_that_knows_nothing_is_quiet(attack, half_members):
    is_member = half_members(300)
    heard = [placebo_control(attack(np.random.default_rng(seed), is_member).score, is_member) for seed in range(200)]
    assert sum(bool(lines) for _, lines in heard) <= 6
    assert set(heard[0][0]) == {"placebo_auc", "placebo_auc_low", "placebo_auc_high"}


def test_a_placebo_that_knows_is_loud(attack, half_members):
    is_member = half_members(300)
    score = attack(np.random.default_rng(0), is_member, 1.0).score
    metrics, lines = placebo_control(np.where(np.arange(300) % 7, score, np.nan), is_member)
    assert metrics["placebo_auc_low"] > 0.5
    assert lines[0].startswith("CONTROL FAILED")
    assert placebo_control(score, np.ones(300, bool)) == ({}, ())


def test_a_null_control_outside_its_interval_is_loud():
    outside = {"null_auc": 0.53, "null_auc_low": 0.51, "null_auc_high": 0.55}
    assert null_line(outside)[0].startswith("CONTROL FAILED: against permuted membership")
    assert null_line({**outside, "null_auc_low": 0.49}) == null_line({}) == ()


def counts_of(member):
    return member.sum(axis=0), (~member).sum(axis=0)


def test_numbers_of_shadows_drawn_by_coins_are_quiet():
    heard = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        member = generator.random((9, 300)) < 0.5
        scored = generator.random(300) < 0.9
        heard += bool(numbers_control(*counts_of(member[1:]), scored, member[0]))
    assert heard <= 6


def test_numbers_of_shadows_that_tell_the_members_are_loud():
    generator = np.random.default_rng(0)
    coins = generator.random((7, 2000)) < 0.5
    everything = np.ones(2000, bool)
    balanced = generator.random((8, 2000)).argsort(0).argsort(0) < 4
    near = coins.copy()
    near[1] = ~coins[0] & (generator.random(2000) < 0.9)  # nearly the target's complement
    for member in (balanced, near):
        (line,) = numbers_control(*counts_of(member[1:]), everything, member[0])
        assert "CONTROL FAILED: the share of its shadows that saw a record tells who is a member" in line
    assert not numbers_control(*counts_of(coins[1:]), everything, coins[0])
    (line,) = numbers_control(*counts_of(coins[1:]), coins[0] | (generator.random(2000) < 0.8), coins[0])
    assert "100.0% of the members could be scored" in line
    more = np.where(coins[0], 5, 4)
    assert "their number tells" in numbers_control(more, more, everything, coins[0])[0]
    assert numbers_control(more, more, ~everything, coins[0]) == ()


def test_controls_of_people_who_are_in_or_out_together_are_quiet():
    """As if their records were independent, a placebo and the numbers of shadows would cry wolf in one run of three."""
    heard = np.zeros((2, 2), int)
    for seed in range(150):
        generator = np.random.default_rng(seed)
        groups = np.repeat(np.arange(120), generator.integers(1, 21, 120))
        member = (generator.random((9, 120)) < 0.5)[:, groups]
        score = generator.normal(size=120)[groups] + generator.normal(size=len(groups)) / 2
        scored = (generator.random(120) < 0.9)[groups]
        for place, whose in enumerate((groups, None)):
            heard[place, 0] += bool(placebo_control(score, member[0], groups=whose)[1])
            heard[place, 1] += bool(numbers_control(*counts_of(member[1:]), scored, member[0], groups=whose))
    assert heard[0].max() <= 5
    assert heard[1].min() > 50
