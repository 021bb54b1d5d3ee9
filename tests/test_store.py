"""The pool store: whole or not at all, found again by what made it, one trainer at a time."""

import contextlib
import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import stat
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from mia.files import StorageError, whole_file
from mia.store import CURVES, PoolStore, TrainedModel, User
from mia.store import pool as pool_module

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
    logits, curves = again.answers(3).logits, again.curves(3)
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


def test_a_file_that_is_renamed_meanwhile_does_not_keep_its_pool_from_being_described(store, monkeypatch):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    temporary, listed = pool.folder / ".0001.npz.abc.tmp", Path.rglob
    before = store.describe(pool.fingerprint)
    monkeypatch.setattr(Path, "rglob", lambda folder, pattern: [*listed(folder, pattern), temporary])
    assert store.describe(pool.fingerprint) == before


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


def test_a_pool_that_cannot_be_read_is_said_in_one_line(store, monkeypatch):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    manifest = json.loads((pool.folder / "0000.json").read_text())
    monkeypatch.setattr("mia.store.pool.read_json", lambda _: manifest)
    monkeypatch.setattr("mia.files.os.open", fail)
    with pytest.raises(StorageError, match=r"cannot read .*Input/output error.*trained again") as caught:
        store.pool(IDENTITY).missing([0])
    assert "\n" not in str(caught.value)


def npz(path, **arrays):
    with path.open("wb") as file:
        np.savez(file, **arrays)


ANSWERS = {"logits": trained(1).logits, **trained(1).curves}
TAMPERED = {
    "wrong shape": ANSWERS | {"logits": np.ones((4, 2), np.float32)},
    "one axis": ANSWERS | {"logits": np.ones(10, np.float32)},
    "not a number": ANSWERS | {"logits": np.full((5, 2), np.nan, np.float32)},
    "infinite": ANSWERS | {"logits": np.full((5, 2), np.inf, np.float32)},
    "complex": ANSWERS | {"logits": np.ones((5, 2), np.complex64)},
    "text": ANSWERS | {"logits": np.full((5, 2), "a")},
    "objects": ANSWERS | {"logits": np.full((5, 2), None)},
    "no logits": {name: ANSWERS[name] for name in CURVES},
    "a missing curve": {name: value for name, value in ANSWERS.items() if name != "test_loss"},
    "a longer curve": ANSWERS | {"test_loss": np.ones(4, np.float32)},
    "a curve of text": ANSWERS | {"test_loss": np.array(["a", "b", "c"])},
}


def write_manifest(pool, *, describes):
    """What somebody does who changes a file and is no fool: compute the checksums again."""
    path = pool.folder / "0000.json"
    manifest = json.loads(path.read_text())
    for ending in manifest["sha256"]:
        manifest["sha256"][ending] = hashlib.sha256((pool.folder / f"0000.{ending}").read_bytes()).hexdigest()
    if not describes:
        del manifest["holds"]  # as in pools of earlier versions
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("describes", [True, False])
@pytest.mark.parametrize("content", TAMPERED)
def test_answers_that_were_tampered_with_are_set_aside_though_their_checksum_fits(store, content, describes):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    npz(pool.folder / "0000.npz", **TAMPERED[content])
    write_manifest(pool, describes=describes)
    shapes = {} if describes else {"logits": (5, 2)}
    fresh = store.pool(IDENTITY, shapes)
    assert fresh.missing([0]) == [0]
    fresh.save(0, trained(1))
    (line,) = fresh.set_aside
    assert str(pool.folder) in line
    assert "\n" not in line
    assert store.pool(IDENTITY, shapes).missing([0]) == []


@pytest.mark.parametrize("describes", [True, False])
def test_pools_of_earlier_versions_serve_and_so_do_curves_that_ended_early(store, describes):
    pool = store.pool(IDENTITY)
    curves = {name: np.array([1, 0.5, np.nan], np.float32) for name in CURVES}
    pool.save(0, TrainedModel(trained(1).parameters, curves, trained(1).logits))
    write_manifest(pool, describes=describes)
    fresh = store.pool(IDENTITY, {"logits": (5, 2)})
    assert fresh.missing([0]) == []
    np.testing.assert_array_equal(fresh.curves(0)["test_loss"], curves["test_loss"])


def test_logits_that_were_infinite_when_they_were_made_are_no_damage(store):
    pool = store.pool(IDENTITY)
    pool.save(0, TrainedModel(trained(1).parameters, trained(1).curves, np.full((5, 2), np.inf, np.float32)))
    assert store.pool(IDENTITY).missing([0]) == []


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize(
    "content", [np.full((2, 3), np.nan, np.float32), b"", b"\xff" * 100, b"\x08" + bytes(7) + b"[" * 99]
)
def test_parameters_that_were_tampered_with_are_set_aside(store, content, described):
    from safetensors.numpy import save

    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    content = content if isinstance(content, bytes) else save({"dense/kernel": content})
    (pool.folder / "0000.safetensors").write_bytes(content)
    write_manifest(pool, describes=described)
    assert store.pool(IDENTITY).missing([0]) == [0]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "null", "7", '{"model": 1, "sha256": {}}', "{" + " " * 2**25]
)
def test_a_manifest_that_is_none_is_damage(store, text):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    (pool.folder / "0000.json").write_text(text)
    assert store.pool(IDENTITY).missing([0]) == [0]


def test_files_of_another_model_are_damage(store):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    for path in list(pool.folder.glob("0000.*")):
        shutil.copy(path, path.with_name(path.name.replace("0000", "0001")))
    assert store.pool(IDENTITY).missing([0, 1]) == [1]


@pytest.mark.parametrize("name", ["0000.npz", "0000.safetensors", "0000.json", "pool.json", "users.json"])
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "nowhere"])
def test_what_is_no_file_is_never_waited_for(store, name, what):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    path = pool.folder / name
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if what == "device" else "/nowhere/at/all")
    fresh = store.pool(IDENTITY)
    assert fresh.missing([0]) == ([0] if name.startswith("0000") else [])
    assert store.users(pool.fingerprint) == {}
    assert store.describe(pool.fingerprint)["models"] >= 0
    if name.startswith("0000"):
        fresh.save(0, trained(1))
        assert store.pool(IDENTITY).missing([0]) == []


def test_a_file_that_is_larger_than_any_of_ours_is_not_read(store, monkeypatch):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    os.truncate(pool.folder / "0000.npz", 17 * 2**30)  # takes no room on the disk
    assert store.pool(IDENTITY).missing([0]) == [0]


def test_curves_are_read_without_the_logits(store, monkeypatch):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1.5))
    read = []
    monkeypatch.setattr("zipfile.ZipFile.open", lambda self, one, *_: read.append(one.filename) or open_(self, one))
    np.testing.assert_array_equal(pool.curves(0)["train_loss"], trained(1.5).curves["train_loss"])
    assert set(read) == {f"{name}.npy" for name in CURVES}
    np.testing.assert_array_equal(pool.answers(0).logits, trained(1.5).logits)


open_ = zipfile.ZipFile.open


def test_a_pool_names_who_uses_it_and_is_kept_for_others(store):
    first, second = User("1", "/a/mlflow.db"), User("2", "http://host:5000")
    PoolStore(store.folder, first).pool(IDENTITY).save(0, trained(1))
    pool = PoolStore(store.folder, second).pool(IDENTITY)
    assert store.users(pool.fingerprint) == {"1": "/a/mlflow.db"}
    assert pool.missing([0]) == []
    assert store.users(pool.fingerprint) == {"1": "/a/mlflow.db", "2": "http://host:5000"}
    with pytest.raises(StorageError, match="is used by http://host:5000: not removed"):
        store.remove(pool.fingerprint, {"1"})
    asked = time.time()
    assert pool.missing([0]) == []
    with pytest.raises(StorageError, match="has just been used"):
        store.remove(pool.fingerprint, {"1", "2"}, asked)
    store.remove(pool.fingerprint, {"1", "2"}, time.time() + 1)
    assert store.fingerprints() == []


def test_a_pool_is_removed_while_its_lock_is_held(store, monkeypatch):
    """Whoever waits for the lock must not find the files half gone, nor hold a lock that lies nowhere."""
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    remove = shutil.rmtree
    states = []

    def watched(folder, **options):
        lock = FileLock(pool.folder / "lock", timeout=0)
        with contextlib.suppress(Timeout), lock:
            states.append("free")
        return remove(folder, **options)

    monkeypatch.setattr("shutil.rmtree", watched)
    store.remove(pool.fingerprint)
    assert states == []
    assert not pool.folder.exists()


def test_a_lock_of_a_pool_that_was_removed_meanwhile_is_taken_again(store, monkeypatch):
    pool = store.pool(IDENTITY)
    pool.save(0, trained(1))
    acquire, tries = pool.lock.acquire, []

    def acquire_late():
        tries.append(acquire())
        if len(tries) == 1:
            shutil.rmtree(pool.folder)  # by somebody who had the lock before us

    monkeypatch.setattr(pool.lock, "acquire", acquire_late)
    with store.training([pool]):
        assert len(tries) == 2
        pool.save(0, trained(1))
        with pytest.raises(StorageError, match="being trained"):
            PoolStore(store.folder).remove(pool.fingerprint)


def take_over(store, model, value):
    """Let another holder save a model, since the server of a shared disk has forgotten the lock."""
    newer = PoolStore(store.folder).pool(IDENTITY)
    (newer.folder / "lock").unlink()

    def save():
        with store.training([newer]):
            newer.save(model, trained(value))

    thread = threading.Thread(target=save)
    thread.start()
    thread.join()


def test_who_lost_the_lock_unawares_writes_over_nobody(store):
    late = store.pool(IDENTITY)
    with store.training([late]):
        late.save(0, trained(0))
        take_over(store, 1, 2)
        with pytest.raises(StorageError, match=f"taken over by process {os.getpid()} on .*: nothing is written"):
            late.save(1, trained(1))
    again = PoolStore(store.folder).pool(IDENTITY)
    assert again.missing([0, 1, 2]) == [2]
    np.testing.assert_array_equal(again.answers(1).logits, trained(2).logits)
    with store.training([again]):
        again.save(2, trained(3))
    assert again.missing([0, 1, 2]) == []


def test_who_loses_the_lock_while_writing_does_not_call_its_own_model_whole(store, monkeypatch):
    """Between its files and the manifest that would say that they are there."""
    late, describe, done = store.pool(IDENTITY), pool_module.describe, []

    def meanwhile(value):
        if not done:
            done.append(True)
            take_over(store, 0, 2)
        return describe(value)

    with store.training([late]):
        monkeypatch.setattr(pool_module, "describe", meanwhile)
        with pytest.raises(StorageError, match="taken over"):
            late.save(0, trained(1))
    fresh = PoolStore(store.folder).pool(IDENTITY)
    assert fresh.missing([0]) == []
    np.testing.assert_array_equal(fresh.answers(0).logits, trained(2).logits)


def test_a_disk_without_locks_is_named(store, monkeypatch):
    pool = store.pool(IDENTITY)

    def refuse():
        raise NotImplementedError("flock")

    monkeypatch.setattr(pool.lock, "acquire", refuse)
    with pytest.raises(StorageError, match="disk without file locks"), store.training([pool]):
        pass


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_new_files_have_the_permissions_that_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / ("long" * 60)) as path:
            path.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ("long" * 60)).stat().st_mode) == mode
