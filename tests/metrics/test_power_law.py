"""The slope of leakage against data: exact on a line, covered by its interval off it."""

import numpy as np
import pytest
from scipy.stats import linregress, t

from mia.metrics.power_law import fit_power_law

SIZES = np.array([50, 100, 200, 400, 800, 1600])


def test_a_line_is_found_exactly():
    found = fit_power_law(SIZES, 3 * SIZES**-0.5 + 0.01, np.full(6, 0.01))
    assert found.slope == pytest.approx((-0.5, -0.5, -0.5))
    assert found.gain(np.array([100, 400])) == pytest.approx([0.3, 0.15])
    assert found.num_left_out == 0


def test_the_interval_is_that_of_least_squares():
    gain = SIZES**-0.4 * np.exp(0.2 * np.random.default_rng(0).normal(size=6))
    found = fit_power_law(SIZES, gain, np.zeros(6))
    line = linregress(np.log(SIZES), np.log(gain))
    half = t.ppf(0.975, 4) * line.stderr
    assert found.slope == pytest.approx((line.slope, line.slope - half, line.slope + half))
    assert found.intercept == pytest.approx(line.intercept)


def fit(examples, tpr):
    return fit_power_law(np.array(examples), np.array(tpr), np.full(len(tpr), 0.01))


def test_points_without_leakage_are_counted_and_left_out():
    found = fit([10, 20, 40, 80], [0.4, 0.3, 0.2, 0.01])
    assert found.num_left_out == 1
    assert fit([10, 20, 40], [0.4, 0.3, 0.0]) is None
    assert fit([10, 10, 10], [0.4, 0.3, 0.2]) is None


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_the_interval_covers_the_slope(weighted):
    """Binomial rates at sizes with several seeds, and weighted also where small rates are known far less well."""
    generator = np.random.default_rng(0)
    examples = np.repeat(SIZES, 3)
    fpr = 0.01
    tpr = fpr + 3 * examples**-0.5
    members = np.where(examples > 300, 4000, 2000) if weighted else np.full(len(examples), 5000)
    covered = 0
    for _ in range(1000):
        hits, alarms = generator.binomial(members, tpr) / members, generator.binomial(members, fpr) / members
        noise = np.exp(0.1 * generator.normal(size=len(examples))) if not weighted else 1.0
        counts = {"members": members, "nonmembers": members} if weighted else {}
        found = fit_power_law(examples, alarms + (hits - alarms) * noise, alarms, **counts)
        covered += found.slope.low <= -0.5 <= found.slope.high
    assert 930 <= covered <= 972


def test_two_sizes_have_no_slope_however_many_settings_lie_at_them():
    sizes = np.array([100.0, 100.0, 200.0, 200.0])
    assert fit_power_law(sizes, np.array([0.4, 0.4, 0.2, 0.2]), np.zeros(4)) is None
