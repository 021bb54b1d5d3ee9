"""Decoded arrays are made once, survive nothing damaged, and never stand in the way."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mia.checks import RequestError
from mia.data.cache import cached

ARRAYS = {"x": np.arange(1000, dtype=np.uint8).reshape(10, 100), "names": np.array(["a", "bc"])}


class Build:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return dict(ARRAYS)


def check(arrays):
    assert arrays.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], expected)
        assert arrays[name].dtype == expected.dtype


def stored(cache_folder):
    return list((cache_folder / "arrays").glob("*.npz"))


def test_built_once_per_key(cache_folder):
    build = Build()
    check(cached("test", "one", build))
    check(cached("test", "one", build))
    assert build.calls == 1
    check(cached("test", "another", build))
    assert build.calls == 2
    assert len(stored(cache_folder)) == 2
    assert not list((cache_folder / "arrays").glob("*.part"))


def flip(content):
    middle = content.index(bytes(range(100)))
    return content[:middle] + b"\xff" + content[middle + 1 :]


@pytest.mark.parametrize("damage", [flip, lambda c: c[: len(c) // 2], lambda _: b"", lambda _: b"\x80\x04N."])
def test_damaged_caches_are_made_again(cache_folder, damage, caplog):
    build = Build()
    cached("test", "key", build)
    (path,) = stored(cache_folder)
    path.write_bytes(damage(path.read_bytes()))
    check(cached("test", "key", build))
    assert build.calls == 2
    assert "damaged" in caplog.text
    check(cached("test", "key", build))
    assert build.calls == 2


def test_an_error_while_building_stores_nothing(cache_folder):
    def fail():
        raise RequestError("data=x is wrong")

    with pytest.raises(RequestError, match="data=x is wrong"):
        cached("test", "key", fail)
    assert not stored(cache_folder)
    check(cached("test", "key", Build()))


def test_no_place_to_cache_is_no_obstacle(cache_folder, caplog):
    cache_folder.write_text("a file where the folder should be")
    check(cached("test", "key", Build()))
    assert "cannot cache" in caplog.text


def test_a_full_disk_is_no_obstacle(cache_folder, caplog, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    check(cached("test", "key", Build()))
    assert "No space left" in caplog.text
    assert [path.suffix for path in (cache_folder / "arrays").iterdir()] in ([], [".lock"])


def test_those_who_start_together_build_once():
    entered = threading.Event()
    calls = []

    def slow():
        calls.append(1)
        entered.set()
        time.sleep(0.05)
        return dict(ARRAYS)

    with ThreadPoolExecutor(4) as pool:
        for arrays in pool.map(lambda _: cached("test", "key", slow), range(4)):
            check(arrays)
    assert len(calls) == 1
