import math

import numpy as np
import pytest
from report_fakes import fetch_file, run_of

from mia.metrics.auc import auc
from mia.metrics.estimates import Estimate, best_difference, mean_of_intervals, of_mean
from mia.metrics.rates import Estimate as Interval
from mia.study.frame import read_study
from mia.study.sentences import change_words, price_words, slope_words

UTILITY, AUC = "target/test_accuracy", "attack/gap/auc"


def test_the_interval_of_the_mean_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    found = [of_mean(list(rng.normal(0.6, 0.03, 3))) for _ in range(2000)]
    held = np.mean([one.low <= 0.6 <= one.high for one in found])
    assert 0.935 < held < 0.965


def test_an_interval_of_shares_stays_within_them() -> None:
    estimate = of_mean([0.9, 1.0])
    assert (estimate.high, estimate.low) == (1.0, pytest.approx(0.95 - 12.706 * 0.05, abs=1e-3))


def test_paired_intervals_stay_as_long_on_each_side_as_they_were() -> None:
    one = mean_of_intervals([Interval(-0.1, -0.4, -0.05)])
    assert (one.value, one.low, one.high) == (-0.1, pytest.approx(-0.4), pytest.approx(-0.05))
    two = mean_of_intervals([Interval(-0.1, -0.4, -0.05), Interval(-0.2, -0.6, -0.1)])
    assert two.value == pytest.approx(-0.15)
    assert two.value - two.low == pytest.approx(math.hypot(0.3, 0.4) / 2)
    assert two.high - two.value == pytest.approx(math.hypot(0.05, 0.1) / 2)
    assert two.deviation == pytest.approx(np.std([-0.1, -0.2], ddof=1))


def test_one_candidate_is_not_widened_and_more_are() -> None:
    best, plain = Estimate(0.6, 0.55, 0.66), Estimate(0.8, 0.75, 0.84)
    alone = best_difference(best, plain, 1)
    assert alone.value == pytest.approx(-0.2)
    assert alone.value - alone.low == pytest.approx(math.hypot(0.05, 0.04))
    assert alone.high - alone.value == pytest.approx(math.hypot(0.06, 0.05))
    assert best_difference(best, plain, 20).high > alone.high


def auc_metrics(rng, shift):
    member = np.arange(400) < 200
    found = auc(rng.normal(size=400) + shift * member, member)
    return {UTILITY: 0.5, **found.named(AUC)}


def test_the_best_of_many_that_do_nothing_is_seldom_praised() -> None:
    """Twenty defences without effect: the lowest of them lies below the baseline's interval most of the time."""
    rng = np.random.default_rng(1)
    praised = naive = 0
    for _ in range(60):
        runs = [run_of(f"{k}", train__dropout=k / 100, metrics=auc_metrics(rng, 0.5)) for k in range(21)]
        study = read_study(runs, fetch_file)
        praised += bool(price_words(study, "gap"))
        best = min(study.finished[1:], key=lambda k: study.estimate(k, AUC).value)
        naive += study.estimate(best, AUC).high < study.estimate(0, AUC).value
    assert praised <= 6
    assert naive > praised


def test_the_sentence_names_the_cheapest_defence_with_the_interval_of_its_gain() -> None:
    found = {0.0: (0.80, 0.50), 0.1: (0.70, 0.495), 0.2: (0.60, 0.40)}
    runs = [
        run_of(str(d), train__dropout=d, metrics={AUC: m, f"{AUC}_low": m - 0.02, f"{AUC}_high": m + 0.02, UTILITY: u})
        for d, (m, u) in found.items()
    ]
    words = price_words(read_study(runs, fetch_file), "gap")
    half = math.hypot(0.02, 0.02) * 2.2414 / 1.95996  # 1 - 5% / 2 candidates
    assert f"dropout 0.1 (-0.100, {-0.1 - half:+.3f} to {-0.1 + half:+.3f})" in words
    unsure = [
        run_of(str(d), train__dropout=d, metrics={AUC: m, f"{AUC}_low": m - 0.2, f"{AUC}_high": m + 0.2, UTILITY: u})
        for d, (m, u) in found.items()
    ]
    assert price_words(read_study(unsure, fetch_file), "gap") == ""


def test_the_slope_over_sizes_is_told_with_its_interval() -> None:
    runs = [
        run_of(str(n), split__size=n, metrics={
            "attack/gap/tpr_at_1pct_fpr": 0.01 + 0.4 * (n / 1000) ** -0.5 * factor,
            "attack/gap/fpr_reached_at_1pct": 0.01,
        })
        for n, factor in ((1000, 1.02), (2000, 0.98), (4000, 1.01), (8000, 0.99))
    ]  # fmt: skip
    words = slope_words(read_study(runs, fetch_file))
    assert "gap -0.50 (-0.5" in words or "gap -0.51 (-0.5" in words
    assert "at 1% FPR" in words
    assert slope_words(read_study(runs[:2], fetch_file)) == ""


def test_what_changed_most_needs_intervals_that_are_apart() -> None:
    def runs(half):
        return [run_of(str(d), train__dropout=d, metrics={AUC: m, f"{AUC}_low": m - half, f"{AUC}_high": m + half})
                for d, m in ((0.0, 0.8), (0.5, 0.6))]  # fmt: skip

    assert "0.800 (no defence) to 0.600 (dropout 0.5)" in change_words(read_study(runs(0.01), fetch_file))
    assert "no two settings" in change_words(read_study(runs(0.2), fetch_file))
