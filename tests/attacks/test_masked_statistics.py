"""Statistics over some of the models: the same whether taken one by one or in one go, and whatever lies beside."""

import numpy as np
import pytest
from scipy.special import logsumexp

from mia.attacks import masked_statistics
from mia.attacks.masked_statistics import masked_log_mean_exp, masked_mean, masked_moments, masked_std, pooled_std


def some(models, records, seed=0):
    generator = np.random.default_rng(seed)
    used = generator.random((models, records)) < 0.5
    used[:, 0] = False
    return generator.standard_normal((models, records)) * 20, used


@pytest.mark.parametrize("records", [2, 64, 65, 66, 129, 200])
def test_all_moments_at_once_are_those_taken_one_by_one(records, monkeypatch):
    monkeypatch.setattr(masked_statistics, "BLOCK", 1)  # blocks of 64 records
    values, used = some(40, records)
    found, mean = masked_moments(values, used), masked_mean(values, used)
    np.testing.assert_array_equal(found.count, used.sum(0))
    np.testing.assert_array_equal(found.mean, mean)
    np.testing.assert_array_equal(found.std, masked_std(values, used, mean))
    assert found.pooled == pooled_std(values, used, mean)
    assert np.isnan([found.mean[0], found.std[0]]).all()


def test_moments_are_numpys():
    values, used = some(9, 50)
    found, mine = masked_moments(values, used), np.ma.masked_array(values, ~used)
    np.testing.assert_allclose(found.mean[1:], mine.mean(0)[1:], rtol=1e-12)
    np.testing.assert_allclose(found.std[1:], np.where(used.sum(0) > 1, mine.std(0), np.nan)[1:], rtol=1e-12)


def test_a_log_mean_of_tiny_and_huge_numbers_is_that_of_the_models_used():
    values, used = some(12, 300)
    values *= 30  # exp of which is 0 or infinite
    expected = logsumexp(values, axis=0, b=used) - np.log(np.maximum(used.sum(0), 1))
    found = masked_log_mean_exp(values, used)
    np.testing.assert_allclose(found[1:], np.where(used.any(0), expected, np.nan)[1:], rtol=1e-12)
    assert np.isnan(found[0])
