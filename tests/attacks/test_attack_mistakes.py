"""Mistakes that attack tools made: each has a test that ours does not."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import EVERY, random_signals, two_class_signals

from mia.attacks import run_attack


def area(score, is_member):
    """Share of member and non-member pairs in the right order, ties half."""
    differences = np.sign(score[is_member][:, None] - score[~is_member][None])
    return (differences.mean() + 1) / 2


@pytest.mark.parametrize("name", EVERY)
def test_loss_attack_has_the_right_sign(name):
    # Some published loss attack reached an AUC of .108 where .892 is right.
    signals, is_member = random_signals(records=400, effect=5.0, shadows=16)
    assert area(run_attack(name, signals, EVERY[name], 0).score, is_member) > 0.6


@pytest.mark.parametrize("name", ["calibration", "lira_online", "lira_offline", "rmia_online", "rmia_offline"])
def test_too_few_out_models_are_masked_and_counted_never_averaged(name):
    signals, _ = random_signals(shadows=8)
    membership = signals.shadow_membership.copy()
    membership[1::2] = 1 - membership[::2]
    membership[:, :5] = 1  # nobody left these five out
    scores = run_attack(name, replace(signals, shadow_membership=membership), EVERY[name], 0)
    assert np.isnan(scores.score[:5]).all()
    assert not np.isnan(scores.score[5:]).any()
    assert not scores.is_predicted[:5].any()
    assert (scores.num_out[:5] == 0).all()
    assert any(line.startswith("5 of 60 records lack") for line in scores.warnings)


def test_one_out_model_is_too_few_for_a_deviation_of_its_own():
    signals = two_class_signals([1.0, 1.0], [[0, 0], [3, 3], [3, 3]], [[0, 0], [0, -1], [1, 1]])
    scores = run_attack("lira_offline", signals, replace(EVERY["lira_offline"], variance="per_record"), 0)
    assert np.isnan(scores.score).tolist() == [False, True]
    assert scores.num_out.tolist() == [2, 1]
    assert scores.warnings[0] == "1 of 2 records lack the 2 OUT shadows they need: left out, not filled in"


def test_models_used_are_counted_not_models_configured():
    # 256 models were configured and 8 available, and nothing said so.
    signals, _ = random_signals(records=20, shadows=256, population=5)
    membership = signals.shadow_membership.copy()
    membership[8:] = -1
    scores = run_attack("lira_online", replace(signals, shadow_membership=membership), EVERY["lira_online"], 0)
    assert (scores.num_in + scores.num_out == 8).all()


def test_shadows_that_all_agree_are_reported():
    signals = two_class_signals([1.0, 1.0], [[2, 0], [2, 1], [2, 2], [2, 3]], [[0, 0]] * 4)
    scores = run_attack("lira_offline", signals, replace(EVERY["lira_offline"], variance="per_record"), 0)
    assert any(line.startswith("1 of 2 records have shadows that all agree") for line in scores.warnings)
    assert not np.isnan(scores.score).any()


def test_target_membership_is_nowhere_to_be_seen():
    signals, _ = random_signals()
    assert not any("target" in field and "member" in field for field in vars(signals))
