"""What attacks take for granted: normal answers pass at the level of the test, others do not."""

import numpy as np
import pytest
from scipy.stats import goodness_of_fit, norm

from mia.metrics.assumptions import anderson_darling, normality, saturation


def test_the_statistic_equals_scipy():
    generator = np.random.default_rng(0)
    phi = generator.normal(3, 2, size=(20, 5))
    for record in range(5):
        expected = goodness_of_fit(norm, phi[:, record], statistic="ad", n_mc_samples=1, rng=0).statistic
        corrected = expected * (1 + 0.75 / 20 + 2.25 / 400)
        assert anderson_darling(phi, np.ones((20, 5), bool))[record] == pytest.approx(corrected, rel=1e-6)


def test_only_out_answers_count_whatever_their_number():
    generator = np.random.default_rng(0)
    phi = generator.normal(size=(40, 30))
    is_out = generator.random((40, 30)) < 0.5
    together = anderson_darling(np.where(is_out, phi, 1e6), is_out)
    for record in range(30):
        own = phi[is_out[:, record], record][:, None]
        assert together[record] == pytest.approx(anderson_darling(own, np.ones_like(own, bool))[0])


@pytest.mark.parametrize("answers", [8, 16, 64])
def test_normal_answers_are_rejected_as_often_as_the_test_says(answers):
    phi = 5 + 3 * np.random.default_rng(0).normal(size=(answers, 4000))
    metrics, lines = normality(phi, np.ones(phi.shape, bool))
    assert metrics["normality_tested"] == 4000
    assert 0.035 <= metrics["normality_rejected"] <= 0.065
    assert metrics["normality_excess"] < 0.015
    assert lines == ()


def test_other_answers_are_told():
    generator = np.random.default_rng(0)
    phi = np.concatenate([generator.normal(size=(32, 700)), generator.exponential(size=(32, 300))], axis=1)
    metrics, lines = normality(phi, np.ones(phi.shape, bool))
    assert 0.25 < metrics["normality_excess"] < 0.33
    assert lines[0].startswith("the OUT answers of 3")


def test_what_cannot_be_tested_is_not_counted():
    phi = np.random.default_rng(0).normal(size=(10, 4))
    is_out = np.ones((10, 4), bool)
    is_out[:3, 0] = False
    phi[:, 1] = 2.0
    phi[0, 2] = np.inf  # nine are left
    assert np.isnan(anderson_darling(phi, is_out)).tolist() == [True, True, False, False]
    assert normality(phi[:4], is_out[:4]) == ({"normality_tested": 0.0}, ())


def test_saturation_is_the_share_at_the_top():
    score = np.concatenate([np.ones(20), np.linspace(0, 0.99, 80), [np.nan]])
    metrics, lines = saturation(score)
    assert metrics == {"saturation": 0.2}
    assert lines[0].startswith("20% of the scores are at 1,")
    assert saturation(np.linspace(0, 1, 100))[1] == ()
    assert saturation(np.array([np.nan])) == ({}, ())
