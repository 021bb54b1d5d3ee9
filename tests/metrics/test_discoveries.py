"""The list of exposed records: its false share is what was asked for."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from mia.metrics.discoveries import (
    benjamini_hochberg,
    combine_p_values,
    conformal_p_values,
    exposed_members,
    is_exposed,
)


def test_adjusted_p_values_equal_scipy():
    p = np.random.default_rng(0).random(200) ** 3
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p))
    with_gaps = np.insert(p, [0, 50, 200], np.nan)
    adjusted = benjamini_hochberg(with_gaps)
    assert np.isnan(adjusted).sum() == 3
    assert adjusted[~np.isnan(adjusted)] == pytest.approx(false_discovery_control(p))
    assert len(benjamini_hochberg(np.zeros(0))) == 0


def test_conformal_p_values_by_hand():
    p = conformal_p_values(np.array([5.0, 3.0, 2.5, 0.0, np.nan]), np.array([1.0, 2.0, 3.0, np.nan]))
    assert p[:4].tolist() == [1 / 4, 2 / 4, 2 / 4, 4 / 4]
    assert np.isnan(p[4])


def test_conformal_p_values_of_nonmembers_are_not_small_too_often():
    generator = np.random.default_rng(0)
    small = [
        conformal_p_values(np.round(generator.normal(size=1), 1), np.round(generator.normal(size=99), 1)) <= 0.05
        for _ in range(2000)
    ]
    assert np.mean(small) <= 0.065


def test_p_values_combine_validly():
    assert combine_p_values(np.array([[0.2, np.nan, 0.9], [0.4, 0.3, 0.9], [np.nan] * 3]))[:2] == pytest.approx(
        [0.6, 0.3]
    )
    assert combine_p_values(np.array([[0.9], [0.9]])).tolist() == [1.0]
    assert np.isnan(combine_p_values(np.full((2, 1), np.nan))).all()


@pytest.mark.parametrize("exposed", [0.05, 0.3])
def test_a_list_has_at_most_its_share_of_false_records_over_100_seeds(exposed):
    """Candidates are members that stand out, and non-members; another set of non-members is the yardstick."""
    shares, found, wanted = [], [], 0.1
    for seed in range(100):
        generator = np.random.default_rng(seed)
        stands_out = generator.random(1000) < exposed
        score = generator.normal(size=1000) + 4 * stands_out
        listed = is_exposed(score, generator.normal(size=2000), wanted)
        shares.append(np.mean(~stands_out[listed]) if listed.any() else 0.0)
        found.append(listed[stands_out].mean())
    assert np.mean(shares) <= wanted + 2 * np.std(shares) / 10
    assert np.mean(found) > 0.5


def test_nothing_is_listed_where_nothing_leaks_for_95_of_100_seeds():
    listed = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        listed += is_exposed(generator.normal(size=500), generator.normal(size=1000)).any()
    assert listed <= 11


def test_combined_over_seeds_the_false_share_still_holds():
    """Records are members in some of four seeds, each with its own yardstick; a record's luck is shared by seeds."""
    shares = []
    for run in range(100):
        generator = np.random.default_rng(run)
        stands_out = generator.random(800) < 0.2
        own = 0.7 * generator.normal(size=800)
        p = np.full((4, 800), np.nan)
        for seed in range(4):
            asked = generator.random(800) < 0.5
            score = own + 0.7 * generator.normal(size=800) + 5 * stands_out
            yardstick = 0.7 * generator.normal(size=1500) + 0.7 * generator.normal(size=1500)
            p[seed] = np.where(asked, conformal_p_values(score, yardstick), np.nan)
        listed = np.nan_to_num(benjamini_hochberg(combine_p_values(p)), nan=1.0) <= 0.1
        shares.append(np.mean(~stands_out[listed]) if listed.any() else 0.0)
    assert np.mean(shares) <= 0.1
    assert np.mean(shares) > 0


def test_members_are_listed_the_most_exposed_first():
    score = np.concatenate([np.linspace(-1, 1, 100), [7.0, np.nan, 9.0], np.linspace(-1, 1, 300)])
    is_member = np.arange(403) < 103
    listed = exposed_members([(1000 + np.arange(403), is_member, score)], false_discovery=0.2)
    assert [record for record, *_ in listed] == [1100, 1102]  # both above all non-members: the order is the data's
    for _, p, q, seeds in listed:
        assert (p, q, seeds) == (pytest.approx(1 / 301), pytest.approx(102 / 301 / 2), 1)


def test_who_is_exposed_by_one_seed_of_two_has_half_the_evidence():
    is_member = np.arange(300) < 100
    plain = np.concatenate([np.linspace(-1, 1, 100), np.linspace(-1, 1, 200)])
    high = np.where(np.arange(300) == 3, 9.0, plain)
    index = np.arange(300)
    both = {record: p for record, p, _, _ in exposed_members([(index, is_member, high)] * 2, 1.0)}
    one = {record: p for record, p, _, _ in exposed_members([(index, is_member, high), (index, is_member, plain)], 1.0)}
    assert both[3] == pytest.approx(2 / 201)
    assert one[3] > 20 * both[3]
