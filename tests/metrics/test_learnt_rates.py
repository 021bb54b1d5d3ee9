"""Thresholds learnt on stand-ins: never more false positives than asked for, ties on the safe side."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binomtest

from mia.metrics.learnt_rates import learn_rate_threshold, learnt_rate_metrics


def test_the_threshold_lies_just_above_the_kth_nonmember():
    score = np.concatenate([np.arange(999.0), [5000.0]])
    is_member = np.append(np.zeros(999, bool), True)
    threshold = learn_rate_threshold(score, is_member, 0.01)
    assert (score[:999] >= threshold).sum() == 9  # the tenth of 999 is the limit, itself below
    assert threshold == np.nextafter(989.0, np.inf)
    assert learn_rate_threshold(score, is_member, 0.001) == np.nextafter(998.0, np.inf)


def test_ties_stay_below():
    score = np.concatenate([np.zeros(150), np.ones(50)])
    nobody = np.zeros(200, bool)
    assert not (score >= learn_rate_threshold(score, nobody, 0.01)).any()
    assert learn_rate_threshold(score, nobody, 0.01) > 1
    assert np.isnan(learn_rate_threshold(np.full(200, np.inf), nobody, 0.01))


def test_too_few_nonmembers_teach_nothing():
    assert learn_rate_threshold(np.arange(98.0), np.zeros(98, bool), 0.01) is None
    assert learn_rate_threshold(np.arange(99.0), np.zeros(99, bool), 0.01) is not None
    masked = np.where(np.arange(99) < 5, np.nan, np.arange(99.0))
    assert learn_rate_threshold(masked, np.zeros(99, bool), 0.01) is None


@pytest.mark.parametrize("digits", [1, 6])
@pytest.mark.parametrize("number", [99, 150, 1000])
def test_the_false_positive_rate_is_not_exceeded_on_average(digits, number):
    generator = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        stand_in = np.round(generator.normal(size=number), digits)
        threshold = learn_rate_threshold(stand_in, np.zeros(number, bool), 0.01)
        rates.append(np.mean(np.round(generator.normal(size=500), digits) >= threshold))
    assert np.mean(rates) <= 0.01 + 3 * np.std(rates) / 20
    if digits == 6 and number == 1000:
        assert np.mean(rates) > 0.008


def test_the_pair_and_precision_are_what_they_say():
    generator = np.random.default_rng(0)
    is_member = np.arange(4000) < 2000
    stand_in, score = (generator.normal(size=4000) + 2 * is_member for _ in range(2))
    metrics, lines = learnt_rate_metrics(score, is_member, stand_in, is_member)
    assert lines == ()
    for unit, rate in (("1pct", 0.01), ("0.1pct", 0.001)):
        predicted = score >= learn_rate_threshold(stand_in, is_member, rate)
        tpr, fpr = predicted[is_member].mean(), predicted[~is_member].mean()
        assert metrics[f"tpr_at_learnt_{unit}_fpr"] == pytest.approx(tpr)
        assert metrics[f"fpr_at_learnt_{unit}_fpr"] == pytest.approx(fpr)
        exact = binomtest(int(predicted[~is_member].sum()), 2000).proportion_ci()
        assert metrics[f"fpr_at_learnt_{unit}_fpr_high"] == pytest.approx(exact.high)
        for prior in (0.01, 0.1, 0.5):
            expected = prior * tpr / (prior * tpr + (1 - prior) * fpr)
            name = f"precision_at_learnt_{unit}_fpr_prior_{prior:g}"
            assert metrics[name] == pytest.approx(expected)
            assert metrics[f"{name}_low"] < expected <= metrics[f"{name}_high"]


def test_what_cannot_be_learnt_is_left_out_and_said():
    is_member = np.arange(400) < 200
    score = np.where(np.arange(400) % 50 == 0, np.nan, np.arange(400.0))
    metrics, lines = learnt_rate_metrics(score, is_member, score, is_member)
    assert "tpr_at_learnt_1pct_fpr" in metrics
    assert lines == ("tpr_at_learnt_0.1pct_fpr left out: it takes 999 non-members of stand-ins, there are 196",)
    assert learnt_rate_metrics(score, np.ones(400, bool), score, is_member) == ({}, ())


def test_groups_widen_the_intervals_only():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 20)
    is_member = groups < 100
    score = generator.normal(size=200)[groups] + 0.1 * generator.normal(size=4000) + 2 * is_member
    alone, _ = learnt_rate_metrics(score, is_member, score, is_member)
    grouped, _ = learnt_rate_metrics(score, is_member, score, is_member, groups=groups)
    assert grouped.keys() == alone.keys()
    name = "tpr_at_learnt_1pct_fpr"
    assert grouped[name] == pytest.approx(alone[name])
    assert grouped[f"{name}_high"] - grouped[f"{name}_low"] > 2 * (alone[f"{name}_high"] - alone[f"{name}_low"])


@pytest.mark.slow
def test_intervals_cover_the_rates_at_the_threshold():
    """Clopper-Pearson covers at least 95 of 100; the precision's two exact limits together more."""
    generator = np.random.default_rng(0)
    is_member = np.arange(1200) < 600
    covered = dict.fromkeys(("tpr", "fpr", "precision"), 0)
    asked = dict.fromkeys(covered, 0)
    for _ in range(500):
        stand_in, score = (generator.normal(size=1200) + 1.5 * is_member for _ in range(2))
        threshold = learn_rate_threshold(stand_in, is_member, 0.01)
        metrics, _ = learnt_rate_metrics(score, is_member, stand_in, is_member)
        tpr, fpr = 1 - ndtr(threshold - 1.5), 1 - ndtr(threshold)
        truth = {
            "tpr": ("tpr_at_learnt_1pct_fpr", tpr),
            "fpr": ("fpr_at_learnt_1pct_fpr", fpr),
            "precision": ("precision_at_learnt_1pct_fpr_prior_0.1", 0.1 * tpr / (0.1 * tpr + 0.9 * fpr)),
        }
        for key, (name, value) in truth.items():
            if name in metrics:
                asked[key] += 1
                covered[key] += metrics[f"{name}_low"] <= value <= metrics[f"{name}_high"]
    for key, number in asked.items():
        assert number > 450
        assert covered[key] / number >= 0.94
