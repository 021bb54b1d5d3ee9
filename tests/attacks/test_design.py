"""Who trained on what: partners are found, and numbers of shadows say nothing of the target."""

from dataclasses import replace

import numpy as np
import pytest
from designs import membership
from null_cases import null_case, question
from threadpoolctl import threadpool_info

from mia.attacks import per_record, run_attack
from mia.attacks.calibration import CalibrationOptions
from mia.attacks.design import equal_counts, find_partners, partners, with_equal_counts
from mia.machine import one_blas_thread
from mia.records import IN, OUT, UNUSED


def rows(design, models, records=200, seed=0):
    return membership(design, models, records, np.random.default_rng(seed)).astype(np.int8)


def equal(member, seed=0, asked=None):
    asked = np.arange(member.shape[1]) if asked is None else asked
    return equal_counts(member, asked, find_partners(member), np.random.default_rng(seed))


def test_complements_and_twins_are_partners():
    member = rows("pairs", 6)
    expected = np.zeros((6, 6), bool)
    for one, other in ((1, 2), (3, 4)):
        expected[one, other] = expected[other, one] = True
    np.testing.assert_array_equal(find_partners(member), expected)
    assert find_partners(np.concatenate([member[:1], member[:1]])).tolist() == [[False, True], [True, False]]
    assert not find_partners(rows("coins", 40)).any()
    assert not find_partners(rows("balanced", 40)).any()


def test_partners_are_found_where_both_are_used_and_anybody_was_trained():
    member = rows("pairs", 5)
    member[1, :50], member[2, 30:90] = UNUSED, UNUSED
    outside = np.zeros((5, 30), np.int8)  # records of a test set, that nobody was trained on
    assert find_partners(np.concatenate([member, outside], axis=1))[1].tolist() == [False, False, True, False, False]
    member[2, 150] = member[1, 150]
    assert not find_partners(member)[1].any()


def test_a_record_that_is_used_nowhere_changes_no_partners():
    """Where all entries are used, counting takes a shorter way."""
    unused = np.full((6, 1), UNUSED, np.int8)
    for design in ("pairs", "coins", "balanced"):
        member = rows(design, 6)
        np.testing.assert_array_equal(find_partners(member), find_partners(np.concatenate([member, unused], axis=1)))


def test_a_few_records_in_common_prove_nothing():
    assert not find_partners(rows("pairs", 3, records=8)).any()


def test_disjoint_models_are_no_partners_for_they_tell_nothing_of_the_candidates():
    """The target's records are in no shadow; among those that anybody was trained on, that looks like an opposite."""
    target, shadow, other = (np.zeros(300, np.int8) for _ in range(3))
    target[:50], target[100:] = IN, UNUSED
    shadow[100:150] = other[160:210] = IN
    assert not find_partners(np.stack([target, shadow])).any()
    shadow[:100] = UNUSED
    assert not find_partners(np.stack([target, shadow, other]))[0].any()


def test_shadows_that_fell_independently_are_all_used():
    for member in (rows("coins", 16), rows("pairs", 16), rows("pairs", 17), rows("pairs", 16)[1:]):
        assert equal(member) is member


@pytest.mark.parametrize("models", [3, 4, 9, 20, 53])
def test_a_fixed_number_of_models_per_record_leaves_equally_many(models):
    for target in (0, 2):
        others = np.delete(rows("balanced", models), target, axis=0)
        used = equal(others)
        for kind in (IN, OUT):
            assert len(set(np.count_nonzero(used == kind, axis=0))) == 1
        assert (np.count_nonzero(others != UNUSED, axis=0) - np.count_nonzero(used != UNUSED, axis=0) == 1).all()
        assert ((used == others) | (used == UNUSED)).all()


def test_each_choice_is_as_likely_for_members_as_for_others():
    """Given what a record's shadows say, how many are in use, and which, is independent of the target's membership."""
    counts = np.zeros((2, 5))
    for seed in range(60):
        member = rows("balanced", 6, records=100, seed=seed)
        used = equal(member[1:], seed) == OUT
        for kind in (0, 1):
            counts[kind] += used[:, member[0] == kind].sum(1)
    share = counts / counts.sum(1, keepdims=True)
    assert np.abs(share - 0.2).max() < 4.5 * np.sqrt(0.16 / counts.sum(1).min())


def test_with_unused_entries_records_are_compared_with_those_that_have_as_many():
    member = rows("balanced", 17, records=4000)[1:]
    member[np.random.default_rng(1).random(member.shape) < 0.2] = UNUSED
    used = equal(member)
    before, after = (np.count_nonzero(one != UNUSED, axis=0) for one in (member, used))
    assert after.mean() > 0.5 * before.mean()
    for number in np.unique(before)[-3:]:
        num_in = np.count_nonzero(used[:, before == number] == IN, axis=0)
        assert np.mean(num_in != np.median(num_in)) <= 0.01


def test_records_that_nobody_asks_about_keep_their_shadows():
    member = rows("balanced", 12)[1:]
    asked = np.arange(120)
    used = equal(member, asked=asked)
    np.testing.assert_array_equal(used[:, 120:], member[:, 120:])
    assert (used[:, :120] == UNUSED).any()


def test_what_was_left_out_is_said_and_drawn_by_the_seed():
    signals, _ = null_case(0, "balanced", "logits", 12)
    one, other = (run_attack("calibration", signals, CalibrationOptions(), seed) for seed in (0, 1))
    assert any("1 of 11 shadows per record are left out" in line for line in one.warnings)
    assert (one.num_out == one.num_out[0]).all()
    assert (one.score != other.score).any()
    np.testing.assert_array_equal(one.score, run_attack("calibration", signals, CalibrationOptions(), 0).score)
    independent, _ = null_case(0, "coins", "logits", 12)
    assert with_equal_counts(independent, 0) == (independent, ())


@pytest.mark.parametrize("design", ["pairs", "balanced"])
def test_behind_a_stand_in_is_nobody_who_tells_its_membership(design):
    signals, _ = null_case(0, design, "logits", 9)
    signals = with_equal_counts(signals, 0)[0]
    for shadow in range(1, 5):
        own = np.flatnonzero(signals.shadow_membership[shadow - 1] != UNUSED)
        behind = per_record.membership_behind(signals, shadow, own, 0)
        assert (behind[shadow - 1] == UNUSED).all()
        assert (behind[partners(signals)[shadow - 1]] == UNUSED).all()
        is_member = signals.shadow_membership[shadow - 1, own] == IN
        for kind in (IN, OUT):
            number = np.count_nonzero(behind[:, own] == kind, axis=0)
            assert number[is_member].mean() == pytest.approx(number[~is_member].mean(), abs=0.01)


def test_a_target_among_the_shadows_partners_is_attacked_without_it():
    generator = np.random.default_rng(0)
    member = membership("pairs", 5, 200, generator)
    outputs = generator.normal(size=(5, 200, 3))
    labels = generator.integers(0, 3, 200).astype(np.int32)
    assert question(member, outputs, False, labels, 0).num_shadows == 4
    assert question(member, outputs, False, labels, 1).num_shadows == 3


def test_a_changed_copy_of_signals_keeps_nothing_that_was_found():
    signals, _ = null_case(0, "pairs", "logits", 6)
    assert partners(signals).any()
    copied = replace(signals, shadow_membership=np.zeros_like(signals.shadow_membership))
    assert not partners(copied).any()


def test_products_run_on_one_thread_and_others_as_before():
    def threads() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = threads()
    with one_blas_thread():
        assert set(threads()) == {1}
    assert threads() == before
