"""Several attacks as one: who ranks the surest records, and that nothing else changes by it."""

import numpy as np
import pytest

from mia.attacks.ties import settle
from mia.attacks.together import HEAD, choose_leader, early_area, fit_together, fit_with_leader, led_by


def two_attacks(seed=0, size=8000):
    """Return scores of which the first is the better the higher it is, and the second a blurred view of its low end."""
    generator = np.random.default_rng(seed)
    is_member = np.arange(size) % 2 == 0
    first = generator.standard_t(4, size) + generator.gamma(2, 2, size) * is_member
    second = np.minimum(first, 1) + generator.normal(0, 1, size) + 0.5 * is_member
    return np.stack([first, second], axis=1), is_member, np.arange(size) // (size // 4)


def test_the_area_at_low_rates_by_hand():
    is_member = np.repeat([True, False], 1000)
    others = np.arange(1000.0)  # rates from .1% to 1% are decided by 998 down to 990, the second highest to the tenth

    def area(members):
        return early_area(np.concatenate([members, others]), is_member)

    assert area(np.full(1000, 998.5)) == 1
    assert area(np.full(1000, 990.0)) == 0  # a tie finds nobody
    by_rate = 1 / np.arange(2, 11)
    assert area(np.full(1000, 997.5)) == pytest.approx(1 - by_rate[0] / by_rate.sum())
    half = np.repeat([1e6, -1.0], 500)
    assert area(half) == 0.5
    few = slice(950, 1050)  # a hundred others are too few for such rates
    assert early_area(np.concatenate([half, others])[few], is_member[few]) == 0


def test_a_leader_ranks_the_surest_and_all_together_the_rest():
    scores, is_member, _ = two_attacks()
    rule = fit_together(scores, is_member)
    plain, led = rule(scores), led_by(0, rule, scores, is_member)(scores)
    start = np.sort(scores[~is_member, 0])[::-1][int(HEAD * np.count_nonzero(~is_member))]
    is_sure = scores[:, 0] > start
    assert np.count_nonzero(is_sure & ~is_member) == 40
    np.testing.assert_array_equal(led[~is_sure], plain[~is_sure])
    assert led[is_sure].min() > led[~is_sure].max()
    np.testing.assert_array_equal(np.argsort(led[is_sure]), np.argsort(scores[is_sure, 0]))
    assert early_area(led, is_member) == early_area(scores[:, 0], is_member)


def test_a_leader_whose_scores_have_an_end_still_tells_the_surest_apart():
    scores, is_member, _ = two_attacks()
    tails = scores * [1e-9, 1]  # as a log tail probability near 0
    for one in (scores, tails):
        led = settle(led_by(0, fit_together(one, is_member), one, is_member)(one))
        assert early_area(led, is_member) == early_area(scores[:, 0], is_member)
        assert len(np.unique(led)) == len(led)


def test_all_together_must_rank_the_surest_better_in_each_fold_or_the_best_one_leads():
    scores, is_member, fold = two_attacks()
    better = scores[:, 0] + 2 * is_member
    assert choose_leader(scores, is_member, fold, better) is None
    assert choose_leader(scores[:, ::-1], is_member, fold, np.where(fold == 2, scores[:, 1], better)) == 1
    few = slice(0, 1000)
    assert (
        choose_leader(scores[few], is_member[few], fold[few], scores[few, 1]) is None
    )  # nothing is known of low rates


def test_attacks_of_the_same_worth_are_better_together():
    generator = np.random.default_rng(2)
    _, is_member, fold = two_attacks()
    alike = generator.normal(size=(len(is_member), 4)) + is_member[:, None]
    rule, fitted = fit_with_leader(alike, is_member, fold)
    assert rule.head is None
    np.testing.assert_array_equal(
        fitted[fold == 1], fit_together(alike[fold != 1], is_member[fold != 1])(alike)[fold == 1]
    )


def test_what_one_attack_cannot_score_has_no_score():
    scores, is_member, _ = two_attacks()
    rule = led_by(0, fit_together(scores, is_member), scores, is_member)
    highest = np.array([[np.inf, 0.0], [1e9, np.nan], [np.nan, 0.0]])
    found = rule(highest)
    assert found[0] == np.inf
    assert np.isnan(found[1:]).all()
