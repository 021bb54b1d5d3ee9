"""Scores against slow twins: logits and probabilities, few models, unused records, other numbers of classes."""

from dataclasses import replace

import attack_twins as twins
import numpy as np
import pytest
from attack_cases import EVERY, random_signals
from null_cases import area

from mia.attacks import run_attack
from mia.attacks.base import BaseOfflineOptions, BaseOnlineOptions
from mia.attacks.lira import LiraOfflineOptions, LiraOnlineOptions
from mia.attacks.pmia import PmiaOptions
from mia.attacks.rmia import A_GRID, RmiaOfflineOptions, RmiaOnlineOptions
from mia.checks import RequestError

CASES = {
    "logits": {},
    "probabilities": {"probability": True},
    "unused": {"unused": 0.3},
    "few": {"shadows": 4, "unused": 0.2},
    "two classes": {"classes": 2, "seed": 3},
    "many classes": {"classes": 30, "probability": True, "unused": 0.1},
    "large logits": {"effect": 12.0},
}


@pytest.fixture(params=CASES, name="signals")
def _signals(request):
    return random_signals(**CASES[request.param])[0]


def agree(score, expected):
    expected = np.array(expected)
    assert (np.isnan(score) == np.isnan(expected)).all()
    np.testing.assert_allclose(score, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "statistic"),
    [
        ("loss", twins.log_confidence),
        ("confidence", twins.confidence),
        ("entropy", twins.minus_entropy),
        ("modified_entropy", twins.minus_modified_entropy),
    ],
)
def test_statistics(signals, name, statistic):
    agree(run_attack(name, signals, EVERY[name], 0).score, twins.answers(signals, statistic, -1))


def test_gap_is_one_for_the_correct(signals):
    correct = [np.argmax(row) == label for row, label in zip(signals.target_outputs, signals.labels, strict=True)]
    scores = run_attack("gap", signals, EVERY["gap"], 0)
    assert scores.score.tolist() == [float(value) for value in correct]
    assert scores.is_predicted.tolist() == correct


def test_calibration(signals):
    agree(run_attack("calibration", signals, EVERY["calibration"], 0).score, twins.calibration(signals))


@pytest.mark.parametrize("variance", ["per_record", "global"])
@pytest.mark.parametrize("location", ["mean", "median"])
def test_lira(signals, variance, location):
    online = run_attack("lira_online", signals, LiraOnlineOptions(variance, location), 0)
    agree(online.score, twins.lira(signals, variance, location, "online"))
    for form in ("density", "one_sided"):
        offline = run_attack("lira_offline", signals, LiraOfflineOptions(variance, location, form), 0)
        expected = np.array(twins.lira(signals, variance, location, "density" if form == "density" else "one_sided"))
        agree(offline.score, expected)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_base(signals, temperature):
    agree(run_attack("base_online", signals, BaseOnlineOptions(temperature), 0).score, twins.base(signals, temperature))
    offline = run_attack("base_offline", signals, BaseOfflineOptions(temperature, 0.5), 0).score
    agree(offline, twins.base(signals, temperature, 0.5))


@pytest.mark.parametrize("location", ["mean", "median"])
def test_pmia(signals, location):
    agree(run_attack("pmia", signals, PmiaOptions(location=location), 0).score, twins.pmia(signals, location))


def test_pmia_tells_members_that_no_shadow_saw():
    """Under `disjoint`, classes that are learnt differently well, and no shadow that was trained on a candidate."""
    signals, is_member = random_signals(records=2000, shadows=6, effect=4.0, seed=1)
    is_candidate = np.arange(2000) < 1000
    disjoint = replace(
        signals,
        is_candidate=is_candidate,
        shadow_membership=np.where(is_candidate, 0, signals.shadow_membership).astype(np.int8),
        shadow_own=signals.shadow_own & ~is_candidate,
    )
    scores = run_attack("pmia", disjoint, PmiaOptions("moderated"), 0)
    assert area(scores.score, is_member[is_candidate]) > 0.75
    assert (scores.is_predicted == is_member[is_candidate]).mean() > 0.65
    alone = replace(disjoint, shadow_membership=np.zeros_like(disjoint.shadow_membership))
    with pytest.raises(RequestError, match="attack=pmia needs records that shadows were trained on"):
        run_attack("pmia", alone, PmiaOptions(), 0)


def test_a_class_that_shadows_never_learnt_is_left_out_and_said():
    signals, _ = random_signals(unused=0.1)
    membership = np.where((signals.labels == 2) & (signals.shadow_membership == 1), -1, signals.shadow_membership)
    scores = run_attack("pmia", replace(signals, shadow_membership=membership), PmiaOptions(), 0)
    assert np.isnan(scores.score[signals.labels == 2]).all()
    assert any("shadows were trained on no record of class 2" in line for line in scores.warnings)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_rmia(signals, gamma):
    agree(run_attack("rmia_online", signals, RmiaOnlineOptions(gamma), 0).score, twins.rmia(signals, gamma))
    offline = run_attack("rmia_offline", signals, RmiaOfflineOptions(gamma, 0.7), 0)
    agree(offline.score, twins.rmia(signals, gamma, 0.7))


def test_a_is_chosen_where_stand_ins_are_told_best():
    signals, _ = random_signals(records=1000, shadows=8, effect=3.0, seed=2)
    auto = run_attack("rmia_offline", signals, RmiaOfflineOptions(a="auto"), 0)
    chosen = auto.details["a"]
    np.testing.assert_array_equal(
        auto.score, run_attack("rmia_offline", signals, RmiaOfflineOptions(a=chosen), 0).score
    )
    reach = {a: [] for a in A_GRID}
    for row in range(1, 9):  # each shadow in the target's place, the other seven behind it
        others = [other for other in range(8) if other != row - 1]
        stand_in = replace(
            signals,
            target_outputs=signals.shadow_outputs[row - 1],
            shadow_outputs=signals.shadow_outputs[others],
            shadow_membership=signals.shadow_membership[others],
            shadow_own=signals.shadow_own[others],
            population_outputs=signals.population_outputs[[*others, row - 1]],
        )
        inside = signals.shadow_membership[row - 1] == 1
        for a in A_GRID:
            score = run_attack("rmia_offline", stand_in, RmiaOfflineOptions(a=a), 0).score
            known = ~np.isnan(score)
            reach[a].append(area(score[known], inside[known]))
    # The target's own answers are among the population's means of `signals`, and not of `stand_in`.
    means = {a: np.mean(each) for a, each in reach.items()}
    assert means[chosen] > max(means.values()) - 0.002
    other_target = replace(signals, target_outputs=signals.target_outputs[::-1].copy())
    assert run_attack("rmia_offline", other_target, RmiaOfflineOptions(a="auto"), 0).details["a"] == chosen


def test_a_is_the_papers_where_no_shadow_can_stand_in():
    signals, _ = random_signals(shadows=1)
    signals = replace(signals, shadow_membership=np.zeros_like(signals.shadow_membership))
    auto = run_attack("rmia_offline", signals, RmiaOfflineOptions(a="auto"), 0)
    assert auto.details["a"] == 0.3
    assert any("no shadow to choose attack.rmia_offline.a by: it is 0.3" in line for line in auto.warnings)


def test_counts_of_models_stand_behind_every_score():
    signals, _ = random_signals(unused=0.3)
    asked = np.flatnonzero(np.arange(60) % 3)
    signals = replace(signals, is_candidate=np.isin(np.arange(60), asked))
    scores = run_attack("lira_online", signals, EVERY["lira_online"], 0)
    for position, record in enumerate(asked):
        assert scores.num_in[position] == sum(signals.shadow_membership[:, record] == 1)
        assert scores.num_out[position] == sum(signals.shadow_membership[:, record] == 0)
    offline = run_attack("lira_offline", signals, EVERY["lira_offline"], 0)
    assert not offline.num_in.any()
    assert (offline.num_out == scores.num_out).all()
    assert not run_attack("loss", signals, EVERY["loss"], 0).num_out.any()


def test_variance_by_the_papers_rule_is_one_for_all_below_64_shadows():
    for shadows, variance in ((63, "global"), (64, "per_record")):
        signals, _ = random_signals(records=20, shadows=shadows)
        for name in ("lira_online", "lira_offline"):
            assert run_attack(name, signals, EVERY[name], 0).details["variance"] == "moderated"
            auto = run_attack(name, signals, replace(EVERY[name], variance="auto"), 0)
            named = run_attack(name, signals, replace(EVERY[name], variance=variance), 0)
            assert auto.details["variance"] == variance
            np.testing.assert_array_equal(auto.score, named.score)


def test_extreme_logits_keep_their_digits():
    signals, _ = random_signals(records=4, shadows=4, classes=3, population=5)
    outputs = np.array([[800.0, 0, 0], [0, 800, 0], [0, 0, 50], [40, 0, -40]], np.float32)
    signals = replace(signals, target_outputs=outputs, labels=np.array([0, 0, 2, 0], np.int32))
    loss = run_attack("loss", signals, EVERY["loss"], 0).score
    np.testing.assert_allclose(loss, [0, -800, -2 * np.exp(-50), -np.exp(-40)], rtol=1e-12)
    modified = run_attack("modified_entropy", signals, EVERY["modified_entropy"], 0).score
    assert np.isfinite(modified).all()
    assert modified[1] < modified[3] <= 0


def test_population_defaults_to_records_outside_the_question():
    signals, _ = random_signals(records=260, seed=4)
    beside = replace(
        signals, population_outputs=None, population_labels=None, is_candidate=np.arange(len(signals.labels)) < 100
    )
    scores = run_attack("rmia_offline", beside, EVERY["rmia_offline"], 0)
    assert not any("population" in line for line in scores.warnings)
    ratio = {}
    for record, value in enumerate(twins.answers(signals, twins.confidence, -1)):
        out = [
            twins.confidence(signals.shadow_outputs[model, record], signals.labels[record], False, 0)
            for model in range(8)
            if signals.shadow_membership[model, record] == 0
        ]
        if out:
            ratio[record] = value / ((1.3 * np.mean(out) + 0.7) / 2)
    others = [ratio[record] for record in range(100, 260) if record in ratio]
    for record in range(100):
        if record in ratio:
            assert scores.score[record] == pytest.approx(np.mean([ratio[record] / z >= 1 for z in others]))


def test_candidates_stand_in_for_a_population_with_a_warning():
    signals, _ = random_signals()
    alone = replace(signals, population_outputs=None, population_labels=None)
    for name in ("rmia_online", "rmia_offline"):
        scores = run_attack(name, alone, EVERY[name], 0)
        assert any("the candidates themselves" in line for line in scores.warnings)
        assert np.nanmin(scores.score) > 0  # every record dominates itself


def test_a_stand_in_has_not_seen_its_population_either():
    # Otherwise its members, high in the population, would lift the threshold above what the target's members reach.
    signals, is_member = random_signals(records=2000, shadows=6, effect=6.0, seed=1)
    is_candidate = is_member | (np.arange(2000) < 1000)
    membership = np.where(is_candidate, 0, signals.shadow_membership).astype(np.int8)
    disjoint = replace(
        signals,
        population_outputs=None,
        population_labels=None,
        is_candidate=is_candidate,
        shadow_membership=membership,
        shadow_own=signals.shadow_own & ~is_candidate,
    )
    scores = run_attack("rmia_offline", disjoint, EVERY["rmia_offline"], 0)
    is_member = is_member[is_candidate]

    def balanced_accuracy(predicted):
        return (predicted[is_member].mean() + (~predicted[~is_member]).mean()) / 2

    best = max(balanced_accuracy(scores.score >= threshold) for threshold in np.unique(scores.score))
    assert balanced_accuracy(scores.is_predicted) > best - 0.03
