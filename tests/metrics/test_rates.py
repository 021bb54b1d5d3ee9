"""Intervals against slow twins, published examples and simulated coverage."""

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial

from mia.metrics.rates import clopper_pearson, difference, lower_limit, paired_difference, upper_limit, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 40), (40, 40), (1, 40), (17, 40), (4999, 5000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_single_proportions_equal_scipy(successes, trials, confidence):
    test = binomtest(successes, trials)
    for ours, method in ((clopper_pearson, "exact"), (wilson, "wilson")):
        theirs = test.proportion_ci(confidence, method)
        assert ours(successes, trials, confidence) == pytest.approx((successes / trials, *theirs), abs=1e-9)


def test_limits_take_arrays():
    successes = np.array([0, 3, 10])
    assert lower_limit(successes, 10, 0.05) == pytest.approx([0.0, 0.0872644, 0.05**0.1], abs=1e-6)
    assert upper_limit(successes, 10, 0.05) == pytest.approx(1 - lower_limit(10 - successes, 10, 0.05))


def test_difference_equals_newcombes_published_example():
    estimate = difference(56, 70, 48, 80)
    assert estimate == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_difference_of_perfect_and_hopeless_has_an_interval():
    assert difference(20, 20, 0, 20) == pytest.approx((1.0, 0.772, 1.0), abs=1e-3)


@pytest.mark.parametrize(("tpr", "fpr", "members", "nonmembers"), [(0.6, 0.4, 100, 60), (0.95, 0.02, 200, 200)])
def test_difference_covers_the_truth(tpr, fpr, members, nonmembers):
    generator = np.random.default_rng(0)
    hits, alarms = generator.binomial(members, tpr, 400), generator.binomial(nonmembers, fpr, 400)
    covered = [
        (estimate := difference(h, members, a, nonmembers)).low <= tpr - fpr <= estimate.high
        for h, a in zip(hits.tolist(), alarms.tolist(), strict=True)
    ]
    assert 0.915 <= np.mean(covered) <= 0.985


def test_paired_difference_covers_the_truth_and_is_narrower_than_unpaired():
    shares = np.array([0.6, 0.1, 0.05, 0.25])
    tables = multinomial(300, shares, seed=1).rvs(400)
    estimates = [paired_difference(*table) for table in tables.tolist()]
    assert 0.915 <= np.mean([one.low <= 0.05 <= one.high for one in estimates]) <= 0.985
    table = tables[0].tolist()
    unpaired = difference(table[0] + table[1], 300, table[0] + table[2], 300)
    assert estimates[0].value == pytest.approx(unpaired.value)
    assert estimates[0].high - estimates[0].low < 0.7 * (unpaired.high - unpaired.low)


def test_paired_difference_of_equal_outcomes_is_around_zero():
    value, low, high = paired_difference(50, 0, 0, 50)
    assert value == 0
    assert low < 0 < high
    assert paired_difference(100, 0, 0, 0).value == 0
