"""The pool store: whole or not at all, found again by what made it, one trainer at a time."""

import errno
import json
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from mia.files import StorageError, whole_file
from mia.store import CURVES, PoolStore, TrainedModel

IDENTITY = {"data": "d", "train": {"l2": 0.1}, "seed": 0}


def trained(value: float) -> TrainedModel:
    curves = {name: np.full(3, value, np.float32) for name in CURVES}
    return TrainedModel(
        {"dense/kernel": np.full((2, 3), value, np.float32)}, curves, np.full((5, 2), value, np.float32)
    )


@pytest.fixture
def store(tmp_path):
    return PoolStore(tmp_path / "pools")


def test_what_was_saved_is_read_back_by_the_same_identity(store):
    store.pool(IDENTITY).save(3, trained(1.5))
    again = PoolStore(store.folder).pool(dict(reversed(IDENTITY.items())))
    assert again.missing([2, 3]) == [2]
    logits, curves = again.signals(3)
    np.testing.assert_array_equal(logits, trained(1.5).logits)
    assert set(curves) == set(CURVES)
    np.testing.assert_array_equal(again.parameters(3)["dense/kernel"], np.full((2, 3), 1.5))


@pytest.mark.parametrize("change", [{"seed": 1}, {"train": {"l2": 0.2}}, {"data": "e"}])
def test_another_identity_finds_nothing(store, change):
    store.pool(IDENTITY).save(0, trained(1))
    assert store.pool(IDENTITY | change).missing([0]) == [0]


@pytest.mark.parametrize("ending", ["npz", "safetensors", "json"])
def test_a_damaged_model_is_set_aside_and_missing(store, ending):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    pool.save(1, trained(2))
    damaged = pool.folder / f"0000.{ending}"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    fresh = store.pool(IDENTITY)
    assert fresh.missing([0, 1]) == [0]
    assert damaged.exists()  # only whoever holds the lock moves files
    fresh.save(0, trained(1))
    assert (fresh.folder / "damaged" / damaged.name).exists()
    assert "model 0" in fresh.set_aside[0]
    assert store.pool(IDENTITY).missing([0, 1]) == []


def test_a_model_without_its_manifest_was_never_finished(store):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    (pool.folder / "0000.json").unlink()
    assert pool.missing([0]) == [0]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("before")

    def write_half():
        with whole_file(path) as temporary:
            temporary.write_text("aft")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        write_half()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path):
    (tmp_path / "pools").write_text("a file stands in the way")
    with pytest.raises(StorageError, match="MIA_HOME") as caught:
        PoolStore(tmp_path / "pools").pool(IDENTITY).save(0, trained(1))
    assert "\n" not in str(caught.value)


def _hold(folder, order):
    store = PoolStore(folder)
    with store.training([store.pool(IDENTITY)]):
        order.append("in")
        time.sleep(0.3)
        order.append("out")


def test_one_process_at_a_time_trains_a_pool(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        order = manager.list()
        processes = [context.Process(target=_hold, args=(tmp_path, order)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert list(order) == ["in", "out", "in", "out"]


def test_pools_are_listed_with_what_made_them_and_removed_whole(store):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    pool.save(1, trained(1))
    assert store.fingerprints() == [pool.fingerprint]
    found = store.describe(pool.fingerprint)
    assert found["identity"] == json.loads(json.dumps(IDENTITY))
    assert found["models"] == 2
    assert found["bytes"] > 0
    store.remove(pool.fingerprint)
    assert store.fingerprints() == []
    assert not pool.folder.exists()


def test_a_pool_in_training_is_not_removed(store):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    with store.training([pool]), pytest.raises(StorageError, match="being trained"):
        store.remove(pool.fingerprint)
    assert store.pool(IDENTITY).missing([0]) == []


def test_what_killed_writers_left_is_swept_up_by_the_next_trainer(store):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    leftover = pool.folder / ".0001.npz.abc.tmp"
    leftover.write_bytes(b"half")
    with store.training([pool]):
        assert not leftover.exists()
    assert pool.missing([0]) == []


@pytest.mark.parametrize("content", [None, "", "[1]", "{", '{"model": 3, "train": [1]}'])
def test_pools_without_models_or_with_a_damaged_identity_are_listed_and_removed(store, content):
    folder = store.folder / "0123456789abcdef0123"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "pool.json").write_text(content)
    assert store.fingerprints() == [folder.name]
    assert store.describe(folder.name)["models"] == 0
    store.remove(folder.name)
    assert store.fingerprints() == []


def test_a_damaged_identity_is_written_again(store):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    (pool.folder / "pool.json").write_text("{")
    pool.save(1, trained(1))
    assert store.describe(pool.fingerprint)["identity"]["seed"] == 0


@pytest.mark.parametrize("ending", ["safetensors", "npz", "json"])
def test_a_full_disk_leaves_no_half_of_a_model(store, monkeypatch, ending):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    before = {path: path.read_bytes() for path in pool.folder.iterdir()}
    replace = Path.replace

    def full(path, target):
        if target.name == f"0001.{ending}":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left on device; free space") as caught:
        pool.save(1, trained(2))
    assert "\n" not in str(caught.value)
    assert pool.missing([0, 1]) == [1]
    assert {path: path.read_bytes() for path in before} == before
    assert not list(pool.folder.glob(".*.tmp"))


def test_a_pool_that_cannot_be_read_is_said_in_one_line(store):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    (pool.folder / "0000.npz").unlink()
    (pool.folder / "0000.npz").mkdir()  # root may read everything: a folder stands for what cannot be read
    with pytest.raises(StorageError, match=r"cannot read .*trained again"):
        pool.missing([0])
