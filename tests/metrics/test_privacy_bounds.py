"""Bounds on epsilon: the published numbers, silence where nothing leaks, never above the truth, loud where it leaks."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import beta, norm

from mia.checks import RequestError
from mia.metrics.decision import Confusion
from mia.metrics.privacy_bounds import (
    audit_privacy,
    bayesian_epsilon,
    hull,
    learn_on_half,
    mu_lower_bound,
    why_no_bound,
)
from mia.metrics.roc import roc

KINDS = ("epsilon_one_run", "epsilon_one_run_fdp", "epsilon_clopper_pearson", "mu_gdp")
QUANTILES = ndtri((np.arange(10_000) + 0.5) / 10_000)


def coins(generator, number):
    return generator.random(number) < 0.5


@pytest.mark.parametrize(
    ("shift", "one_run", "fdp"), [(1, 1.13346, 2.164749), (2, 2.311945, 4.7218075), (4, 4.395568, 9.133752)]
)
def test_normal_quantiles_give_the_published_bounds(shift, one_run, fdp):
    score, is_member = np.concatenate([QUANTILES + shift, QUANTILES]), np.arange(20_000) < 10_000
    found = audit_privacy({"a": score}, is_member, delta=1e-6)
    assert found["attack/a/epsilon_one_run"] == pytest.approx(one_run, abs=2e-5)
    assert found["attack/a/epsilon_one_run_fdp"] == pytest.approx(fdp, abs=2e-5)
    assert found["privacy/epsilon_lower_bound"] == found["attack/a/epsilon_one_run"]
    assert 0.85 * shift < found["attack/a/mu_gdp"] < shift


def test_bounds_are_those_of_jax_privacy_where_thresholds_are_many():
    from jax_privacy.auditing import CanaryScoreAuditor

    generator = np.random.default_rng(0)
    is_member = coins(generator, 3000)
    score = generator.normal(size=3000) + 2 * is_member
    auditor = CanaryScoreAuditor(score[is_member], score[~is_member])
    found = audit_privacy({"a": score}, is_member, delta=1e-5)
    hits, alarms = hull(score, is_member)
    assert len(hits) == len(auditor._fn_counts) > 2 * np.log2(3000)
    assert alarms[-1] == (~is_member).sum()
    assert found["attack/a/epsilon_one_run"] == pytest.approx(auditor.epsilon_one_run(0.05, 1e-5))
    assert found["attack/a/epsilon_clopper_pearson"] == pytest.approx(auditor.epsilon_clopper_pearson(0.05, 1e-5))


def test_corners_are_those_no_line_passes_over():
    generator = np.random.default_rng(1)
    is_member = coins(generator, 40)
    score = np.round(generator.normal(size=40) + is_member, 1)
    hits, alarms = hull(score, is_member)
    slopes = np.diff(hits) / np.maximum(np.diff(alarms), 1e-9)
    assert (np.diff(slopes) < 0).all()
    curve = roc(score, is_member)
    assert (np.interp(curve.false_positives, alarms, hits) >= curve.true_positives - 1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("number", [60, 1000])
def test_attacks_that_know_nothing_are_positive_for_five_of_a_hundred_at_most(number):
    positive = dict.fromkeys(KINDS, 0)
    for seed in range(300):
        generator = np.random.default_rng(seed)
        is_member = coins(generator, number)
        found = audit_privacy({"a": generator.normal(size=number)}, is_member, delta=1e-5)
        for kind in KINDS:
            positive[kind] += found[f"attack/a/{kind}"] > 0
    assert max(positive.values()) <= 22  # binomial(300, .05) exceeds it twice in a hundred


@pytest.mark.slow
def test_the_best_of_many_attacks_that_know_nothing_is_chosen_validly():
    best = naive = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        is_member = coins(generator, 300)
        found = audit_privacy({str(k): generator.normal(size=300) for k in range(12)}, is_member, delta=0.0)
        best += found["privacy/epsilon_lower_bound"] > 0
        naive += max(found[f"attack/{k}/epsilon_one_run"] for k in range(12)) > 0
    assert best <= 10
    assert best < naive


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
@pytest.mark.parametrize("threshold", ["bonferroni", "split"])
def test_no_bound_exceeds_the_epsilon_of_a_mechanism_that_has_one(epsilon, threshold):
    """Randomised response, and Laplace's mechanism on membership: exactly epsilon-DP, canaries independent."""
    above = dict.fromkeys(("epsilon_one_run", "epsilon_clopper_pearson"), 0)
    for seed in range(100):
        generator = np.random.default_rng(seed)
        is_member = coins(generator, 1000)
        answers = {
            "response": (is_member ^ (generator.random(1000) > 1 / (1 + np.exp(-epsilon)))).astype(float),
            "laplace": is_member + generator.laplace(size=1000) / epsilon,
        }
        found = audit_privacy(answers, is_member, delta=0.0, seed=seed, threshold=threshold)
        for kind in above:
            above[kind] += sum(found[f"attack/{name}/{kind}"] > epsilon for name in answers)
    assert max(above.values()) <= 17  # of 200, at 5%: two standard errors above ten


@pytest.mark.slow
@pytest.mark.parametrize("mu", [0.5, 2.0])
def test_no_bound_exceeds_the_epsilon_of_the_gaussian_mechanism(mu):
    """Here all four apply, the f-DP form too, which Laplace's mechanism would break."""
    delta = 1e-5
    epsilon = brentq(lambda e: ndtr(-e / mu + mu / 2) - np.exp(e) * ndtr(-e / mu - mu / 2) - delta, 0, 50)
    truth = dict.fromkeys(KINDS[:3], epsilon) | {"mu_gdp": mu}
    above = dict.fromkeys(KINDS, 0)
    for seed in range(100):
        generator = np.random.default_rng(seed)
        is_member = coins(generator, 1000)
        found = audit_privacy({"a": generator.normal(size=1000) + mu * is_member}, is_member, delta=delta)
        for kind in KINDS:
            above[kind] += found[f"attack/a/{kind}"] > truth[kind]
    assert max(above.values()) <= 10


def test_mu_is_below_that_of_a_gaussian_mechanism_and_near_it():
    for mu in (0.5, 2.0):
        generator = np.random.default_rng(int(10 * mu))
        is_member = coins(generator, 20_000)
        hits, alarms = hull(generator.normal(size=20_000) + mu * is_member, is_member)
        assert 0.8 * mu < mu_lower_bound(hits, alarms, 0.05) < mu


def test_mu_is_the_clamped_formula():
    """An attack the wrong way round is no evidence: an absolute value once made it one."""
    hits, alarms = np.array([0, 60, 100]), np.array([0, 20, 100])
    each = 0.05 / 6
    expected = norm.isf(beta.ppf(1 - each, 21, 80)) - norm.ppf(beta.ppf(1 - each, 41, 60))
    assert mu_lower_bound(hits, alarms, 0.05) == pytest.approx(expected)
    assert mu_lower_bound(alarms, hits, 0.05) == 0


def test_bayesian_interval_is_the_published_one():
    found = bayesian_epsilon(Confusion(487, 487, 512, 513), delta=1e-5, confidence=0.9)
    assert (found.low, found.high) == pytest.approx((0.145, 6.399), abs=0.02)


@pytest.mark.parametrize("counts", [(60, 100, 30, 90), (0, 40, 0, 50), (40, 40, 0, 50), (5, 40, 45, 50)])
def test_bayesian_interval_equals_many_draws(counts):
    hits, members, alarms, nonmembers = counts
    generator = np.random.default_rng(0)
    fnr = generator.beta(members - hits + 0.5, hits + 0.5, 400_000)
    fpr = generator.beta(alarms + 0.5, nonmembers - alarms + 0.5, 400_000)
    d = 1e-3
    ratios = ((1 - d - fnr) / fpr, (1 - d - fpr) / fnr, (fnr - d) / (1 - fpr), (fpr - d) / (1 - fnr))
    epsilon = np.max([np.log(np.maximum(ratio, 1e-300)) for ratio in ratios], axis=0)
    expected = np.quantile(np.maximum(epsilon, 0), [0.5, 0.025, 0.975])
    assert bayesian_epsilon(Confusion(*counts), delta=d) == pytest.approx(expected, abs=0.03, rel=0.02)


def test_absent_and_infinite_scores_have_their_place():
    generator = np.random.default_rng(0)
    is_member = coins(generator, 800)
    score = generator.normal(size=800) + 3 * is_member
    extreme = np.where(score > 4, np.inf, np.where(score < -2, -np.inf, score))
    plain = audit_privacy({"a": np.clip(score, -2, 4.001)}, is_member, delta=1e-5)
    assert audit_privacy({"a": extreme}, is_member, delta=1e-5) == pytest.approx(plain)
    absent = audit_privacy({"a": np.where(score < 0, np.nan, score)}, is_member, delta=1e-5)
    lowest = audit_privacy({"a": np.where(score < 0, -9.0, score)}, is_member, delta=1e-5)
    assert absent == lowest
    assert absent["attack/a/epsilon_one_run"] > 0


def test_the_bounds_fall_with_confidence_and_delta():
    generator = np.random.default_rng(0)
    is_member = coins(generator, 1000)
    scores = {"a": generator.normal(size=1000) + 2 * is_member}
    usual = audit_privacy(scores, is_member, delta=1e-5)
    surer = audit_privacy(scores, is_member, delta=1e-5, confidence=0.98)
    laxer = audit_privacy(scores, is_member, delta=1e-4)
    for kind in KINDS:
        assert 0 < surer[f"attack/a/{kind}"] < usual[f"attack/a/{kind}"]
    for kind in KINDS[:3]:
        assert laxer[f"attack/a/{kind}"] < usual[f"attack/a/{kind}"]
    assert "attack/a/epsilon_one_run_fdp" not in audit_privacy(scores, is_member, delta=0.0)


def test_what_was_not_drawn_by_fair_coins_is_refused():
    """A guess of "all in" is right nine times of ten where nine of ten are members: that is no leak."""
    is_member = np.arange(1000) < 900
    assert "900 of 1,000" in why_no_bound(is_member)
    with pytest.raises(RequestError, match="fair coins"):
        audit_privacy({"a": np.zeros(1000)}, is_member, delta=1e-5)
    assert why_no_bound(np.arange(1000) < 560) is None
    assert why_no_bound(np.zeros(0, bool)) is None
    assert audit_privacy({"a": np.zeros(3)}, np.ones(3, bool), delta=1e-5) == {}


@pytest.mark.parametrize("wrong", [{"delta": 1.0}, {"confidence": 0.4}, {"threshold": "best"}])
def test_impossible_requests_are_named(wrong):
    with pytest.raises(RequestError, match=f"{next(iter(wrong))}="):
        audit_privacy({"a": np.zeros(4)}, np.arange(4) < 2, **({"delta": 1e-5} | wrong))


def test_a_rule_is_learnt_on_one_half_and_counted_on_the_other():
    """Chosen on the records it is judged by, a rule on noise would seem to find members."""
    gains = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        is_member = coins(generator, 200)
        counts = learn_on_half(generator.normal(size=200), is_member, seed)
        assert counts.num_records == 100
        gains.append(counts.true_positives / counts.num_members - counts.false_positives / counts.num_nonmembers)
    assert abs(np.mean(gains)) < 4 * np.std(gains) / np.sqrt(len(gains))
    is_member = coins(np.random.default_rng(0), 400)
    perfect = learn_on_half(np.where(is_member, 1.0, np.nan), is_member, 0)
    assert (perfect.true_positives, perfect.false_positives) == (perfect.num_members, 0)
    assert learn_on_half(np.zeros(3), np.array([True, False, False]), 0) is None


def test_people_whose_records_share_a_coin_have_no_bound_and_those_whose_do_not_may():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    shared = generator.integers(0, 2, 40).astype(bool)[groups]
    assert "all records of 40 people with several are in or out together" in why_no_bound(shared, groups)
    alone = generator.integers(0, 2, 400).astype(bool)
    assert why_no_bound(alone, groups) is None
    assert why_no_bound(alone, np.arange(400)) is None
    pairs = np.arange(400) // 2  # of which coins for each record leave half whole
    assert why_no_bound(alone, pairs) is None
    assert why_no_bound(np.where(pairs < 100, alone[pairs], alone), pairs) is not None
