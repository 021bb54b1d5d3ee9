"""The ROC and low false-positive rates against a slow twin, and the mistakes other tools make."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import binom, binomtest, norm
from sklearn.metrics import roc_curve

from mia.metrics.rates import clopper_pearson
from mia.metrics.roc import FPR_LIMITS, exposed, hindsight_balanced_accuracy, roc, thinned_roc, tpr_at_low_fpr

TIED = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=40)


def slow_points(score, is_member):
    """One (true positives, false positives) per distinct score, by counting."""
    points = [(0, 0)]
    for threshold in sorted(set(score.tolist()), reverse=True):
        predicted = [value >= threshold for value in score.tolist()]
        hits = sum(p and m for p, m in zip(predicted, is_member.tolist(), strict=True))
        points.append((hits, sum(predicted) - hits))
    return points


@settings(deadline=None)
@given(TIED)
def test_roc_equals_slow_twin(records):
    score, is_member = (np.array(column) for column in zip(*records, strict=True))
    curve = roc(score.astype(float), is_member)
    pairs = zip(curve.true_positives.tolist(), curve.false_positives.tolist(), strict=True)
    assert list(pairs) == slow_points(score, is_member)
    assert (np.diff(curve.thresholds) < 0).all()


def test_roc_equals_scikit_learn():
    generator = np.random.default_rng(0)
    score, is_member = generator.integers(0, 50, 500).astype(float), generator.random(500) < 0.4
    fpr, tpr, thresholds = roc_curve(is_member, score, drop_intermediate=False)
    curve = roc(score, is_member)
    assert np.allclose(curve.fpr, fpr)
    assert np.allclose(curve.tpr, tpr)
    assert np.array_equal(curve.thresholds, thresholds)


def test_roc_ties_are_one_point():
    curve = roc(np.array([9.0, 9, 5, 5]), np.array([True, False, True, False]))
    assert curve.tpr.tolist() == [0, 0.5, 1]
    assert curve.fpr.tolist() == [0, 0.5, 1]


def test_roc_orders_infinite_scores():
    curve = roc(np.array([np.inf, 0.0, -np.inf]), np.array([True, True, False]))
    assert curve.tpr.tolist() == [0, 0.5, 1, 1]


def test_tpr_at_0_1pct_means_one_in_a_thousand():
    """Some tools' TPR@0.1 is at a false-positive rate of 10%."""
    score = np.concatenate([np.linspace(0, 1, 2000), np.full(30, 1.5), np.full(70, 0.95)])
    is_member = np.arange(2100) >= 2000
    metrics, warnings = tpr_at_low_fpr(roc(score, is_member))
    assert metrics["tpr_at_0.1pct_fpr"] == 0.3
    assert metrics["tpr_at_1pct_fpr"] == 0.3
    assert 0 <= metrics["fpr_reached_at_0.1pct"] <= 0.001
    assert 0.009 <= metrics["fpr_reached_at_1pct"] <= 0.01
    assert "tpr_at_0.01pct_fpr" not in metrics
    assert warnings == ("tpr_at_0.01pct_fpr left out: 2,000 non-members x 0.01% is less than one record",)


def test_tpr_is_not_interpolated_and_its_fpr_is_reported():
    """Two non-members share the top score, so the only point within 1% of 100 predicts nobody."""
    score = np.concatenate([np.full(2, 5.0), np.zeros(98), np.full(50, 5.0), np.full(50, -1.0)])
    metrics, _ = tpr_at_low_fpr(roc(score, np.arange(200) >= 100))
    assert metrics["tpr_at_1pct_fpr"] == 0
    assert metrics["fpr_reached_at_1pct"] == 0
    assert metrics["tpr_at_1pct_fpr_high"] > 0


def test_the_interval_at_a_low_rate_takes_the_threshold_as_unknown():
    """By hand: of 1,000 non-members, 4 to 17 lie above the true threshold of 1%."""
    generator = np.random.default_rng(0)
    is_member = np.arange(1500) < 500
    score = generator.normal(size=1500) + 1.5 * is_member
    metrics, _ = tpr_at_low_fpr(roc(score, is_member))
    falling = np.sort(score[~is_member])[::-1]
    value, least, most = (np.mean(score[is_member] > falling[above]) for above in (10, 4, 17))
    least = np.mean(score[is_member] >= falling[3])
    exact = binomtest(int(500 * value), 500).proportion_ci()
    assert (binom.ppf(0.025, 1000, 0.01), binom.ppf(0.975, 1000, 0.01)) == (4, 17)
    assert metrics["tpr_at_1pct_fpr"] == pytest.approx(value)
    assert metrics["tpr_at_1pct_fpr_low"] == pytest.approx(value - np.hypot(value - exact.low, value - least))
    assert metrics["tpr_at_1pct_fpr_high"] == pytest.approx(value + np.hypot(exact.high - value, most - value))


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(("members", "nonmembers"), [(300, 300), (5000, 5000)])
def test_intervals_at_low_rates_cover_the_rate_at_the_true_threshold(members, nonmembers, shift):
    """Where few false positives are allowed they cover too much; the threshold taken as given, 20 to 60 of 100."""
    generator = np.random.default_rng(0)
    is_member = np.arange(members + nonmembers) < members
    covered, given_threshold = dict.fromkeys(FPR_LIMITS, 0), 0
    for _ in range(500):
        metrics, _ = tpr_at_low_fpr(roc(generator.normal(size=len(is_member)) + shift * is_member, is_member))
        for unit, limit in FPR_LIMITS.items():
            name, truth = f"tpr_at_{unit}_fpr", 1 - norm.cdf(norm.isf(limit) - shift)
            if name in metrics:
                covered[unit] += metrics[f"{name}_low"] <= truth <= metrics[f"{name}_high"]
        hits = clopper_pearson(round(metrics["tpr_at_1pct_fpr"] * members), members)
        given_threshold += hits.low <= 1 - norm.cdf(norm.isf(0.01) - shift) <= hits.high
    assert covered["1pct"] >= 465
    if nonmembers == 5000:
        assert covered["1pct"] <= 488
        assert covered["0.1pct"] >= 465
    if shift:
        assert given_threshold < 350


@settings(max_examples=40, deadline=None)
@given(TIED, st.sampled_from([100, 300, 1000]))
def test_tpr_at_low_fpr_equals_slow_twin(records, size):
    """Few members with tied scores among many non-members."""
    members = np.array([value for value, _ in records], dtype=float)
    nonmembers = np.random.default_rng(size).normal(size=size)
    score, is_member = np.concatenate([members, nonmembers]), np.arange(len(members) + size) < len(members)
    metrics, _ = tpr_at_low_fpr(roc(score, is_member))
    thresholds = np.append(score, np.inf)[:, None]
    tpr, fpr = np.mean(members >= thresholds, axis=1), np.mean(nonmembers >= thresholds, axis=1)
    for unit, limit in FPR_LIMITS.items():
        if size * limit >= 1:
            assert metrics[f"tpr_at_{unit}_fpr"] == pytest.approx(tpr[fpr <= limit].max())
        else:
            assert f"tpr_at_{unit}_fpr" not in metrics


def test_hindsight_balanced_accuracy_is_the_best_threshold():
    generator = np.random.default_rng(0)
    score, is_member = generator.normal(size=60), generator.random(60) < 0.5
    best = max((np.mean(score[is_member] >= t) + np.mean(score[~is_member] < t)) / 2 for t in [np.inf, *score])
    assert hindsight_balanced_accuracy(roc(score, is_member)) == pytest.approx(best)


def test_roc_line_joins_ties() -> None:
    fpr, tpr = thinned_roc(np.array([9.0, 9.0, 5.0, 5.0]), np.array([True, False, True, False]))
    assert (fpr.tolist(), tpr.tolist()) == ([0, 0.5, 1], [0, 0.5, 1])


def test_thinned_roc_keeps_points_of_the_exact_curve() -> None:
    rng = np.random.default_rng(0)
    is_member = np.arange(20_000) < 10_000
    score = rng.normal(size=20_000) + is_member
    fpr, tpr = thinned_roc(score, is_member)
    exact = thinned_roc(score, is_member, points=10**9)
    assert len(fpr) < 300
    assert set(zip(fpr, tpr, strict=True)) <= set(zip(*exact, strict=True))
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)


def test_exposed_members_stand_above_all_but_one_percent() -> None:
    score = np.concatenate([np.arange(200.0), [150, 197, 198, 199.5, np.nan]])
    is_member = np.arange(205) >= 200
    assert exposed(score, is_member).tolist() == [False] * 200 + [False, False, True, True, False]
