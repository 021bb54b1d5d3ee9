"""Adult from small files in the true format, and from the real ones where they are."""

import numpy as np
import pytest
from data_writers import SHARED, official

import mia.data
from mia.checks import RequestError
from mia.data.adult import AdultOptions

TRAIN = """\
39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, Cuba, <=50K
50, ?, 83311, Bachelors, 13, Married, ?, Husband, White, Male, 0, 0, 13, ?, >50K
38, Private, 215646, HS-grad, 9, Divorced, Sales, Not-in-family, White, Male, 0, 0, 40, Cuba, <=50K

"""
TEST = """\
|1x3 Cross validator
25, Private, 226802, 11th, 7, Never-married, Sales, Own-child, Black, Male, 0, 0, 40, Cuba, >50K.

"""


def load(monkeypatch, tmp_path, train=TRAIN, test=TEST):
    contents = {"adult.data": train.encode(), "adult.test": test.encode()}
    return mia.data.load(AdultOptions(root=str(official(monkeypatch, "adult", tmp_path / "root", contents))))


def test_both_files_are_pooled_and_missing_is_a_category(monkeypatch, tmp_path):
    data = load(monkeypatch, tmp_path)
    np.testing.assert_array_equal(data.y, [0, 1, 0, 1])
    assert data.class_names == ("<=50K", ">50K")
    groups = {group.name: group for group in data.features}
    assert len(groups) == 14
    np.testing.assert_allclose(data.x[:, 0], (np.array([39, 50, 38, 25]) - 38) / np.std([39, 50, 38, 25]), rtol=1e-6)
    work = groups["workclass"]
    np.testing.assert_array_equal(data.x[:, work.start : work.stop], [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0]])
    assert (data.x.dtype, data.scale) == (np.float32, 1)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (TRAIN.replace(">50K", "rich"), "holds the label 'rich'"),
        (TRAIN.replace("77516", "many"), "column fnlwgt must hold numbers"),
        (TRAIN.replace("39, ", ""), "rows of 15 values"),
        ("", "rows of 15 values"),
        (TRAIN.replace("39", "n\u00f6"), "cannot be read"),
    ],
)
def test_other_files_are_refused(monkeypatch, tmp_path, train, message):
    with pytest.raises(RequestError, match=rf"^data=adult[^\n]*{message}[^\n]*$"):
        load(monkeypatch, tmp_path, train)


def test_columns_to_compare_are_told_as_they_lie_in_the_file_and_change_nothing_else(monkeypatch, tmp_path):
    plain = load(monkeypatch, tmp_path)
    sliced = mia.data.load(AdultOptions(root=str(tmp_path / "root"), slices=["sex", "race", "age"]))
    assert {name: values.tolist() for name, values in sliced.slices.items()} == {
        "sex": ["Male"] * 4,
        "race": ["White", "White", "White", "Black"],
        "age": [39, 50, 38, 25],
    }
    assert sliced.fingerprint == plain.fingerprint
    assert not plain.slices
    with pytest.raises(RequestError, match=r"data\.slices='gender' is not known"):
        AdultOptions(slices=["gender"])


@pytest.mark.skipif(not (SHARED / "adult").exists(), reason="the shared files are not here")
def test_the_real_files():
    data = mia.data.load(AdultOptions(root=str(SHARED)))
    assert data.x.shape == (48_842, 108)
    assert data.y.sum() == 7841 + 3846
    numbers = [group.start for group in data.features if group.kind == "number"]
    assert len(numbers) == 6
    np.testing.assert_allclose(data.x[:, numbers].mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    categories = [group for group in data.features if group.kind == "category"]
    assert len(categories) == 8
    for group in categories:
        assert (data.x[:, group.start : group.stop].sum(axis=1) == 1).all()
