"""People in place of records: known answers, mixed groups, and intervals that cover where single records' do not."""

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from mia.checks import RequestError
from mia.metrics.auc import auc, auc_difference
from mia.metrics.clusters import effective_trials, fewest_trials
from mia.metrics.evaluation import evaluate
from mia.metrics.groups import group_metrics, group_scores
from mia.records import Scores


def people(generator, number, shift=1.0, shared=0.7):
    """Return scores, membership and owners: half of the people are members, each with 1 to 20 correlated records."""
    groups = np.repeat(np.arange(number), generator.integers(1, 21, number))
    own = np.sqrt(1 - shared) * generator.normal(size=len(groups))
    is_member = groups < number // 2
    return np.sqrt(shared) * generator.normal(size=number)[groups] + own + shift * is_member, is_member, groups


@pytest.mark.parametrize(("how", "of"), [("mean", np.mean), ("sum", np.sum), ("max", np.max)])
def test_group_auc_of_known_answers(how, of):
    generator = np.random.default_rng(0)
    score, is_member, groups = people(generator, 60)
    shuffled = generator.permutation(len(score))
    score, is_member, groups = score[shuffled], is_member[shuffled], groups[shuffled]
    names = np.array([f"person {number:02}" for number in groups])
    metrics, lines = group_metrics(score, is_member, names, how)
    expected = roc_auc_score(np.arange(60) < 30, [of(score[groups == one]) for one in range(60)])
    assert metrics["group_auc"] == pytest.approx(expected, abs=1e-12)
    assert metrics["group_auc_low"] < expected < metrics["group_auc_high"]
    assert metrics["num_groups"] == 60
    assert len(lines) == 3  # 30 groups cannot resolve 1%, .1% or .01%


def test_groups_on_both_sides_are_counted_and_left_out():
    groups = np.array(["a", "a", "b", "b", "c", "d", "d"])
    is_member = np.array([1, 1, 0, 0, 1, 1, 0], bool)
    score = np.array([1.0, np.nan, 3, 4, np.nan, 6, 7])
    found = group_scores(score, is_member, groups)
    assert found.name.tolist() == ["a", "b"]  # c has no score, d is mixed
    assert found.score.tolist() == [1.0, 3.5]
    assert found.is_member.tolist() == [True, False]
    assert found.num_records.tolist() == [1, 2]
    assert found.num_mixed == 1
    metrics, lines = group_metrics(score, is_member, groups)
    assert metrics["num_groups_mixed"] == 1
    assert "1 groups have records in and out" in lines[0]


def test_a_mixed_group_is_mixed_even_if_one_side_was_not_scored():
    found = group_scores(np.array([1.0, np.nan]), np.array([True, False]), np.array([3, 3]))
    assert (len(found.name), found.num_mixed) == (0, 1)


def test_one_kind_of_group_only_is_said():
    metrics, lines = group_metrics(np.arange(4.0), np.ones(4, bool), np.arange(4))
    assert "group_auc" not in metrics
    assert "wholly out of training" in lines[0]


def test_an_unknown_way_to_judge_a_group_is_refused():
    with pytest.raises(RequestError, match=r"audit\.group_score='median'"):
        group_scores(np.zeros(2), np.array([True, False]), np.arange(2), "median")


def test_tpr_over_groups_counts_groups():
    generator = np.random.default_rng(0)
    score, is_member, groups = people(generator, 400, shift=3.0)
    metrics, _ = group_metrics(score, is_member, groups)
    means = np.array([score[groups == one].mean() for one in range(400)])
    third = np.sort(means[200:])[-3]  # two of 200 are 1%
    assert metrics["group_tpr_at_1pct_fpr"] == pytest.approx(np.mean(means[:200] > third))
    assert metrics["group_fpr_reached_at_1pct"] == 0.01


def test_groups_of_one_change_next_to_nothing():
    generator = np.random.default_rng(0)
    is_member = np.arange(600) < 300
    score = generator.normal(size=600) + is_member
    assert auc(score, is_member, groups=generator.permutation(600)) == pytest.approx(auc(score, is_member), abs=2e-4)
    hits = generator.random(400) < 0.3
    assert effective_trials(hits, np.arange(400)).trials == pytest.approx(400, rel=0.02)


def test_records_always_alike_are_worth_their_groups():
    groups = np.repeat(np.arange(50), 8)
    hits = (np.arange(50) % 3 == 0)[groups]
    assert fewest_trials(groups) == 50
    assert effective_trials(hits, groups).trials == pytest.approx(50, rel=0.08)
    assert effective_trials(np.ones(400, bool), groups) == (50, 50)
    score = np.random.default_rng(0).normal(size=50)[groups]
    alone = auc(score[::8], np.arange(50) < 25, groups=np.arange(50))
    assert auc(score, groups < 25, groups=groups) == pytest.approx(alone, abs=1e-9)


def test_groups_that_hold_both_kinds_are_allowed_for():
    """A person's records move the members' and the non-members' placements together, which cancels."""
    generator = np.random.default_rng(0)
    is_member, covered, widths = np.arange(400) % 2 == 0, 0, []
    groups = np.arange(400) // 8
    for _ in range(200):
        score = 2 * generator.normal(size=50)[groups] + generator.normal(size=400)
        _, low, high = auc(score, is_member, groups=groups)
        covered += low <= 0.5 <= high
        widths.append((high - low) / (auc(score, is_member).high - auc(score, is_member).low))
    assert 184 <= covered <= 198
    assert np.mean(widths) < 0.7


def test_evaluation_with_groups_has_the_same_values_and_wider_intervals():
    score, is_member, groups = people(np.random.default_rng(0), 200)
    models = np.ones(len(score), int)
    scores = Scores(score, score > 0.5, models, models)
    alone, grouped = (evaluate(scores, is_member, groups=whose).metrics for whose in (None, groups))
    assert grouped.keys() == alone.keys()
    for name in alone:
        if not name.endswith(("_low", "_high")):
            assert grouped[name] == pytest.approx(alone[name])
    for name in ("auc", "accuracy", "precision", "recall", "balanced_accuracy", "tpr_at_1pct_fpr"):
        widths = [found[f"{name}_high"] - found[f"{name}_low"] for found in (alone, grouped)]
        assert widths[1] > 1.4 * widths[0]


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("number", [60, 300])
def test_record_level_auc_covers_over_people_where_independent_records_do_not(number, shift):
    covered = np.zeros(3)
    for seed in range(600):
        score, is_member, groups = people(np.random.default_rng(seed), number, shift)
        truth = ndtr(shift / np.sqrt(2))
        for place, whose in enumerate((groups, None)):
            _, low, high = auc(score, is_member, groups=whose)
            covered[place] += low <= truth <= high
        other = score + np.random.default_rng([seed, 1]).normal(size=number)[groups]
        _, low, high = auc_difference(score, other, is_member, groups=groups)
        covered[2] += low <= truth - ndtr(shift / 2) <= high
    assert 0.93 <= covered[0] / 600 <= 0.97
    assert covered[1] / 600 < 0.7
    assert covered[2] / 600 >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("number", [60, 300])
def test_record_level_rates_cover_over_people(number):
    """93 of 100 at least; few groups, and accuracy over two unlike sides, cover more."""
    threshold, shift = 1.5, 1.0
    tpr, fpr = 1 - ndtr(threshold - shift), 1 - ndtr(threshold)
    truth = {"recall": tpr, "balanced_accuracy": (1 + tpr - fpr) / 2, "precision_at_prior": tpr / (tpr + fpr)}
    covered = dict.fromkeys(truth, 0)
    for seed in range(500):
        score, is_member, groups = people(np.random.default_rng(seed), number, shift)
        models = np.ones(len(score), int)
        metrics = evaluate(Scores(score, score >= threshold, models, models), is_member, groups=groups).metrics
        for name, value in truth.items():
            covered[name] += metrics[f"{name}_low"] <= value <= metrics[f"{name}_high"]
    assert min(covered.values()) >= 465


@pytest.mark.slow
def test_group_auc_covers():
    covered = 0
    for seed in range(600):
        generator = np.random.default_rng(seed)
        score, is_member, groups = people(generator, 80, 1.0, shared=1.0)
        metrics, _ = group_metrics(score, is_member, groups)
        covered += metrics["group_auc_low"] <= ndtr(np.sqrt(0.5)) <= metrics["group_auc_high"]
    assert 0.93 <= covered / 600 <= 0.97


def test_groups_of_the_same_scores_tie_in_whatever_order_these_come():
    groups, is_member = np.repeat(np.arange(40), 3), np.repeat(np.arange(40) < 20, 3)
    score = np.where(is_member, np.tile([0.1, 0.2, 0.3], 40), np.tile([0.3, 0.2, 0.1], 40))
    for how in ("mean", "sum", "max"):
        assert group_metrics(score, is_member, groups, how)[0]["group_auc"] == 0.5


@pytest.mark.parametrize("how", ["mean", "sum"])
def test_a_group_with_both_infinities_has_no_score_and_one_with_either_has(how):
    score = np.array([np.inf, -np.inf, np.inf, 1.0, -np.inf, 2.0, 3.0, 4.0])
    with np.errstate(invalid="ignore"):
        found = group_scores(score, np.arange(8) < 4, np.repeat(np.arange(4), 2), how)
    assert found.name.tolist() == [1, 2, 3]
    assert found.score[:2].tolist() == [np.inf, -np.inf]
