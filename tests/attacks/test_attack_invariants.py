"""What must not change a score: the order of records and shadows, a constant added to logits, unused records."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import CASES, COMPARING, random_signals

from mia.attacks import run_attack

BY_RECORD = {
    **dict.fromkeys(("labels", "is_candidate", "target_outputs"), 0),
    **dict.fromkeys(("shadow_outputs", "shadow_membership", "shadow_own"), 1),
}


def run(case, signals):
    name, options = CASES[case]
    return run_attack(name, signals, options, 0)


def same(one, other):
    np.testing.assert_allclose(one.score, other.score, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_permuting_records_permutes_scores(case):
    signals, _ = random_signals(unused=0.1)
    order = np.random.default_rng(1).permutation(60)
    permuted = replace(
        signals, **{field: getattr(signals, field).take(order, axis) for field, axis in BY_RECORD.items()}
    )
    one, other = (run(case, each) for each in (signals, permuted))
    np.testing.assert_allclose(one.score[order], other.score, rtol=1e-9, atol=1e-9)
    assert (one.is_predicted[order] == other.is_predicted).all()
    assert (one.num_out[order] == other.num_out).all()


@pytest.mark.parametrize("case", CASES)
def test_permuting_shadows_changes_no_score(case):
    signals, _ = random_signals(unused=0.1)
    order = np.random.default_rng(1).permutation(8)
    permuted = replace(
        signals,
        shadow_outputs=signals.shadow_outputs[order],
        shadow_membership=signals.shadow_membership[order],
        shadow_own=signals.shadow_own[order],
        population_outputs=signals.population_outputs[[*order, 8]],
    )
    one, other = (run(case, each) for each in (signals, permuted))
    same(one, other)
    assert (one.num_in == other.num_in).all()
    if CASES[case][0] not in COMPARING:  # those learn their threshold from the first shadows
        assert (one.is_predicted == other.is_predicted).all()


@pytest.mark.parametrize("case", CASES)
def test_adding_a_constant_to_logits_changes_nothing(case):
    signals, _ = random_signals()
    wide = {
        field: getattr(signals, field).astype(np.float64)
        for field in ("target_outputs", "shadow_outputs", "population_outputs")
    }
    moved = {field: outputs + 16 for field, outputs in wide.items()}
    one, other = (run(case, replace(signals, **outputs)) for outputs in (wide, moved))
    same(one, other)


@pytest.mark.parametrize("case", CASES)
def test_unused_records_of_a_shadow_are_ignored(case):
    signals, _ = random_signals(unused=0.3)
    unused = signals.shadow_membership < 0
    noise = np.where(unused[..., None], 100 * np.random.default_rng(2).random((8, 60, 4)), signals.shadow_outputs)
    one, other = (run(case, each) for each in (signals, replace(signals, shadow_outputs=noise)))
    np.testing.assert_array_equal(one.score, other.score)
    assert (one.is_predicted == other.is_predicted).all()


@pytest.mark.parametrize("case", CASES)
def test_only_candidates_are_scored(case):
    signals, _ = random_signals()
    some = np.arange(60) % 4 == 0
    whole, part = (run(case, each) for each in (signals, replace(signals, is_candidate=some)))
    np.testing.assert_array_equal(whole.score[some], part.score)


@pytest.mark.parametrize("case", CASES)
def test_twice_is_the_same_bit_by_bit(case):
    one, other = (run(case, random_signals(records=300)[0]) for _ in range(2))
    np.testing.assert_array_equal(one.score, other.score)
    assert (one.is_predicted == other.is_predicted).all()
