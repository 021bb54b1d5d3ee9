"""The bound on epsilon: honest where there is nothing to find, large where there is."""

import numpy as np
import pytest
from scipy.stats import beta

from mia.metrics.epsilon import epsilon_lower_bound
from mia.metrics.roc import roc
from mia.records import Scores


def naive_bound(scores, is_member, error=0.025):
    """The dishonest twin: the best threshold's bound on the data that chose it."""
    curve = roc(scores.score, is_member)
    hits, alarms = curve.true_positives[1:-1], curve.false_positives[1:-1]
    low = beta.ppf(error, np.maximum(hits, 1), curve.num_members - hits + 1)
    return np.log(np.where(hits > 0, low, 1e-9) / beta.ppf(1 - error, alarms + 1, curve.num_nonmembers - alarms)).max()


def test_null_attacks_are_rarely_positive(attack, half_members):
    """Choosing the threshold on the data of the bound once made 17 to 32% of them positive, at a nominal 5%."""
    is_member = half_members(1000)
    attacks = [attack(np.random.default_rng(seed), is_member) for seed in range(200)]
    honest = [epsilon_lower_bound(scores, is_member, seed=seed) > 0 for seed, scores in enumerate(attacks)]
    assert np.mean(honest) <= 0.07
    assert np.mean([naive_bound(scores, is_member) > 0 for scores in attacks]) > np.mean(honest)


def test_the_best_of_many_null_attacks_is_rarely_positive(attack, half_members):
    is_member = half_members(300)
    positive = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        attacks = [attack(generator, is_member) for _ in range(8)]
        positive += epsilon_lower_bound(attacks, is_member, seed=seed) > 0
    assert positive <= 7


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_randomised_response_is_bounded_by_its_epsilon(epsilon, half_members):
    """Telling the truth with probability e^epsilon / (1 + e^epsilon) is exactly epsilon-DP."""
    is_member = half_members(4000)
    above = 0
    for seed in range(60):
        lies = np.random.default_rng(seed).random(4000) > 1 / (1 + np.exp(-epsilon))
        answer = (is_member ^ lies).astype(float)
        bound = epsilon_lower_bound(Scores(answer, None, answer, answer), is_member, delta=0.0, seed=seed)
        above += bound > epsilon
        assert bound > 0.5 * epsilon
    assert above <= 6


def test_a_perfect_attack_reaches_what_the_sample_can_show(half_members):
    is_member = half_members(4000)
    scores = Scores(is_member.astype(float), is_member, np.ones(4000, int), np.ones(4000, int))
    limit = 0.025 ** (1 / 1000)
    assert epsilon_lower_bound(scores, is_member, delta=0.0) == pytest.approx(np.log(limit / (1 - limit)))


def test_a_few_exposed_members_are_enough(half_members):
    """5% of the members stand out, nobody else: a bet on the top."""
    is_member = half_members(4000)
    score = np.random.default_rng(0).normal(size=4000)
    score[:100] += 20
    scores = Scores(score, None, np.ones(4000, int), np.ones(4000, int))
    assert epsilon_lower_bound(scores, is_member) > 1.5


def test_a_few_certain_nonmembers_are_enough(half_members):
    """A bet on non-membership at the bottom is worth as much."""
    is_member = half_members(4000)
    score = np.random.default_rng(0).normal(size=4000)
    score[-100:] -= 20
    scores = Scores(score, None, np.ones(4000, int), np.ones(4000, int))
    assert epsilon_lower_bound(scores, is_member) > 1.5


def test_the_bound_falls_with_confidence_and_delta(attack, half_members):
    is_member = half_members(2000)
    scores = attack(np.random.default_rng(0), is_member, 2.0)
    assert epsilon_lower_bound(scores, is_member, confidence=0.999) < epsilon_lower_bound(scores, is_member)
    assert epsilon_lower_bound(scores, is_member, delta=0.2) < epsilon_lower_bound(scores, is_member)


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_too_few_records_show_nothing(number):
    is_member = np.arange(number) % 2 == 0
    scores = Scores(np.arange(number, dtype=float), None, np.ones(number, int), np.ones(number, int))
    assert epsilon_lower_bound(scores, is_member) == 0


def test_unscored_records_are_left_out(attack, half_members):
    is_member = half_members(1000)
    scores = attack(np.random.default_rng(0), is_member, 3.0)
    nothing = Scores(np.full(1000, np.nan), None, scores.num_in, scores.num_out)
    assert epsilon_lower_bound(nothing, is_member) == 0
    assert epsilon_lower_bound([nothing, scores], is_member) == epsilon_lower_bound(scores, is_member) > 0
