"""The area under the ROC against slow twins, closed forms and simulated coverage."""

import time

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.special import expit, logit, ndtr
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from mia.metrics.auc import auc, auc_difference

BOTH_KINDS = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=30).filter(
    lambda records: len({member for _, member in records}) == 2
)


def slow_placements(score, is_member):
    """Every pair compared."""
    pairs = np.array([[(m > n) + 0.5 * (m == n) for n in score[~is_member]] for m in score[is_member]])
    return pairs.mean(1), pairs.mean(0)


def slow_covariance(a, b):
    """DeLong's, as the paper prints it."""
    return sum(np.cov(x, y)[0, 1] / len(x) for x, y in zip(a, b, strict=True))


def slow_quantile(*placed):
    """Student's, at Welch's degrees of freedom."""
    parts = [np.var(side, ddof=1) / len(side) for side in placed]
    return t.ppf(0.975, sum(parts) ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, placed, strict=True)))


@pytest.mark.parametrize(
    ("score", "member", "expected"),
    [([9, 9, 5, 5], [1, 0, 1, 0], 0.5), ([1, 1, 0, 0], [1, 1, 0, 0], 1.0), ([0, 0, 1, 1], [1, 1, 0, 0], 0.0)],
)
def test_auc_ties_count_half(score, member, expected):
    """A perfect attack on two tied values was once scored .375."""
    assert auc(np.array(score, float), np.array(member, bool)).value == expected


def test_auc_of_a_loss_attack_with_the_right_sign():
    """High = member: a wrong sign once gave .108 where .892 was right."""
    generator = np.random.default_rng(0)
    is_member = np.arange(4000) < 2000
    loss = generator.gamma(1.0, np.where(is_member, 0.05, 1.0))
    assert auc(-loss, is_member).value > 0.85
    assert auc(loss, is_member).value == pytest.approx(1 - auc(-loss, is_member).value)


@settings(deadline=None)
@given(BOTH_KINDS)
def test_auc_and_interval_equal_slow_twin(records):
    score, is_member = (np.array(column) for column in zip(*records, strict=True))
    value, low, high = auc(score.astype(float), is_member)
    of_members, of_nonmembers = slow_placements(score, is_member)
    assert value == pytest.approx(of_members.mean(), abs=1e-12)
    assert value == pytest.approx(roc_auc_score(is_member, score), abs=1e-12)
    assert 0 <= low <= value <= high <= 1
    smallest = min(len(of_members), len(of_nonmembers))
    if smallest > 1 and min(value, 1 - value) * smallest >= 1:
        variance = slow_covariance((of_members, of_nonmembers), (of_members, of_nonmembers))
        if min(np.ptp(of_members), np.ptp(of_nonmembers)) > 1e-9:
            half = slow_quantile(of_members, of_nonmembers) * np.sqrt(variance) / (value * (1 - value))
            assert (low, high) == pytest.approx((expit(logit(value) - half), expit(logit(value) + half)), abs=1e-7)


@pytest.mark.parametrize("direction", [1, -1])
def test_auc_of_a_perfect_attack_has_an_interval(direction):
    is_member = np.arange(100) < 50
    value, low, high = auc(direction * is_member.astype(float), is_member)
    assert value == (high if direction > 0 else low) == (1 if direction > 0 else 0)
    end = low if direction > 0 else 1 - high
    spread = 1 + 49 * ((1 - end) / (2 - end) + end / (1 + end))
    error = np.sqrt(end * (1 - end) * spread / 2500)  # Newcombe's method 5 with 50 of each
    assert (1 - end) / error == pytest.approx(1.959963985)


def test_auc_interval_grows_smoothly_from_the_perfect_attack():
    """One pair out of order must not give a narrower interval than none."""
    score, is_member = np.arange(100.0)[::-1], np.arange(100) < 50
    perfect = auc(score, is_member)
    swapped = score.copy()
    swapped[[49, 50]] = swapped[[50, 49]]
    assert auc(swapped, is_member).low < perfect.low


def test_auc_of_a_constant_score_is_half_with_an_interval():
    value, low, high = auc(np.zeros(40), np.arange(40) < 20)
    assert value == 0.5
    assert (low < 0.4, high > 0.6) == (True, True)


def test_auc_with_one_member():
    value, low, high = auc(np.array([0.5, 0.1, 0.9]), np.array([True, False, False]))
    assert value == 0.5
    assert (low < 0.2, high > 0.8) == (True, True)


@pytest.mark.parametrize(("shift", "size"), [(0.0, 100), (1.0, 60), (3.0, 50)])
def test_auc_interval_covers_the_truth(shift, size):
    generator = np.random.default_rng(1)
    truth, is_member = ndtr(shift / np.sqrt(2)), np.arange(2 * size) < size
    covered = []
    for _ in range(300):
        _, low, high = auc(generator.normal(size=2 * size) + shift * is_member, is_member)
        covered.append(low <= truth <= high)
    assert 0.92 <= np.mean(covered) <= 0.99


def test_auc_difference_equals_slow_twin():
    generator = np.random.default_rng(2)
    is_member = generator.random(80) < 0.5
    shared = generator.normal(size=80) + is_member
    a, b = shared + 0.3 * generator.normal(size=80), np.round(shared)
    placed = slow_placements(a, is_member), slow_placements(b, is_member)
    variance = slow_covariance(placed[0], placed[0]) + slow_covariance(placed[1], placed[1])
    variance -= 2 * slow_covariance(*placed)
    value = roc_auc_score(is_member, a) - roc_auc_score(is_member, b)
    half = max(slow_quantile(*placed[0]), slow_quantile(*placed[1])) * np.sqrt(variance)
    assert auc_difference(a, b, is_member) == pytest.approx((value, value - half, value + half), abs=1e-9)


def test_from_a_hundred_of_each_the_interval_is_delongs_own():
    is_member = np.arange(200) < 100
    score = np.random.default_rng(3).normal(size=200) + is_member
    value, low, high = auc(score, is_member)
    variance = slow_covariance(*[slow_placements(score, is_member)] * 2)
    half = 1.959963985 * np.sqrt(variance) / (value * (1 - value))
    assert (low, high) == pytest.approx((expit(logit(value) - half), expit(logit(value) + half)), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("members", "nonmembers"), [(5, 500), (10, 1000), (1000, 10), (20, 20), (200, 50)])
@pytest.mark.parametrize("kind", ["normal", "wide", "few exposed", "right or wrong"])
def test_auc_interval_covers_with_few_on_a_side(kind, members, nonmembers):
    """At least 93 of 100, where the normal quantile gives 89 to 93 and ties on one side 40."""
    generator = np.random.default_rng(0)
    is_member = np.arange(members + nonmembers) < members
    truth = {"normal": ndtr(0.5), "wide": 0.5, "few exposed": 0.55, "right or wrong": 0.65}[kind]
    covered = 0
    for _ in range(1000):
        score = generator.normal(size=len(is_member))
        if kind == "normal":
            score += np.sqrt(0.5) * is_member
        elif kind == "wide":
            score[is_member] *= 4
        elif kind == "few exposed":
            score += 20 * (is_member & (generator.random(len(score)) < 0.1))
        else:
            score = (generator.random(len(score)) < np.where(is_member, 0.9, 0.6)).astype(float)
        _, low, high = auc(score, is_member)
        covered += low <= truth <= high
    assert covered >= 930


@pytest.mark.slow
@pytest.mark.parametrize(("members", "nonmembers"), [(10, 100), (30, 30), (200, 50)])
@pytest.mark.parametrize("shifts", [(0.0, 0.0), (1.0, 0.6), (2.0, 1.8)])
def test_auc_difference_covers_the_truth(shifts, members, nonmembers):
    generator = np.random.default_rng(0)
    is_member = np.arange(members + nonmembers) < members
    truth = ndtr(shifts[0] / np.sqrt(2)) - ndtr(shifts[1] / np.sqrt(2))
    covered = 0
    for _ in range(1000):
        shared = generator.normal(size=len(is_member))
        a, b = (0.8 * shared + 0.6 * generator.normal(size=len(is_member)) + shift * is_member for shift in shifts)
        _, low, high = auc_difference(a, b, is_member)
        covered += low <= truth <= high
    assert covered >= 930


def test_auc_difference_of_a_score_with_itself_is_nothing():
    is_member = np.arange(60) % 2 == 0
    score = np.random.default_rng(0).normal(size=60)
    assert auc_difference(score, score, is_member) == (0, 0, 0)


def test_auc_difference_of_two_perfect_attacks_has_an_interval():
    is_member = np.arange(60) < 30
    value, low, high = auc_difference(is_member * 1.0, is_member * 2.0, is_member)
    assert value == 0
    assert -0.2 < low < 0 < high < 0.2


def test_no_other_thread_is_woken_for_it():
    score, member = np.random.default_rng(0).normal(size=50_000), np.arange(50_000) % 2 == 0
    auc(score, member)
    before = time.process_time() - time.thread_time()
    for _ in range(20):
        auc(score, member)
    assert time.process_time() - time.thread_time() - before < 0.05
