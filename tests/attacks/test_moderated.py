"""Moderated variances: the prior is found again, the two ends are what they should be, tails keep their digits."""

import numpy as np
import pytest
from attack_cases import random_signals, two_class_signals
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from mia.attacks import run_attack
from mia.attacks.lira import LiraOfflineOptions, LiraOnlineOptions
from mia.attacks.moderated import Prior, fit_prior, inverse_trigamma, student_log_density, student_log_tail


@given(st.floats(-9, 9))
def test_the_trigamma_function_is_inverted(logarithm):
    value = 10**logarithm
    assert special.polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(("freedom", "variance"), [(3.0, 2.0), (12.0, 0.1)])
def test_the_prior_that_made_the_variances_is_found(freedom, variance):
    generator = np.random.default_rng(0)
    own = generator.integers(1, 9, 100_000).astype(float)
    true = freedom * variance / generator.chisquare(freedom, len(own))
    found = fit_prior(true * generator.chisquare(own) / own, own)
    assert found.freedom == pytest.approx(freedom, rel=0.05)
    assert found.variance == pytest.approx(variance, rel=0.02)


def test_records_that_differ_by_chance_alone_share_one_variance():
    # The same variance many times over scatters less than chance: nothing is a record's own.
    prior = fit_prior(np.full(50, 3.0), np.full(50, 4.0))
    assert prior.freedom == np.inf
    assert len(set(prior.moderate(np.array([0.0, 1, 9]), np.array([0.0, 4, 4])))) == 1
    assert fit_prior(np.empty(0), np.empty(0)) is None


def test_the_mean_of_both_by_their_degrees_of_freedom():
    moderated = Prior(4.0, 2.0).moderate(np.array([np.nan, 8.0]), np.array([0.0, 2.0]))
    assert moderated.tolist() == [2, 4]


@given(st.floats(-30, 30), st.floats(0.5, 500))
def test_student_density_and_tail(z, freedom):
    z, freedom = np.array([z]), np.array([freedom])
    assert student_log_density(z, freedom) == pytest.approx(stats.t.logpdf(z, freedom), rel=1e-9)
    assert student_log_tail(z, freedom) == pytest.approx(stats.t.logcdf(z, freedom), rel=1e-6, abs=1e-12)


def test_without_end_students_t_is_a_gaussian():
    z, without = np.linspace(-60, 60, 999), np.full(999, np.inf)
    np.testing.assert_allclose(student_log_density(z, without), stats.norm.logpdf(z))
    np.testing.assert_allclose(student_log_tail(z, without), stats.norm.logcdf(z))
    np.testing.assert_allclose(student_log_tail(z, np.full(999, 1e9)), stats.norm.logcdf(z), rtol=1e-4, atol=1e-99)


@pytest.mark.parametrize("freedom", [40.0, 300.0, 1e4, 1e7])
def test_tails_too_thin_for_double_precision_go_on_falling(freedom):
    z = -np.geomspace(1, 1e12, 4000)
    tail = student_log_tail(z, np.full(len(z), freedom))
    assert np.isfinite(tail).all()
    assert (np.diff(tail) < 1e-3).all()
    steepness = np.diff(tail) / np.diff(z)  # no step where one formula takes over from the other
    assert (np.abs(np.diff(np.log(steepness))) < 0.2).all()


def test_a_record_with_one_shadow_of_a_side_takes_the_others_deviation():
    # Record 0 has one OUT shadow; the others' deviations, all alike, are the prior's: no record has one of its own.
    shadows = [[0.0, 1, 2, 3], [0, -1, 0, 1], [9, 9, 9, 9]]
    membership = [[0, 0, 0, 0], [-1, 0, 0, 0], [1, 1, 1, 1]]
    signals = two_class_signals([1.0, 1, 1, 1], shadows, membership)
    scores = run_attack("lira_offline", signals, LiraOfflineOptions("moderated"), 0)
    assert scores.details["prior_freedom_out"] == "infinite"
    # s0^2 = exp(log 2 - digamma(1/2) + log(1/2)); a new answer varies by s0^2 (1 + 1/n) about the mean of n.
    deviation = np.sqrt(np.exp(-special.digamma(0.5)))
    expected = stats.norm.logcdf([1 / np.sqrt(2), 1 / np.sqrt(1.5), 0, -1 / np.sqrt(1.5)] / deviation)
    np.testing.assert_allclose(scores.score, expected)


@pytest.mark.parametrize("name", ["lira_online", "lira_offline"])
def test_shadows_that_all_agree_about_one_record_leave_it_a_score(name):
    signals, _ = random_signals(records=60, shadows=8)
    signals.shadow_outputs[:, 0] = signals.shadow_outputs[0, 0]
    options = {"lira_online": LiraOnlineOptions("moderated"), "lira_offline": LiraOfflineOptions("moderated")}
    score = run_attack(name, signals, options[name], 0).score
    assert np.isfinite(score[0])
    assert abs(score[0]) < 100


def test_few_shadows_are_used_better_than_by_a_deviation_of_their_own():
    generator = np.random.default_rng(3)
    records, shadows = 4000, 6
    deviation = np.sqrt(6 / generator.chisquare(6, records))
    member = np.array([generator.permutation(records) < records // 2 for _ in range(shadows + 1)])
    phi = generator.normal(0, 3, records) + deviation * (generator.normal(size=(shadows + 1, records)) + 1.5 * member)
    signals = two_class_signals(phi[0], phi[1:], member[1:].astype(np.int8))

    def area(variance):
        score = run_attack("lira_online", signals, LiraOnlineOptions(variance), 0).score
        known = ~np.isnan(score)
        rank = stats.rankdata(score[known])
        inside = member[0][known]
        return (rank[inside].mean() - (inside.sum() + 1) / 2) / (~inside).sum()

    assert area("moderated") > area("per_record") + 0.02
    assert area("moderated") > area("global") - 0.01
