"""A person's own .npz: what is read, how, and what is refused."""

import io
import zipfile

import numpy as np
import pytest

import mia.data
from mia.checks import RequestError
from mia.data import arrays
from mia.data.arrays import ArraysOptions

Y = np.array([0, 1, 2, 0, 1, 2])
TABLE = np.arange(18, dtype=np.float64).reshape(6, 3)


def load(tmp_path, scale=None, **content):
    path = tmp_path / "mine.npz"
    np.savez(path, **content)
    return mia.data.load(ArraysOptions(path=str(path), scale=scale))


def test_pictures_stay_bytes_and_get_a_channel_axis(tmp_path):
    x = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4)
    data = load(tmp_path, x=x, y=Y, class_names=np.array(["a", "b", "c"]))
    assert data.x.shape == (6, 5, 4, 1)
    assert data.x.dtype == np.uint8
    np.testing.assert_array_equal(data.x[..., 0], x)
    assert data.scale == 1 / 255
    assert data.y.dtype == np.int32
    assert data.class_names == ("a", "b", "c")
    assert (data.name, data.num_classes, data.features) == ("mine", 3, ())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_float32_and_are_not_scaled(tmp_path, dtype):
    data = load(tmp_path, x=TABLE.astype(dtype), y=Y)
    assert data.x.dtype == np.float32
    np.testing.assert_array_equal(data.x, TABLE)
    assert data.scale == 1


def test_a_scale_that_is_given_counts(tmp_path):
    assert load(tmp_path, scale=0.5, x=np.zeros((6, 2, 2), np.uint8), y=Y).scale == 0.5


def test_columns_of_bits_are_known_as_such(tmp_path):
    data = load(tmp_path, x=np.array([[0, 7], [1, 0], [0, 1], [1, 1], [0, 0], [1, 0]], np.uint8), y=Y)
    assert [(group.kind, group.start, group.stop) for group in data.features] == [("bit", 0, 1), ("number", 1, 2)]
    assert data.scale == 1
    data = load(tmp_path, x=np.array([[0, 0.5]] * 6), y=Y)
    assert [group.kind for group in data.features] == ["bit", "number"]
    data = load(tmp_path, x=np.array([[True, False]] * 6), y=Y)
    assert data.x.dtype == np.uint8


BAD = {
    "no array 'x'": {"X": TABLE, "y": Y},
    "holds y, z, but no array 'x'": {"y": Y, "z": TABLE},
    "x of type int64; it must be uint8": {"x": TABLE.astype(int), "y": Y},
    "x of type <U1": {"x": np.array([["a"]] * 6), "y": Y},
    "x of shape (6,)": {"x": TABLE[:, 0], "y": Y},
    "x of shape (6, 1, 1, 1, 1)": {"x": np.zeros((6, 1, 1, 1, 1)), "y": Y},
    "y of type float64; labels must be the integers 0 .. C-1": {"x": TABLE, "y": Y.astype(float)},
    "y of shape (6, 1)": {"x": TABLE, "y": Y[:, None]},
    "labels from -1 to 1": {"x": TABLE, "y": Y - 1},
    "labels from 0 to 18446744073709551615": {"x": TABLE, "y": np.array([0, 1, 0, 1, 0, 2**64 - 1], np.uint64)},
    "no record of class 0": {"x": TABLE, "y": Y + 1},
    "6 records in x but 5 labels in y": {"x": TABLE, "y": Y[:5]},
    "NaN or infinite": {"x": np.full((6, 2), 1e300), "y": Y},
    "one class only": {"x": TABLE, "y": Y * 0},
    "holds 0 records": {"x": TABLE[:0], "y": Y[:0]},
    "2 class names for 3 classes": {"x": TABLE, "y": Y, "class_names": np.array(["a", "b"])},
    "pickled objects, which could run code": {"x": np.array([[1], [None]] * 3, object), "y": Y},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arrays_are_refused(tmp_path, message):
    with pytest.raises(RequestError) as error:
        load(tmp_path, **BAD[message])
    assert str(error.value).startswith(f"data.path={str(tmp_path / 'mine.npz')!r} ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def npz(**content):
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    return buffer.getvalue()


def lying_header():
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (10**13, 4)})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", buffer.getvalue() + b"1234")
        file.writestr("y.npy", b"")
    return archive.getvalue()


GOOD = npz(x=TABLE, y=Y)
BROKEN = {
    "text": b"x,y\n1,2\n",
    "nothing": b"",
    "truncated": GOOD[: len(GOOD) // 2],
    "flipped": GOOD[:200] + bytes([GOOD[200] ^ 255]) + GOOD[201:],
    "pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.",
    "header that lies": lying_header(),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_are_refused(tmp_path, kind):
    path = tmp_path / "mine.npz"
    path.write_bytes(BROKEN[kind])
    with pytest.raises(RequestError, match=r"^data\.path=[^\n]*$"):
        mia.data.load(ArraysOptions(path=str(path)))


def test_a_folder_or_nothing_is_refused(tmp_path):
    with pytest.raises(RequestError, match="is a folder"):
        mia.data.load(ArraysOptions(path=str(tmp_path)))
    with pytest.raises(RequestError, match="does not exist"):
        mia.data.load(ArraysOptions(path=str(tmp_path / "none.npz")))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", 1000)
    with pytest.raises(RequestError, match=r"holds 'x' of 10,128 bytes; an array may have 1,000"):
        load(tmp_path, x=np.zeros((10, 1000), np.uint8), y=Y)
