"""A data set that does not hold together is refused in one line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mia.checks import RequestError
from mia.data.validate import validate
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
