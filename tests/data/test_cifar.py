"""CIFAR-10 and CIFAR-100 from small archives in the true format."""

import dataclasses

import numpy as np
import pytest
from data_writers import official, tar
from hypothesis import given
from hypothesis import strategies as st

import mia.data
from mia.checks import RequestError
from mia.data import cifar
from mia.data.cifar import Cifar10Options, Cifar100Options

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def records(labels, label_bytes, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (len(labels), label_bytes + 3072), dtype=np.uint8)
    rows[:, label_bytes - 1] = labels
    return rows


@pytest.fixture
def cifar10(monkeypatch, tmp_path):
    monkeypatch.setattr(cifar, "CIFAR10", dataclasses.replace(cifar.CIFAR10, per_class=6))
    batches = {name: records(range(10), 1, seed) for seed, name in enumerate(cifar.CIFAR10.members)}
    members = {f"cifar-10-batches-bin/{name}": rows.tobytes() for name, rows in reversed(batches.items())}
    members["cifar-10-batches-bin/batches.meta.txt"] = ("\n".join(NAMES) + "\n\n").encode()
    members["cifar-10-batches-bin/readme.html"] = b"<html>"

    def write(**changed):
        contents = {"cifar-10-binary.tar.gz": tar(members | changed)}
        return str(official(monkeypatch, "cifar10", tmp_path / "root", contents))

    return write, np.concatenate(list(batches.values()))


def test_cifar10_pools_training_and_test_batches(cifar10):
    write, rows = cifar10
    data = mia.data.load(Cifar10Options(root=write()))
    assert data.x.shape == (60, 32, 32, 3)
    assert (data.x.dtype, data.y.dtype, data.scale, data.num_classes) == (np.uint8, np.int32, 1 / 255, 10)
    assert data.class_names == NAMES
    np.testing.assert_array_equal(data.y, rows[:, 0])
    for record, row, column in ((0, 0, 0), (17, 3, 31), (59, 31, 30)):
        planes = rows[record, 1:]
        expected = [planes[channel * 1024 + row * 32 + column] for channel in range(3)]
        np.testing.assert_array_equal(data.x[record, row, column], expected)


def test_the_second_load_reads_the_cache_but_checks_the_file(cifar10, monkeypatch):
    write, _ = cifar10
    root = write()
    first = mia.data.load(Cifar10Options(root=root))
    monkeypatch.setattr(cifar, "_decode", None)
    assert mia.data.load(Cifar10Options(root=root)).fingerprint == first.fingerprint
    with open(f"{root}/cifar-10-binary.tar.gz", "r+b") as file:  # noqa: PTH123
        file.write(b"\0")
    with pytest.raises(RequestError, match="damaged or another file"):
        mia.data.load(Cifar10Options(root=root))


def test_other_structures_are_refused(cifar10):
    write, _ = cifar10
    first = "cifar-10-batches-bin/data_batch_1.bin"
    for content, message in (
        (bytes(3073 * 10 - 1), "records of 3,073 bytes"),
        (bytes(3073), "6 records of each of 10"),
    ):
        with pytest.raises(RequestError, match=message):
            mia.data.load(Cifar10Options(root=write(**{first: content})))


def test_a_damaged_archive_is_refused(cifar10, monkeypatch, tmp_path):
    write, _ = cifar10
    root = write()
    with open(f"{root}/cifar-10-binary.tar.gz", "rb") as file:  # noqa: PTH123
        whole = file.read()
    for content in (whole[: len(whole) // 2], b"not an archive", tar({"other.bin": b"x"})):
        root = str(official(monkeypatch, "cifar10", tmp_path / "root", {"cifar-10-binary.tar.gz": content}))
        with pytest.raises(RequestError, match=r"^data=cifar10.* the archive [^\n]*$"):
            mia.data.load(Cifar10Options(root=root))


def test_cifar100_uses_the_fine_labels(monkeypatch, tmp_path):
    monkeypatch.setattr(cifar, "CIFAR100", dataclasses.replace(cifar.CIFAR100, per_class=2))
    train, test = records(range(100), 2, 0), records(range(99, -1, -1), 2, 1)
    members = {
        "cifar-100-binary/fine_label_names.txt": "\n".join(f"name_{i}" for i in range(100)).encode(),
        "cifar-100-binary/test.bin": test.tobytes(),
        "cifar-100-binary/train.bin": train.tobytes(),
    }
    contents = {"cifar-100-binary.tar.gz": tar(members)}
    root = official(monkeypatch, "cifar100", tmp_path / "root", contents)
    data = mia.data.load(Cifar100Options(root=str(root)))
    np.testing.assert_array_equal(data.y, [*range(100), *range(99, -1, -1)])
    assert data.class_names[99] == "name_99"
    np.testing.assert_array_equal(data.x[150, 0, 0], test[50, [2, 1026, 2050]])


@given(st.integers(0, 2**32 - 1))
def test_planes_become_pixels(seed):
    planes = np.random.default_rng(seed).integers(0, 256, (2, 3072), dtype=np.uint8)
    pixels = cifar.planes_to_pixels(planes)
    row, column, channel = seed % 32, seed // 32 % 32, seed // 1024 % 3
    assert pixels[1, row, column, channel] == planes[1, channel * 1024 + row * 32 + column]
