"""Equal is equal: means of equal values, scores within rounding, answers of exactly 0 and 1."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import EVERY, random_signals
from hypothesis import given
from hypothesis import strategies as st
from null_cases import area

from mia.attacks import run_attack
from mia.attacks.masked_statistics import masked_mean, masked_std, pooled_std
from mia.attacks.rmia import dominated
from mia.attacks.shared_statistics import floor_of
from mia.attacks.ties import difference, reaches, settle
from mia.checks import RequestError
from mia.records import Signals


@given(st.floats(-1e6, 1e6), st.integers(1, 64))
def test_the_mean_of_equal_values_is_that_value(value, count):
    values, used = np.full((64, 1), value), np.zeros((64, 1), bool)
    used[:count] = True
    assert masked_mean(values, used)[0] == value
    assert count < 2 or masked_std(values, used)[0] == 0
    assert count < 2 or pooled_std(values, used, np.array([value])) == 0


def test_scores_within_rounding_become_equal_and_no_others():
    score = np.array([0.3, 0.1 + 0.2, 2.0, np.nan, 2.0 + 1e-9, -1e-18, -2e-18])
    settled = settle(score)
    assert settled[0] == settled[1]
    assert np.isnan(settled[3])
    np.testing.assert_array_equal(settled[[2, 4, 5, 6]], score[[2, 4, 5, 6]])
    wide = settle(np.array([1e-14, 0.0, 1e-3]), np.ones(3))  # differences of numbers of the size of 1
    assert wide.tolist() == [0, 0, 1e-3]
    assert settle(np.array([np.nan])).shape == (1,)
    assert settle(np.array([-np.inf, -np.inf, 1.0])).tolist() == [-np.inf, -np.inf, 1]


def test_a_difference_of_rounding_is_none():
    assert difference(np.array([0.1 + 0.2, 1.0]), np.array([0.3, 0.5])).tolist() == [0, 0.5]


def test_a_threshold_is_reached_rounding_aside():
    assert reaches(np.array([0.3, 0.29, np.nan]), np.full(3, 0.1 + 0.2)).tolist() == [True, False, False]


def test_a_ratio_that_gamma_meets_but_for_rounding_dominates():
    ratio = np.array([0.1 + 0.2, 0.3, 0.3 * (1 - 1e-6)])
    assert dominated(ratio, np.array([0.3, 0.1 + 0.2]), 1.0).tolist() == [1, 1, 0]


@pytest.mark.parametrize(("digits", "floor"), [(1, 0.05), (2, 0.005)])
def test_the_floor_is_half_the_smallest_answer_above_zero(digits, floor):
    signals = rounded(digits)
    assert floor_of(signals) == pytest.approx(floor)
    assert floor_of(random_signals()[0]) < 1e-300


def rounded(digits) -> Signals:
    signals, _ = random_signals(records=200, effect=4.0)
    outputs = {}
    for field in ("target_outputs", "shadow_outputs", "population_outputs"):
        logits = getattr(signals, field).astype(float)
        p = np.exp(logits - logits.max(-1, keepdims=True))
        outputs[field] = np.round(p / p.sum(-1, keepdims=True), digits)
    return replace(signals, is_probability=True, **outputs)


@pytest.mark.parametrize("name", ["calibration", "lira_online", "lira_offline"])
def test_the_floor_is_said_and_can_be_set(name):
    signals = rounded(1)
    scores = run_attack(name, signals, EVERY[name], 0)
    (line,) = (line for line in scores.warnings if "exactly 0 or 1" in line)
    assert "the 0 counts as 0.05 (half the smallest above 0)" in line
    set_to = run_attack(name, signals, replace(EVERY[name], floor=0.01), 0)
    (line,) = (line for line in set_to.warnings if "exactly 0 or 1" in line)
    assert "the 0 counts as 0.01, " in line
    assert (scores.score != set_to.score).any()
    np.testing.assert_array_equal(scores.score, run_attack(name, signals, replace(EVERY[name], floor=0.05), 0).score)
    assert not any("exactly" in line for line in run_attack(name, random_signals()[0], EVERY[name], 0).warnings)
    for floor in (0, 0.5, "half", True):
        with pytest.raises(RequestError, match=rf"attack\.{name}\.floor={floor!r} must be auto or a number between"):
            replace(EVERY[name], floor=floor)


@pytest.mark.parametrize("variance", ["global", "per_record"])
def test_votes_that_are_all_or_none_do_not_wreck_the_fits(variance):
    """A forest's answers are votes; with a floor far below one vote a single record's spread would be all there is."""
    generator = np.random.default_rng(0)
    records, shadows, trees = 1500, 16, 50
    member = generator.random((shadows + 1, records)) < 0.5
    chance = 1 / (1 + np.exp(-(generator.normal(1.5, 1.5, records) + 1.2 * member)))
    p = generator.binomial(trees, chance) / trees
    outputs = np.stack([1 - p, p], axis=-1)
    signals = Signals(
        labels=np.ones(records, np.int32),
        is_candidate=np.ones(records, bool),
        target_outputs=outputs[0],
        shadow_outputs=outputs[1:],
        shadow_membership=member[1:].astype(np.int8),
        shadow_own=np.ones((shadows, records), bool),
        is_probability=True,
    )
    options = replace(EVERY["lira_online"], variance=variance)
    at_half_a_vote, tiny = (
        area(np.nan_to_num(run_attack("lira_online", signals, one, 0).score), member[0])
        for one in (options, replace(options, floor=1e-45))
    )
    assert floor_of(signals) == pytest.approx(0.5 / trees)
    assert at_half_a_vote > tiny + 0.01


@pytest.mark.parametrize("variance", ["global", "per_record"])
@pytest.mark.parametrize("name", ["lira_online", "lira_offline"])
def test_models_that_all_agree_leave_every_record_neutral(name, variance):
    signals, _ = random_signals(records=60, shadows=8)
    one_answer = np.broadcast_to(signals.target_outputs, (8, 60, 4))
    scores = run_attack(name, replace(signals, shadow_outputs=one_answer), replace(EVERY[name], variance=variance), 0)
    scored = ~np.isnan(scores.score)
    np.testing.assert_array_equal(scores.score[scored], 0 if name == "lira_online" else np.log(0.5))
    assert any(line.startswith(f"{scored.sum()} of 60 records have shadows that all agree") for line in scores.warnings)


def test_where_one_side_alone_agrees_the_spread_of_all_stands_in():
    signals, _ = random_signals(records=60, shadows=8)
    outputs = signals.shadow_outputs.copy()
    number = signals.shadow_membership.sum(0)
    record = np.flatnonzero((number >= 2) & (number <= 6))[0]
    inside = signals.shadow_membership[:, record] == 1
    outputs[inside, record] = outputs[inside, record][0]
    signals = replace(signals, shadow_outputs=outputs)
    score = run_attack("lira_online", signals, replace(EVERY["lira_online"], variance="per_record"), 0).score
    assert abs(score[record]) < 100
