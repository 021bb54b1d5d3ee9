"""The share of a data set used: unbiased, and covered by its interval."""

import numpy as np
import pytest

from mia.metrics.decision import Confusion
from mia.metrics.duci import share_used


def test_the_share_by_hand():
    stand_in = Confusion(true_positives=80, num_members=100, false_positives=20, num_nonmembers=100)
    found = share_used(350, 1000, stand_in)
    assert found.value == pytest.approx((0.35 - 0.2) / 0.6)
    assert found.low < found.value < found.high
    assert share_used(100, 1000, stand_in).value == 0
    assert share_used(100, 1000, stand_in).low == 0
    assert share_used(1000, 1000, stand_in).value == 1


def test_a_rule_that_tells_nothing_says_nothing():
    assert share_used(5, 10, Confusion(50, 100, 50, 100)) is None
    assert share_used(5, 10, Confusion(40, 100, 50, 100)) is None
    assert share_used(5, 10, Confusion(0, 0, 5, 10)) is None
    assert share_used(0, 0, Confusion(5, 10, 0, 10)) is None
    weak = share_used(550, 1000, Confusion(55, 100, 50, 100))
    assert (weak.low, weak.high) == (0, 1)


def test_a_perfect_rule_still_has_an_interval():
    found = share_used(30, 100, Confusion(50, 50, 0, 50))
    assert found.value == 0.3
    assert 0.2 < found.low < 0.3 < found.high < 0.4


def test_more_records_narrow_the_interval():
    small, large = (share_used(40 * k, 100 * k, Confusion(70 * k, 100 * k, 20 * k, 100 * k)) for k in (1, 100))
    assert large.high - large.low < 0.15 * (small.high - small.low)


@pytest.mark.slow
@pytest.mark.parametrize("rates", [(0.9, 0.1), (0.6, 0.4), (0.3, 0.01)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_interval_covers_the_share(share, rates):
    generator = np.random.default_rng(0)
    covered, number, known = 0, 1000, 400
    for _ in range(1000):
        used = int(share * number)
        predicted = generator.binomial(used, rates[0]) + generator.binomial(number - used, rates[1])
        stand_in = Confusion(generator.binomial(known, rates[0]), known, generator.binomial(known, rates[1]), known)
        found = share_used(int(predicted), number, stand_in)
        covered += found.low <= share <= found.high
    assert 930 <= covered <= 975
