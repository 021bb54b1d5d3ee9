"""Rules learnt from the shadows: best balanced accuracy, per class, with stand-ins, never from the target."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import COMPARING, EVERY, random_signals, two_class_signals
from attack_twins import best_balanced_accuracy
from hypothesis import given
from hypothesis import strategies as st

from mia.attacks import run_attack
from mia.attacks.confidence import ConfidenceOptions
from mia.attacks.per_record import learn_from_stand_ins
from mia.attacks.thresholds import best_threshold, learn_thresholds


def balanced_accuracy(predicted, is_member):
    return (predicted[is_member].mean() + (~predicted[~is_member]).mean()) / 2


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30))
def test_threshold_is_the_best_of_all(pairs):
    score, is_member = np.array([float(s) for s, _ in pairs]), np.array([m for _, m in pairs])
    if is_member.all() or not is_member.any():
        return
    threshold = best_threshold(score, is_member)
    found = balanced_accuracy(score >= threshold, is_member)
    assert threshold in score
    assert found == pytest.approx(max(best_balanced_accuracy(score.tolist(), is_member.tolist()), 0.5))


def test_ties_are_never_split():
    # Of four tied scores half are members: a threshold between them does not exist.
    score, is_member = np.array([5.0, 5, 5, 5, 1, 1]), np.array([True, True, False, False, False, False])
    assert best_threshold(score, is_member) == 5
    assert balanced_accuracy(score >= 5, is_member) == 0.75


def test_highest_of_several_as_good():
    assert best_threshold(np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])) == 4


def test_a_class_learns_from_itself():
    score = np.array([9.0, 8, 2, 1, 0.9, 0.8, 0.2, 0.1])
    is_member = np.array([True, True, False, False] * 2)
    labels = np.repeat([0, 1], 4)
    learnt = learn_thresholds(score, is_member, labels, 2)
    assert learnt.values.tolist() == [8, 0.8]
    assert learnt.predict(np.array([0.9, 0.9, np.nan]), np.array([0, 1, 1])).tolist() == [False, True, False]
    assert learnt.details() == {"threshold_class_0": 8, "threshold_class_1": 0.8}


def test_a_class_missing_from_the_shadows_uses_the_threshold_of_all_and_says_so():
    signals, _ = random_signals(classes=3)
    own = signals.shadow_own & (signals.labels != 2)
    scores = run_attack("confidence", replace(signals, shadow_own=own), EVERY["confidence"], 0)
    pooled = run_attack("confidence", replace(signals, shadow_own=own), ConfidenceOptions(per_class=False), 0)
    assert any("lack members or non-members of class 2" in line for line in scores.warnings)
    assert scores.details["threshold_class_2"] == pooled.details["threshold"]


@pytest.mark.parametrize("name", EVERY)
def test_a_leaking_target_is_found_out(name):
    signals, is_member = random_signals(records=400, effect=4.0, shadows=16)
    scores = run_attack(name, signals, EVERY[name], 0)
    accuracy = np.mean(scores.is_predicted == is_member)
    assert accuracy > (0.7 if name in COMPARING else 0.55)
    assert scores.score[is_member].mean() > scores.score[~is_member].mean()


@pytest.mark.parametrize("name", EVERY)
def test_a_target_that_leaks_nothing_gives_chance(name):
    signals, is_member = random_signals(records=1000, effect=0.0, seed=5)
    scores = run_attack(name, signals, EVERY[name], 0)
    assert abs(np.mean(scores.is_predicted == is_member) - 0.5) < 0.06  # nearly four standard errors


@pytest.mark.parametrize("name", COMPARING)
def test_threshold_does_not_depend_on_the_target(name):
    signals, _ = random_signals()
    other = replace(signals, target_outputs=signals.target_outputs[::-1].copy())
    assert (
        run_attack(name, signals, EVERY[name], 0).details["threshold"]
        == run_attack(name, other, EVERY[name], 0).details["threshold"]
    )


def test_a_stand_in_is_not_among_its_own_shadows():
    signals, _ = random_signals(shadows=6)
    asked = []

    def score(row, membership):
        asked.append(row)
        assert (membership[row - 1] == -1).all()
        assert (np.delete(membership, row - 1, 0) == np.delete(signals.shadow_membership, row - 1, 0)).all()
        return np.arange(60.0)

    assert learn_from_stand_ins(signals, score, 0)[1] == 4
    assert asked == [1, 2, 3, 4]


def test_too_few_shadows_to_stand_in():
    # Two complementary shadows: what one has seen the other has not, so no stand-in has both kinds to learn from.
    signals, _ = random_signals(shadows=1)
    both = np.concatenate([signals.shadow_membership, 1 - signals.shadow_membership])
    signals = replace(
        signals,
        shadow_membership=both,
        shadow_own=both >= 0,
        shadow_outputs=np.repeat(signals.shadow_outputs, 2, 0),
        population_outputs=np.repeat(signals.population_outputs, [2, 1], 0),
    )
    for name in ("calibration", "rmia_online", "rmia_offline"):
        scores = run_attack(name, signals, EVERY[name], 0)
        assert scores.is_predicted is None
        assert any("too few to learn a threshold" in line for line in scores.warnings)


def test_lira_online_falls_back_on_equal_likelihood():
    signals = two_class_signals([4.0, 0.0], [[4, 4], [5, 5], [0, 0], [1, 1]], [[1, 1], [1, 1], [0, 0], [0, 0]])
    scores = run_attack("lira_online", signals, EVERY["lira_online"], 0)
    assert scores.is_predicted.tolist() == [True, False]
    assert any("the threshold is 0" in line for line in scores.warnings)


def test_without_shadows_scores_have_no_rule():
    signals, _ = random_signals(shadows=0)
    for name in ("loss", "confidence", "entropy", "modified_entropy"):
        scores = run_attack(name, signals, EVERY[name], 0)
        assert scores.is_predicted is None
        assert any("calibrated on nothing" in line for line in scores.warnings)
    assert run_attack("gap", signals, EVERY["gap"], 0).is_predicted is not None
