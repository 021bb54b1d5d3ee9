"""Slices: the metrics of their records, small ones counted, differences found no more often than they should."""

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from mia.metrics.auc import area
from mia.metrics.slices import difference_p_value, pool_small, quantile_names, slice_rows, standard_slices, value_names

COLUMNS = {"attack", "slice", "value", "members", "non_members", "auc", "auc_low", "auc_high"}


def made(generator, number=2000, shift=0.0):
    is_member = np.arange(number) < number // 2
    return generator.normal(size=number) + shift * is_member, is_member


def test_rows_agree_with_scikit_learn_on_the_same_records():
    generator = np.random.default_rng(0)
    score, is_member = made(generator, shift=1.0)
    score[::50] = np.nan
    labels = generator.integers(0, 4, 2000).astype(np.int32)
    confidence = generator.random(2000)
    slices = standard_slices(labels, confidence > 0.3, confidence, ("ant", "bee", "cat", "dog"))
    rows, lines = slice_rows({"loss": score}, is_member, slices, thresholds={"loss": 1.5})
    assert lines == ()
    assert [row["value"] for row in rows[:4]] == ["ant", "bee", "cat", "dog"]
    assert {row["slice"] for row in rows} == {"class", "correct", "confidence"}
    assert len(rows) == 4 + 2 + 5
    for row in rows:
        assert set(row) >= COLUMNS
        chosen = (slices[row["slice"]] == row["value"]) & ~np.isnan(score)
        assert row["auc"] == pytest.approx(roc_auc_score(is_member[chosen], score[chosen]), abs=1e-12)
        assert row["auc_low"] < row["auc"] < row["auc_high"]
        assert row["members"] + row["non_members"] == chosen.sum()
        assert row["tpr_at_learnt_1pct_fpr"] == np.mean(score[chosen & is_member] >= 1.5)
        assert row["fpr_at_learnt_1pct_fpr"] == np.mean(score[chosen & ~is_member] >= 1.5)
        rest = (slices[row["slice"]] != row["value"]) & ~np.isnan(score)
        expected = row["auc"] - roc_auc_score(is_member[rest], score[rest])
        assert row["auc_difference"] == pytest.approx(expected, abs=1e-12)


def test_without_a_learnt_threshold_there_are_no_rates():
    score, is_member = made(np.random.default_rng(0))
    rows, _ = slice_rows({"a": score}, is_member, {"half": np.where(np.arange(2000) % 2, "x", "y")})
    assert not any(name.startswith("tpr") for row in rows for name in row)


def test_p_values_are_where_intervals_begin_to_leave_out_zero():
    generator = np.random.default_rng(0)
    a, b = (area(*made(generator, 200, shift)) for shift in (1.0, 0.6))
    p = difference_p_value(a, b)
    from mia.metrics.rates import squares_and_add

    inside, outside = (squares_and_add(a.estimate(1 - error), b.estimate(1 - error)) for error in (p * 0.99, p * 1.01))
    assert inside.low <= 0 <= inside.high
    assert not outside.low <= 0 <= outside.high
    assert difference_p_value(a, a) == pytest.approx(1)


@pytest.mark.parametrize("direction", [1, -1])
def test_two_perfect_slices_do_not_differ(direction):
    is_member = np.arange(24) % 2 == 0
    perfect, larger = (area(direction * np.tile(is_member, times) * 1.0, np.tile(is_member, times)) for times in (1, 9))
    assert difference_p_value(perfect, larger) > 0.5
    assert difference_p_value(perfect, perfect) == pytest.approx(1)
    assert perfect.estimate(1e-9).value in (0, 1)


def test_small_slices_are_pooled_or_left_out_with_their_count():
    values = np.repeat(["big", "s", "t", "u"], [100, 12, 14, 6])
    is_member = np.arange(132) % 2 == 0
    pooled, lines = pool_small(values, is_member)
    assert set(pooled) == {"big", "other (3 small ones)"}
    assert lines == ()
    pooled, lines = pool_small(values[:126], is_member[:126], fewest=20)
    assert set(pooled) == {"big", ""}
    assert lines == ("2 values with 26 records left out: fewer than 20 members or others",)
    rows, heard = slice_rows(
        {"a": np.arange(126.0), "b": -np.arange(126.0)}, is_member[:126], {"n": values[:126]}, fewest=20
    )
    assert [(row["attack"], row["value"]) for row in rows] == [("a", "big"), ("b", "big")]
    assert heard == ("slice n: 2 values with 26 records left out: fewer than 20 members or others",)
    assert "p_value" not in rows[0]


def test_a_slice_of_members_only_is_small():
    is_member = np.arange(80) < 40
    pooled, lines = pool_small(np.where(is_member, "in", "out"), is_member)
    assert set(pooled) == {"other (2 small ones)"}
    assert lines == ()


def test_quantiles_keep_equal_values_together():
    names = quantile_names(np.array([0.0] * 50 + [1.0] * 30 + list(np.linspace(2, 3, 20)) + [np.nan]))
    assert names[-1] == "missing"
    assert set(names[:50]) == {"1: 0 to 0"}
    assert len(set(names[50:80])) == 1
    even = quantile_names(np.arange(100.0))
    assert np.unique(even, return_counts=True)[1].tolist() == [20] * 5 or len(set(even)) == 5


def test_columns_become_text():
    assert value_names(np.array(["F", "M"])).tolist() == ["F", "M"]
    assert value_names(np.array([1, 0, 1])).tolist() == ["1", "0", "1"]
    assert value_names(np.array([True, False])).tolist() == ["True", "False"]
    assert len(set(value_names(np.arange(500)))) == 5
    named = standard_slices(np.zeros(3, int), np.ones(3, bool), np.ones(3), named={"age": np.array([20, 30, 30])})
    assert named["age"].tolist() == ["20", "30", "30"]
    assert named["class"].tolist() == ["0"] * 3


def test_leakage_in_one_slice_is_found_there():
    generator = np.random.default_rng(0)
    score, is_member = made(generator, 4000)
    values = generator.choice(["a", "b", "c", "d", "e", "f"], 4000)
    score[(values == "c") & is_member] += 1
    rows, _ = slice_rows({"x": score}, is_member, {"kind": values})
    assert [row["value"] for row in rows if row["auc_difference"] > 0 and row["is_different"]] == ["c"]
    assert all(row["q_value"] >= row["p_value"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_where_slices_do_not_differ_few_runs_find_a_difference(shift):
    """All false discoveries are then false: some in 5 of 100 runs at most, where single tests find some in 40."""
    runs = single = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        score, is_member = made(generator, 1000, shift)
        slices = {"class": generator.integers(0, 8, 1000).astype(str), "sex": generator.choice(["F", "M"], 1000)}
        rows, _ = slice_rows({"x": score}, is_member, slices)
        runs += any(row["is_different"] for row in rows)
        single += any(row["p_value"] <= 0.05 for row in rows)
    assert runs <= 25
    assert single > 60


@pytest.mark.slow
def test_the_share_of_false_differences_is_controlled():
    """One class leaks more, so that every class truly differs from the rest; slices by a coin do not."""
    shares, found = [], 0
    for seed in range(150):
        generator = np.random.default_rng(seed)
        score, is_member = made(generator, 3000)
        values = generator.integers(0, 6, 3000)
        score += 1.5 * is_member * (values == 0)
        slices = {"class": values.astype(str), "coin": generator.integers(0, 6, 3000).astype(str)}
        rows, _ = slice_rows({"x": score}, is_member, slices)
        different = [row["slice"] for row in rows if row["is_different"]]
        shares.append(different.count("coin") / max(len(different), 1))
        found += any(row["value"] == "0" and row["is_different"] for row in rows if row["slice"] == "class")
    assert np.mean(shares) <= 0.05
    assert found == 150


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(20, 400), (200, 200)])
def test_intervals_of_differences_cover(sizes):
    covered = 0
    truth = ndtr(1.2 / np.sqrt(2)) - ndtr(0.5 / np.sqrt(2))
    for seed in range(500):
        generator = np.random.default_rng(seed)
        parts = [made(generator, size, shift) for size, shift in zip(sizes, (1.2, 0.5), strict=True)]
        score, is_member = (np.concatenate(both) for both in zip(*parts, strict=True))
        rows, _ = slice_rows({"x": score}, is_member, {"part": np.repeat(["a", "b"], sizes)})
        covered += rows[0]["auc_difference_low"] <= truth <= rows[0]["auc_difference_high"]
    assert covered >= 465


def test_people_not_records_make_a_slice_large_enough():
    """A hundred records of three people say nothing of a slice; a person may have records in several."""
    groups = np.concatenate([np.repeat(np.arange(6), 50), np.arange(100, 400)])
    is_member = groups % 2 == 0
    values = np.where(groups < 100, "few people", np.where(groups % 3 == 0, "a", "b"))
    rows, lines = slice_rows({"x": np.random.default_rng(0).normal(size=600)}, is_member, {"n": values}, groups=groups)
    assert {row["value"] for row in rows} == {"a", "b"}
    assert lines == ("slice n: 1 value with 300 records left out: fewer than 10 groups of members or others",)


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["between people", "through people"])
def test_rates_of_slices_cover_over_people_where_independent_records_do_not(cut):
    covered = np.zeros((2, 2))
    truth = {"tpr": 1 - ndtr(0.5), "fpr": 1 - ndtr(1.5)}
    for seed in range(200):
        generator = np.random.default_rng(seed)
        groups = np.repeat(np.arange(120), generator.integers(1, 21, 120))
        is_member = groups < 60
        score = np.sqrt(0.7) * generator.normal(size=120)[groups] + np.sqrt(0.3) * generator.normal(size=len(groups))
        score += is_member
        values = (groups if cut == "between people" else np.arange(len(groups))) % 2
        for place, whose in enumerate((groups, None)):
            rows, _ = slice_rows(
                {"x": score}, is_member, {"half": values.astype(str)}, thresholds={"x": 1.5}, groups=whose
            )
            for kind, (name, value) in enumerate(truth.items()):
                low, high = (rows[0][f"{name}_at_learnt_1pct_fpr_{end}"] for end in ("low", "high"))
                covered[place, kind] += low <= value <= high
    assert (covered[0] >= 0.92 * 200).all()
    assert (covered[1] < 0.8 * 200).all()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1234560, 1234561, 20240101], ["1234560", "1234561", "20240101"]),
        ([0.1234567, 0.1234568, 0.5], ["0.1234567", "0.1234568", "0.5"]),
        ([1.0, 2.0, np.nan], ["1", "2", "missing"]),
        ([True, False, True], ["True", "False", "True"]),
    ],
)
def test_different_values_have_different_names(values, names):
    assert value_names(np.array(values)).tolist() == names
