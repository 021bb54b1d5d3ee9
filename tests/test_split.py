"""The split's guarantees, as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.checks import RequestError
from mia.split import SplitOptions, make_split, relaxed_rules

sizes = st.integers(1, 30)
seeds = st.integers(0, 2**32 - 1)


@given(size=sizes, shadows=st.integers(1, 7), spare=st.integers(0, 50), seed=seeds)
def test_disjoint_shadows_never_touch_the_targets_records(size, shadows, spare, seed):
    split = make_split(SplitOptions("disjoint", size, shadows), 4 * size + spare, seed)
    target = set(split.members[0]) | set(split.nonmembers[0])
    assert len(target) == 2 * size
    assert split.num_models == shadows + 1
    for members, nonmembers in zip(split.members[1:], split.nonmembers[1:], strict=True):
        assert len(set(members)) == len(set(nonmembers)) == size
        assert not set(members) & set(nonmembers)
        assert not target & (set(members) | set(nonmembers))


@given(size=sizes, pairs=st.integers(1, 4), spare=st.integers(0, 50), seed=seeds)
def test_pool_records_are_in_for_exactly_half_of_an_even_number_of_shadows(size, pairs, spare, seed):
    split = make_split(SplitOptions("pool", size, 2 * pairs), 2 * size + spare, seed)
    pool = np.union1d(split.members[0], split.nonmembers[0])
    counts = np.zeros(split.num_records, int)
    for members, nonmembers in zip(split.members, split.nonmembers, strict=True):
        np.testing.assert_array_equal(np.union1d(members, nonmembers), pool)
    for members in split.members[1:]:
        counts[members] += 1
    assert (counts[pool] == pairs).all()


@given(size=sizes, shadows=st.sampled_from([1, 3, 5]), seed=seeds)
def test_pool_with_an_odd_number_of_shadows_is_off_by_one_at_most(size, shadows, seed):
    split = make_split(SplitOptions("pool", size, shadows), 2 * size, seed)
    counts = np.bincount(split.members[1:].ravel(), minlength=2 * size)
    assert set(counts) <= {shadows // 2, shadows // 2 + 1}


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_adding_shadows_changes_no_other_model(protocol):
    few = make_split(SplitOptions(protocol, 10, 3), 60, seed=4)
    many = make_split(SplitOptions(protocol, 10, 8), 60, seed=4)
    np.testing.assert_array_equal(few.members, many.members[:4])
    np.testing.assert_array_equal(few.nonmembers, many.nonmembers[:4])


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    options = SplitOptions("disjoint", 10, 2)
    np.testing.assert_array_equal(make_split(options, 60, 1).members, make_split(options, 60, 1).members)
    assert (make_split(options, 60, 1).members != make_split(options, 60, 2).members).any()


def test_the_attackers_own_records_are_where_shadows_draw_from():
    own = np.arange(100, 140)
    split = make_split(SplitOptions("disjoint", 20, 2), 140, 0, shadow_records=own)
    assert np.isin(split.members[1:], own).all()
    assert np.isin(split.nonmembers[1:], own).all()


@pytest.mark.parametrize(
    ("protocol", "overlap", "largest"), [("disjoint", False, 25), ("disjoint", True, 50), ("pool", False, 50)]
)
def test_too_large_a_size_names_the_largest_that_fits(protocol, overlap, largest):
    with pytest.raises(RequestError, match=f"at most split.size={largest}"):
        make_split(SplitOptions(protocol, largest + 1, 2, overlap=overlap), 100, 0)
    make_split(SplitOptions(protocol, largest, 2, overlap=overlap), 100, 0)


overlapping = given(size=sizes, shadows=st.integers(1, 7), spare=st.integers(0, 150), seed=seeds)


def relaxed(size, shadows):
    return SplitOptions("disjoint", size, shadows, overlap=True)


@overlapping
def test_overlap_gives_up_one_guarantee_and_no_other(size, shadows, spare, seed):
    split = make_split(relaxed(size, shadows), 2 * size + spare, seed)
    assert split.num_models == shadows + 1
    for members, nonmembers in zip(split.members, split.nonmembers, strict=True):
        assert len(set(members)) == len(set(nonmembers)) == size
        assert not set(members) & set(nonmembers)
        assert set(members) | set(nonmembers) <= set(range(2 * size + spare))


@overlapping
def test_overlap_leaves_the_target_its_records(size, shadows, spare, seed):
    strict = make_split(SplitOptions("disjoint", size, shadows), 4 * size + spare, seed)
    split = make_split(relaxed(size, shadows), 4 * size + spare, seed)
    np.testing.assert_array_equal(split.members[0], strict.members[0])
    np.testing.assert_array_equal(split.nonmembers[0], strict.nonmembers[0])


def test_overlapping_shadows_say_nothing_about_who_is_a_member():
    split = make_split(relaxed(50, 400), 160, seed=3)
    counts = np.bincount(split.members[1:].ravel(), minlength=160), np.bincount(split.nonmembers[1:].ravel())
    for count in counts:  # of 400 shadows each record is in 125 +- 9, whatever the target does with it
        for records in (split.members[0], split.nonmembers[0]):
            assert count[records].mean() == pytest.approx(125, abs=5)
        assert count.min() > 0


def test_adding_overlapping_shadows_changes_no_other_model():
    few, many = make_split(relaxed(10, 3), 30, seed=4), make_split(relaxed(10, 8), 30, seed=4)
    np.testing.assert_array_equal(few.members, many.members[:4])
    np.testing.assert_array_equal(few.nonmembers, many.nonmembers[:4])


@pytest.mark.parametrize("size", [19_920, 29_540])
def test_the_papers_sizes_of_cifar_need_a_relaxed_rule_and_every_run_says_so(size):
    with pytest.raises(RequestError, match=r"at most split.size=15000; split.overlap=true lets shadows draw from"):
        make_split(SplitOptions("disjoint", size, 2), 60_000, 0)
    options = relaxed(size, 2)
    (line,) = relaxed_rules(options, make_split(options, 60_000, 0))
    shared = {19_920: "66%", 29_540: "98%"}[size]
    assert f"of each shadow's {2 * size:,} records {shared} on average are among the target's" in line


def test_a_strict_split_warns_of_nothing_and_offers_only_what_would_help():
    options = SplitOptions("disjoint", 10, 2)
    assert relaxed_rules(options, make_split(options, 60, 0)) == ()
    with pytest.raises(RequestError, match=r"at most split.size=5$"):
        make_split(SplitOptions("disjoint", 11, 2), 21, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "disjont"},
        {"size": 0},
        {"num_shadows": 0},
        {"num_targets": 0},
        {"num_targets": 2},
        {"protocol": "pool", "num_targets": 11},
        {"protocol": "pool", "overlap": True},
    ],
)
def test_impossible_options_are_refused_by_name(wrong):
    with pytest.raises(RequestError, match=r"^split\."):
        SplitOptions(**wrong)
