"""MNIST from small IDX files in the true format, and from the real ones where they are."""

import gzip

import numpy as np
import pytest
from data_writers import SHARED, idx, official
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

import mia.data
from mia.checks import RequestError
from mia.data.mnist import MnistOptions, read_idx

RNG = np.random.default_rng(0)
TRAIN, TEST = RNG.integers(0, 256, (20, 28, 28)), RNG.integers(0, 256, (10, 28, 28))
NAMES = [source.file for source in MnistOptions.sources]


def load(monkeypatch, tmp_path, *parts):
    root = official(monkeypatch, "mnist", tmp_path / "root", dict(zip(NAMES, parts, strict=True)))
    return mia.data.load(MnistOptions(root=str(root)))


def test_training_and_test_files_are_pooled(monkeypatch, tmp_path):
    parts = idx(TRAIN), idx(np.arange(20) % 10), idx(TEST), idx(np.arange(10))
    data = load(monkeypatch, tmp_path, *parts)
    assert data.x.shape == (30, 28, 28, 1)
    assert (data.x.dtype, data.y.dtype, data.scale, data.num_classes) == (np.uint8, np.int32, 1 / 255, 10)
    np.testing.assert_array_equal(data.x[..., 0], np.concatenate([TRAIN, TEST]))
    np.testing.assert_array_equal(data.y, np.arange(30) % 10)


GOOD = idx(TEST)
BAD = {
    "not gzip": b"text",
    "cut": GOOD[:100],
    "short": gzip.compress(gzip.decompress(GOOD)[:-1]),
    "header only": gzip.compress(b"\0\0\x08"),
    "floats": gzip.compress(b"\0\0\x0d" + gzip.decompress(GOOD)[3:]),
}


@pytest.mark.parametrize("kind", BAD)
def test_other_files_are_refused(monkeypatch, tmp_path, kind):
    with pytest.raises(RequestError, match=r"^data=mnist [^\n]*t10k-images[^\n]*$"):
        load(monkeypatch, tmp_path, idx(TRAIN), idx(np.arange(20) % 10), BAD[kind], idx(np.arange(10)))


@given(arrays(np.uint8, array_shapes(max_dims=4, max_side=5)))
def test_arrays_survive_the_format(array):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "array.gz"
        path.write_bytes(idx(array))
        np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.skipif(not (SHARED / "mnist").exists(), reason="the shared files are not here")
def test_the_real_files():
    data = mia.data.load(MnistOptions(root=str(SHARED)))
    assert data.x.shape == (70_000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(data.y), [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958])
