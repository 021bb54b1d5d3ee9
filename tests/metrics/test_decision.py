"""Metrics at a decision rule, against scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from mia.metrics.decision import Confusion, confusion, decision_metrics, precision_at_prior


@pytest.fixture
def predictions():
    generator = np.random.default_rng(0)
    is_member = generator.random(300) < 0.3
    return generator.random(300) < np.where(is_member, 0.7, 0.4), is_member


def test_values_equal_scikit_learn(predictions):
    predicted, member = predictions
    ours = decision_metrics(confusion(predicted, member), prior=0.5)
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(member, predicted))
    assert ours["precision"] == pytest.approx(sk.precision_score(member, predicted))
    assert ours["recall"] == pytest.approx(sk.recall_score(member, predicted))
    assert ours["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(member, predicted))
    assert ours["advantage"] == pytest.approx(2 * sk.balanced_accuracy_score(member, predicted) - 1)


def test_rates_have_exact_intervals(predictions):
    predicted, member = predictions
    ours = decision_metrics(confusion(predicted, member), prior=0.5)
    for name, hits, trials in (
        ("accuracy", predicted == member, np.ones(300, bool)),
        ("precision", predicted & member, predicted),
        ("recall", predicted & member, member),
    ):
        exact = binomtest(int(hits.sum()), int(trials.sum())).proportion_ci(0.95, "exact")
        assert (ours[f"{name}_low"], ours[f"{name}_high"]) == pytest.approx(tuple(exact), abs=1e-9)


def test_balanced_accuracy_and_advantage_tell_the_same(predictions):
    ours = decision_metrics(confusion(*predictions), prior=0.5)
    for end in ("", "_low", "_high"):
        assert ours[f"balanced_accuracy{end}"] == pytest.approx((1 + ours[f"advantage{end}"]) / 2)


def test_what_is_undefined_is_absent():
    nobody = decision_metrics(Confusion(0, 5, 0, 5), prior=0.5)
    assert "precision" not in nobody
    assert "precision_at_prior" not in nobody
    assert nobody["balanced_accuracy"] == 0.5
    only_members = decision_metrics(Confusion(3, 5, 0, 0), prior=0.5)
    assert {"accuracy", "precision", "recall"} <= set(only_members)
    assert "advantage" not in only_members
    assert decision_metrics(Confusion(0, 0, 0, 0), prior=0.5) == {}


def test_precision_at_the_prior_of_the_sample_is_precision(predictions):
    counts = confusion(*predictions)
    at_prior = precision_at_prior(counts, counts.num_members / counts.num_records)
    assert at_prior.value == pytest.approx(counts.true_positives / counts.num_positives)


def test_precision_at_a_low_prior_is_low():
    counts = Confusion(true_positives=90, num_members=100, false_positives=10, num_nonmembers=100)
    value, low, high = precision_at_prior(counts, prior=0.01)
    assert value == pytest.approx(0.009 / (0.009 + 0.099))
    assert low < value < high


def test_precision_at_prior_covers_the_truth():
    generator = np.random.default_rng(0)
    truth = 0.1 * 0.6 / (0.1 * 0.6 + 0.9 * 0.05)
    tables = zip(generator.binomial(80, 0.6, 500).tolist(), generator.binomial(120, 0.05, 500).tolist(), strict=True)
    estimates = [precision_at_prior(Confusion(hits, 80, alarms, 120), 0.1) for hits, alarms in tables]
    assert np.mean([one.low <= truth <= one.high for one in estimates]) >= 0.95


def test_a_perfect_rule_has_intervals():
    ours = decision_metrics(Confusion(50, 50, 0, 50), prior=0.5)
    for name in ("accuracy", "precision", "recall", "balanced_accuracy", "advantage", "precision_at_prior"):
        assert ours[name] == ours[f"{name}_high"] == 1
        assert 0.8 < ours[f"{name}_low"] < 1


@pytest.mark.slow
@pytest.mark.parametrize(("tpr", "fpr", "members", "nonmembers"), [(0.6, 0.4, 300, 300), (0.9, 0.05, 80, 400)])
def test_intervals_cover_the_truth(tpr, fpr, members, nonmembers):
    """Newcombe's within 93 to 97 of 100; exact ones, and the precision's at a prior, cover 95 and more."""
    generator = np.random.default_rng(0)
    share = members / (members + nonmembers)
    truth = {
        "accuracy": share * tpr + (1 - share) * (1 - fpr),
        "precision": share * tpr / (share * tpr + (1 - share) * fpr),
        "recall": tpr,
        "balanced_accuracy": (1 + tpr - fpr) / 2,
        "advantage": tpr - fpr,
        "precision_at_prior": 0.1 * tpr / (0.1 * tpr + 0.9 * fpr),
    }
    covered = dict.fromkeys(truth, 0)
    for _ in range(2000):
        counts = Confusion(generator.binomial(members, tpr), members, generator.binomial(nonmembers, fpr), nonmembers)
        ours = decision_metrics(counts, prior=0.1)
        for name, value in truth.items():
            covered[name] += ours[f"{name}_low"] <= value <= ours[f"{name}_high"]
    for name in ("advantage", "balanced_accuracy"):
        assert 0.93 <= covered[name] / 2000 <= 0.97
    for name in ("accuracy", "precision", "recall", "precision_at_prior"):
        assert covered[name] / 2000 >= 0.94
