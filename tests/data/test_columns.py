"""Columns become features whose meaning is known: properties of the encoding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.data.columns import Column, encode, standardise

NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@given(st.lists(st.sampled_from(["a", "b", "c", "?"]), min_size=1, max_size=30))
def test_categories_can_be_read_back(values):
    x, (group,) = encode([Column("c", "category", np.array(values))])
    assert (group.kind, group.start, group.stop) == ("category", 0, len(set(values)))
    assert x.dtype == np.uint8
    assert (x.sum(axis=1) == 1).all()
    assert [sorted(set(values))[code] for code in x.argmax(axis=1)] == values


@given(st.lists(NUMBERS, min_size=2, max_size=30))
def test_numbers_have_mean_zero_and_deviation_one(values):
    x, (group,) = encode([Column("n", "number", np.array(values))])
    assert (x.dtype, x.shape, group.kind) == (np.float32, (len(values), 1), "number")
    np.testing.assert_allclose(x.mean(dtype=np.float64), 0, atol=1e-5)
    expected = 0 if len(set(values)) == 1 else 1
    np.testing.assert_allclose(x.std(dtype=np.float64), expected, atol=1e-5)
    assert (np.diff(x[np.argsort(values), 0]) >= 0).all()


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e308])
def test_numbers_of_any_size_are_standardised(size):
    x, _ = encode([Column("n", "number", np.array([1.0, np.nan, -1.0]) * size)])
    np.testing.assert_array_equal(x[:, 0], [1, 0, -1])


def test_a_missing_number_is_the_mean_beside_a_bit():
    x, groups = encode([Column("n", "number", np.array([1.0, np.nan, 3.0, np.nan]))])
    np.testing.assert_array_equal(x, [[-1, 0], [0, 1], [1, 0], [0, 1]])
    assert [(group.name, group.kind) for group in groups] == [("n", "number"), ("n is missing", "bit")]


def test_groups_cover_the_columns_in_order():
    columns = [
        Column("bit", "bit", np.array([0, 1, 1])),
        Column("category", "category", np.array(["x", "y", "z"])),
        Column("number", "number", np.array([1.0, 2.0, 3.0])),
    ]
    x, groups = encode(columns)
    assert [(group.name, group.start, group.stop) for group in groups] == [
        ("bit", 0, 1),
        ("category", 1, 4),
        ("number", 4, 5),
    ]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[:, :4], [[0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]])


def test_numbers_that_are_all_the_same_are_zero_whatever_their_size():
    x, _ = encode([Column("n", "number", np.full(7, 0.1))])
    np.testing.assert_array_equal(x, 0)


ANY = st.one_of(NUMBERS, st.sampled_from([0.0, 1e200, -1e-200, np.nan]))


@given(
    st.lists(st.lists(ANY, min_size=4, max_size=4).filter(lambda row: not np.isnan(row).all()), min_size=1, max_size=6)
)
def test_numbers_side_by_side_are_standardised_as_each_alone(rows):
    together = standardise(np.array(rows))
    for row, found in zip(rows, together, strict=True):
        np.testing.assert_array_equal(found, standardise(np.array([row]))[0])
