"""A data set that does not hold together is refused in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.checks import RequestError
from mia.data.validate import finish, validate, variants
from mia.records import Dataset


def make(x=None, y=None, num_classes=2, **rest):
    x = np.zeros((6, 3), np.float32) if x is None else x
    y = [0, 1, 0, 1, 0, 1] if y is None else y
    return Dataset("test", x, np.array(y, np.int32), num_classes, **rest)


def with_value(value):
    x = np.zeros((6, 3), np.float32)
    x[4, 1] = value
    return x


BAD = {
    "x of shape (6,)": make(np.zeros(6, np.float32)),
    "x of shape (6, 0)": make(np.zeros((6, 0), np.float32)),
    "y of shape (6, 1)": make(y=[[0], [1], [0], [1], [0], [1]]),
    "6 records in x but 5 labels in y": make(y=[0, 1, 0, 1, 0]),
    "holds 3 records; the smallest experiment needs 4": make(np.zeros((3, 3), np.uint8), [0, 1, 0]),
    "NaN or infinite values in 1 of 6 records, first in record 4": make(with_value(np.nan)),
    "NaN or infinite values in 1 of 6": make(with_value(-np.inf)),
    "labels from 0 to 2; they must be the integers 0 to 1": make(y=[0, 1, 2, 1, 0, 1]),
    "labels from -1 to 1": make(y=[0, 1, -1, 1, 0, 1]),
    "one class only": make(y=[0] * 6, num_classes=1),
    "no record of class 1; labels must be 0 .. 2 without gaps": make(y=[0, 2, 0, 2, 0, 2], num_classes=3),
    "no record of class 2": make(num_classes=3),
    "3 class names for 2 classes": make(class_names=("a", "b", "c")),
    "groups of shape (5,); they must be (6,)": make(groups=np.zeros(5, np.int32)),
    "groups that are not integers from 0": make(groups=np.full(6, -1, np.int32)),
    "slice age of shape (6, 1); they must be (6,)": make(slices={"age": np.zeros((6, 1))}),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_data_sets_are_refused(message):
    with pytest.raises(RequestError) as error:
        validate(BAD[message], "data.path='x.npz'")
    assert str(error.value).startswith("data.path='x.npz' holds ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_huge_label_costs_no_memory():
    with pytest.raises(RequestError, match="no record of class 2"):
        validate(make(y=[0, 1, 2**31 - 1, 1, 0, 1], num_classes=2**31), "data.path='x.npz'")


@given(st.lists(st.integers(0, 5), min_size=4, max_size=40))
def test_labels_pass_exactly_when_every_class_is_there(labels):
    num_classes = max(labels) + 1
    dataset = make(np.zeros((len(labels), 2), np.uint8), labels, num_classes)
    if num_classes >= 2 and set(labels) == set(range(num_classes)):
        assert validate(dataset, "here") is dataset
    else:
        with pytest.raises(RequestError):
            validate(dataset, "here")


BITS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1)), min_size=8, max_size=30)


@given(BITS)
def test_copies_are_records_with_the_features_and_the_label_of_an_earlier_one(rows):
    x, y = np.array(rows, np.float32)[:, :2], [row[2] for row in rows]
    data = make(x * np.array([1, -1], np.float32), y)  # some zeros are negative
    firsts = [rows.index(row) for row in rows]
    np.testing.assert_array_equal(data.first_copy, firsts)
    assert data.duplicates() == len(rows) - len(set(rows))


def test_what_is_dropped_goes_everywhere_and_notes_change_no_fingerprint():
    x = np.repeat(np.arange(6, dtype=np.float32), 2)[:, None]
    y = [0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1]
    full = make(x, y, groups=np.arange(12, dtype=np.int32), slices={"x": x[:, 0]})
    kept = finish(full, "here")
    assert kept.fingerprint == full.fingerprint
    assert "4 of 12 records (33.3%)" in kept.notes[0]
    left = finish(full, "here", "drop")
    np.testing.assert_array_equal(left.x[:, 0], [0, 1, 2, 3, 4, 4, 5, 5])
    np.testing.assert_array_equal(left.slices["x"], left.x[:, 0])
    np.testing.assert_array_equal(left.groups, np.arange(8))
    assert left.notes == ("4 records, exact copies of earlier ones, were left out (data.duplicates=drop)",)


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        ([">50K", "<=50K", ">50K."], ["'>50K' and '>50K.'"]),
        (["a b", "AB", "a.b", "c"], ["'a b' and 'AB' and 'a.b'"]),
        (["1", "1.0", "10", "1.10"], ["'1' and '1.0'"]),
        (["v1.0", "v10", "-1", "1"], []),
    ],
)
def test_names_that_differ_by_little_are_found(names, alike):
    assert variants(names) == alike
