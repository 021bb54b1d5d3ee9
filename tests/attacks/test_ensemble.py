"""The ensemble: as good as its best, weights that follow from what attacks know, and nothing found in nothing."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import random_signals
from designs import membership
from null_cases import area, null_case, question

from mia.attacks import ATTACKS, run_attack
from mia.attacks.ensemble import AUTO
from mia.attacks.log_odds import SLOPE, fit_log_odds, fit_weights
from mia.checks import RequestError


def run(signals, **options):
    return run_attack("ensemble", signals, ATTACKS["ensemble"].options(**options), 0)


def leaky_case(seed, design, models, effect, records=600):
    """Return signals of models that are surer of what they were trained on, by as much as is the record's own."""
    generator = np.random.default_rng((seed, models))
    labels = generator.integers(0, 3, records).astype(np.int32)
    member = membership(design, models, records, generator)
    logits = generator.normal(size=(models, records, 3))
    own = generator.normal(0, 1.5, records) + effect * generator.gamma(2, 0.5, records) * member
    logits[:, np.arange(records), labels] += own
    return question(member, logits.astype(np.float32), False, labels), member[0]


@pytest.mark.slow
@pytest.mark.parametrize(("design", "models"), [("pairs", 5), ("pairs", 17), ("balanced", 16), ("coins", 12)])
def test_it_is_no_worse_than_the_best_of_its_attacks(design, models):
    together, best = [], []
    for seed in range(3):
        signals, is_member = leaky_case(seed, design, models, effect=2.0)
        scores = run(signals)
        kept = ~np.isnan(scores.score)
        together.append(area(scores.score[kept], is_member[kept]))
        found = []
        for name in AUTO:
            score = run_attack(name, signals, ATTACKS[name].options(), 0).score
            found.append(area(np.nan_to_num(score[kept], nan=-np.inf), is_member[kept]))
        best.append(found)
    assert np.mean(together) > 0.6
    error = np.sqrt(1 / 12 / 300 / 3)  # of a mean of three areas, by a third of what chance allows at most
    assert np.mean(together) > np.mean(best, axis=0).max() - 2 * error


def test_an_attack_that_knows_nothing_weighs_nothing():
    generator = np.random.default_rng(0)
    is_member = np.arange(4000) < 2000
    good, noise = generator.normal(size=(2, 4000))
    good = good + 1.5 * is_member
    said = np.stack([fit_log_odds(one, is_member)(one) for one in (good, noise, -good)], axis=1)
    weights = fit_weights(said, is_member)
    assert 0.85 < weights[0] < 1.2  # log odds by themselves: as they are
    assert (weights >= 0).all()
    assert abs(weights[1] * said[:, 1]).max() < 0.2
    halves = fit_weights(said[:, [0, 0]], is_member)
    np.testing.assert_allclose(halves, halves.mean(), rtol=1e-3)  # two that say the same share
    np.testing.assert_allclose(halves.sum(), weights[0], rtol=0.05)


def test_log_odds_are_those_of_the_counts_and_never_fall():
    score = np.repeat([0.0, 1.0], 50)
    is_member = np.concatenate([np.arange(50) < 10, np.arange(50) < 40])
    odds = fit_log_odds(score, is_member)
    expected = np.log(np.array([10.5 / 40.5, 40.5 / 10.5]))
    np.testing.assert_allclose(odds(np.array([0.0, 1.0])), expected + SLOPE * np.array([0.25, 0.75]))
    assert np.isnan(odds(np.array([np.nan]))[0])
    generator = np.random.default_rng(0)
    score, is_member = generator.normal(size=500), generator.random(500) < 0.5
    assert (np.diff(fit_log_odds(score, is_member)(np.sort(score))) > 0).all()
    moved = fit_log_odds(np.exp(score), is_member)(np.exp(score))
    np.testing.assert_array_equal(moved, fit_log_odds(score, is_member)(score))


@pytest.mark.slow
@pytest.mark.parametrize(("design", "target"), [("pairs", 1), ("balanced", 0)])
@pytest.mark.parametrize("kind", ["alike", "label", "votes", "logits"])
def test_it_finds_nobody_where_nothing_was_learnt(design, target, kind):
    areas, rules = [], []
    for seed in range(6):
        signals, is_member = null_case(seed, design, kind, 7, target, 300)
        scores = run(signals)
        kept = ~np.isnan(scores.score)
        areas.append(area(scores.score[kept], is_member[kept]))
        said = scores.is_predicted[kept]
        rules.append(said[is_member[kept]].mean() - said[~is_member[kept]].mean())
    error = np.sqrt(1 / 3 / 300 / len(areas))
    assert abs(np.mean(areas) - 0.5) < 4.5 * error
    assert abs(np.mean(rules)) < 4.5 * 3.4 * error


def test_constant_models_rank_nobody():
    signals, _ = null_case(0, "pairs", "constant", 9)
    signals.labels[:] = 1
    assert len(set(run(signals).score)) == 1


def test_stand_ins_are_judged_by_weights_that_did_not_see_them_and_the_placebo_is_at_chance():
    signals, is_member = leaky_case(1, "pairs", 13, effect=2.0, records=2000)
    scores = run(signals)
    known = scores.stand_in
    assert abs(area(known.score, known.is_member) - area(scores.score, is_member)) < 0.05
    assert abs(area(scores.placebo, is_member) - 0.5) < 4 * np.sqrt(1 / 12 / 500)
    moved = known.model.copy()
    assert set(moved) <= set(range(1, signals.num_shadows + 1))
    weights = [value for name, value in scores.details.items() if name.startswith("weight_")]
    assert len(weights) == len(AUTO)
    assert min(weights) >= 0


def test_records_that_one_attack_cannot_score_are_left_out_and_counted():
    signals, _ = random_signals(records=400, shadows=12)
    signals.shadow_membership[:, :7] = 1
    signals.shadow_own[:, :7] = True
    scores = run(signals)
    assert "weight_lira_offline" in scores.details  # a few records are no reason to go without it
    assert np.isnan(scores.score[:7]).all()
    unscored = np.count_nonzero(np.isnan(scores.score))
    assert unscored < 20
    assert any(line.startswith(f"{unscored} of 400 records have no score") for line in scores.warnings)


def test_only_some_of_the_attacks():
    signals, _ = random_signals(records=200)
    scores = run(signals, of=["loss", "lira_offline"])
    assert {name for name in scores.details if name.startswith("weight_")} == {"weight_loss", "weight_lira_offline"}
    asked = np.arange(200) < 80
    offline = replace(
        signals,
        shadow_membership=np.where(asked, 0, signals.shadow_membership),
        is_candidate=asked,
        shadow_own=signals.shadow_own & ~asked,
    )
    assert "weight_lira_online" not in run(offline).details
    with pytest.raises(RequestError, match="lira_online needs shadows trained on the target's records"):
        run(offline, of=["loss", "lira_online"])


@pytest.mark.parametrize("of", ["loss", ["loss"], 3, ["loss", "ensemble"], ["loss", "supervised"], ["loss", "bmia"]])
def test_impossible_members(of):
    with pytest.raises(RequestError, match=r"attack\.ensemble\.of"):
        ATTACKS["ensemble"].options(of=of)


def test_it_needs_a_shadow_that_can_stand_in():
    signals, _ = random_signals(shadows=1)
    with pytest.raises(RequestError, match="needs two attacks that shadows in the target's place"):
        run(signals, of=["calibration", "base_offline"])
