"""Any table: what its columns become, and one clear line for every way it can be broken."""

import sys

import numpy as np
import pandas as pd
import pytest

import mia.data
from mia.checks import RequestError
from mia.data import kinds, parquet_file
from mia.data.table import TableOptions

RNG = np.random.default_rng(0)
N = 40
GOOD = {
    "age": RNG.integers(18, 90, N),
    "income": RNG.normal(3000.5, 100, N).round(2),
    "city": RNG.choice(["Rome", "Oslo", "Lima"], N),
    "member": RNG.integers(0, 2, N),
    "code": RNG.integers(100, 105, N),
    "class": np.array(["no", "yes"] * (N // 2)),
}


def write(tmp_path, columns, suffix=".csv"):
    frame = pd.DataFrame(columns)
    path = tmp_path / f"mine{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def load(path, label="class", **rest):
    return mia.data.load(TableOptions(path=str(path), label=label, **rest))


def refused(path, label="class", **rest):
    with pytest.raises(RequestError) as error:
        load(path, label, **rest)
    text = str(error.value)
    assert text.startswith("data.")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_become_what_they_are(tmp_path, suffix):
    data = load(write(tmp_path, GOOD, suffix), categories=["code"])
    kinds = [(group.name, group.kind, group.stop - group.start) for group in data.features]
    codes = len(set(GOOD["code"]))
    assert kinds == [
        ("age", "number", 1),
        ("income", "number", 1),
        ("city", "category", 3),
        ("member", "bit", 1),
        ("code", "category", codes),
    ]
    assert data.x.shape == (N, 6 + codes)
    assert (data.x.dtype, data.scale, data.name) == (np.float32, 1, "mine")
    np.testing.assert_array_equal(data.y, [0, 1] * (N // 2))
    assert data.class_names == ("no", "yes")
    np.testing.assert_array_equal(data.x[:, 5], GOOD["member"])
    ages = np.asarray(GOOD["age"], float)
    np.testing.assert_allclose(data.x[:, 0], (ages - ages.mean()) / ages.std(), rtol=1e-5, atol=1e-6)


def test_csv_and_parquet_give_the_same_data_set(tmp_path):
    assert load(write(tmp_path, GOOD)).fingerprint == load(write(tmp_path, GOOD, ".parquet")).fingerprint


def test_a_table_without_numbers_stays_bytes(tmp_path):
    data = load(write(tmp_path, {name: GOOD[name] for name in ("city", "member", "class")}))
    assert data.x.dtype == np.uint8


def test_columns_can_be_left_out(tmp_path):
    data = load(write(tmp_path, GOOD), drop=["age", "city"])
    assert [group.name for group in data.features] == ["income", "member", "code"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_missing_category_is_a_category(tmp_path, suffix):
    city = np.where(np.arange(N) % 10 == 0, None, GOOD["city"])
    data = load(write(tmp_path, GOOD | {"city": city}, suffix))
    (group,) = (group for group in data.features if group.name == "city")
    assert group.stop - group.start == 4
    np.testing.assert_array_equal(data.x[:, group.start], np.arange(N) % 10 == 0)  # "?" sorts first


def test_missing_numbers_are_refused_unless_asked_for(tmp_path):
    age = np.where(np.arange(N) % 10 == 0, np.nan, GOOD["age"])
    path = write(tmp_path, GOOD | {"age": age})
    assert "column 'age' has no value in 4 of 40 records (10.0%)" in refused(path)
    data = load(path, missing="indicator")
    assert [group.name for group in data.features][:2] == ["age", "age is missing"]
    np.testing.assert_array_equal(data.x[:, 1], np.arange(N) % 10 == 0)
    np.testing.assert_array_equal(data.x[::10, 0], 0)


def test_numeric_and_boolean_labels(tmp_path):
    data = load(write(tmp_path, GOOD | {"class": [3, 10] * (N // 2)}))
    assert data.class_names == ("3", "10")
    data = load(write(tmp_path, GOOD | {"class": [True, False] * (N // 2)}))
    np.testing.assert_array_equal(data.y, [1, 0] * (N // 2))


def test_true_and_false_are_bits(tmp_path):
    for suffix in (".csv", ".parquet"):
        data = load(write(tmp_path, {"b": GOOD["member"] == 1, "class": GOOD["class"]}, suffix))
        assert data.features[0].kind == "bit"
        np.testing.assert_array_equal(data.x[:, 0], GOOD["member"])


def with_first(column, value):
    return GOOD | {column: [value, *GOOD[column][1:].tolist()]}


BAD = {
    "column 'age' holds numbers but also text, such as 'old' in record 0": with_first("age", "old"),
    "column 'income' holds infinite values, first in record 0": with_first("income", np.inf),
    "column 'city' holds 40 different values": GOOD | {"city": [f"city {i}" for i in range(N)]},
    "column 'age' holds no values": GOOD | {"age": [None] * N},
    "data.label='class' has no value in 1 of 40 records": with_first("class", None),
    "data.label='class' holds one class only, 'no'": GOOD | {"class": ["no"] * N},
    "data.label='class' holds 40 different values in 40 records": GOOD | {"class": range(N)},
    "data.label='class' holds fractions such as": GOOD | {"class": GOOD["income"]},
    "holds 3 records; the smallest experiment needs 4": {name: column[:3] for name, column in GOOD.items()},
    "holds 0 records": {name: column[:0] for name, column in GOOD.items()},
    "holds no column but data.label='class'": {"class": GOOD["class"]},
    "holds a column without a name (a row number?); leave it out: data.drop=['Unnamed: 0']": {"": range(N)} | GOOD,
}


@pytest.mark.parametrize("message", BAD)
def test_broken_tables_are_refused(tmp_path, message, monkeypatch):
    monkeypatch.setattr(kinds, "MAX_VALUES", 10)
    assert message in refused(write(tmp_path, BAD[message]))


def test_columns_that_are_not_there_are_named(tmp_path):
    path = write(tmp_path, GOOD)
    assert "data.label='clas' is no column, did you mean 'class'?; columns: age, income" in refused(path, "clas")
    assert "data.drop='agee' is no column, did you mean 'age'?" in refused(path, drop=["agee"])
    assert "data.categories='zip' is no column; columns:" in refused(path, categories=["zip"])


def test_parquet_columns_of_other_types_are_refused(tmp_path):
    for column in (pd.timedelta_range("1D", periods=N), [[1, 2]] * N, [b"x"] * N, [{"a": 1}] * N):
        text = refused(write(tmp_path, GOOD | {"odd": column}, ".parquet"))
        assert "column 'odd' holds values of type" in text
        assert "data.drop=['odd']" in text


TEXTS = {
    "": "cannot be read as .csv",
    "a,b,class\n1,2,x\n1,2,3,y\n": "cannot be read as .csv",
    "a,b,class\n" + "1,2,3,y\n" * 10: "cannot be read as .csv",
    "a;class\n" + "1;x\n2;y\n" * 5: "set data.separator=semicolon",
    "a,a,class\n" + "1,2,x\n2,1,y\n" * 5: "two columns of one name; names must differ: 'a'",
    'a,class\n1,"x\n': "cannot be read as .csv",
}


@pytest.mark.parametrize("text", TEXTS)
def test_broken_csv_files_are_refused(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    if TEXTS[text] is None:
        assert load(path).x.shape[1] == 2
    else:
        assert TEXTS[text] in refused(path)


def test_binary_rubbish_is_refused(tmp_path):
    for suffix in (".csv", ".parquet"):
        path = tmp_path / f"mine{suffix}"
        path.write_bytes(bytes(range(256)) * 8)
        assert f"cannot be read as {suffix}" in refused(path)
    whole = write(tmp_path, GOOD, ".parquet").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path)


def test_other_files_are_refused(tmp_path):
    assert "is a folder" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "none.csv")
    (tmp_path / "mine.xlsx").write_bytes(b"x")
    assert "ends in '.xlsx'; it must be a .csv or .parquet file" in refused(tmp_path / "mine.xlsx")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD, ".parquet")
    monkeypatch.setattr(parquet_file, "MAX_BYTES", 1000)
    assert "unpacks to 1,920 bytes" in refused(path)


def calls_for(path):
    """Count Python's function calls while a table is loaded: a measure that does not depend on the machine."""
    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        load(path)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_work_grows_with_the_columns_and_no_faster(tmp_path, suffix):
    counts = []
    for width in (300, 600, 1200):
        columns = {f"c{i}": RNG.normal(size=8).round(3) for i in range(width)} | {"class": ["a", "b"] * 4}
        counts.append(calls_for(write(tmp_path, columns, suffix)))
    assert counts[2] - counts[1] < 2.2 * (counts[1] - counts[0])


def test_what_was_made_of_each_column_is_told(tmp_path):
    age = np.where(np.arange(N) % 10 == 0, np.nan, GOOD["age"])
    columns = {name: GOOD[name] for name in ("city", "member", "class")} | {
        "age": age,
        "id": range(N),
        "who": GOOD["city"],
    }
    data = load(write(tmp_path, columns), missing="indicator", drop=["id"], group="who")
    told = {row.name: (row.kind, row.values, row.missing, row.low, row.high) for row in data.columns}
    assert told == {
        "city": ("category", 3, 0, "", ""),
        "member": ("bit", 2, 0, "", ""),
        "class": ("label", 2, 0, "", ""),
        "age": ("number", 0, 4, f"{np.nanmin(age):g}", f"{np.nanmax(age):g}"),
        "id": ("left out", 0, 0, "", ""),
        "who": ("group", 0, 0, "", ""),
    }
    assert f"age: number, {np.nanmin(age):g} to {np.nanmax(age):g}, 4 missing" in [row.words for row in data.columns]
    assert "city: category of 3 values" in [row.words for row in data.columns]
    assert "age" not in {group.name for group in data.features if group.kind == "category"}
