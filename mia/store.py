"""The pool store: trained models on disk, addressed by what made them.

`<folder>/<fingerprint>/pool.json` holds the identity in full; model k is `<k>.safetensors` (parameters), `<k>.npz`
(learning curves and logits on every record) and `<k>.json`, written last, with the checksums of both: a model is there
when its JSON is. A pool grows model by model under a lock, so two processes never train the same model twice.

Takes and gives NumPy arrays. Never trains, and never runs code from what it reads.
"""

import json
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mia.files import StorageError, explain, file_digest, remove_leftovers, whole_file
from mia.fingerprint import fingerprint, plain

CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


@dataclass(frozen=True)
class TrainedModel:
    """One trained model: what it learnt, how, and what it says about every record."""

    parameters: Mapping[str, np.ndarray]
    curves: Mapping[str, Float[np.ndarray, "E"]]  # the names in CURVES
    logits: Float[np.ndarray, "N C"]


class Pool:
    """The trained models of one configuration, some of them perhaps still to come."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.fingerprint = fingerprint(identity)
        self.folder = folder / self.fingerprint
        self.identity = identity
        self.set_aside: list[str] = []  # what was found damaged, one line each
        self._damaged: set[int] = set()

    @cached_property
    def lock(self) -> Any:
        """The lock that whoever trains this pool holds, across processes."""
        from filelock import FileLock

        return FileLock(self.folder / "lock")

    def missing(self, models: Iterable[int]) -> list[int]:
        """Return which of the models are not there; damaged ones count as missing, and `save` sets them aside."""
        return [model for model in models if not self._is_whole(model)]

    def save(self, model: int, trained: TrainedModel) -> None:
        """Write one model; it is there when this returns, and not at all before.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        if not _read_json(self.folder / "pool.json"):
            _write_json(self.folder / "pool.json", plain(self.identity))
        if model in self._damaged:
            self._put_aside(model)
        from safetensors.numpy import save  # not save_file: a full disk must raise OSError

        with whole_file(self._path(model, "safetensors")) as path:
            path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in trained.parameters.items()}))
        with whole_file(self._path(model, "npz")) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, logits=trained.logits, **trained.curves)
        checksums = {ending: file_digest(self._path(model, ending)) for ending in ("safetensors", "npz")}
        _write_json(self._path(model, "json"), {"model": model, "sha256": checksums})

    def signals(self, model: int) -> tuple[Float[np.ndarray, "N C"], dict[str, Float[np.ndarray, "E"]]]:
        """Return a model's logits on every record, and its learning curves."""
        with np.load(self._path(model, "npz"), allow_pickle=False) as arrays:
            return arrays["logits"], {name: arrays[name] for name in CURVES}

    def curves(self, model: int) -> dict[str, Float[np.ndarray, "E"]]:
        """Return a model's learning curves; its logits, which are most of the file, are not read."""
        with np.load(self._path(model, "npz"), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in CURVES}

    def parameters(self, model: int) -> dict[str, np.ndarray]:
        """Return a model's parameters by name."""
        from safetensors.numpy import load_file

        return load_file(self._path(model, "safetensors"))

    def _path(self, model: int, ending: str) -> Path:
        return self.folder / f"{model:04d}.{ending}"

    def _is_whole(self, model: int) -> bool:
        self._damaged.discard(model)
        manifest = self._path(model, "json")
        if not manifest.exists():
            return False
        try:
            checksums = _read_json(manifest).get("sha256", {})
            whole = all(file_digest(self._path(model, ending)) == digest for ending, digest in checksums.items())
            whole = whole and set(checksums) == {"safetensors", "npz"}
        except (AttributeError, FileNotFoundError):
            whole = False
        except OSError as error:
            raise StorageError(
                f"cannot read {self.folder}: {error.strerror}; restore it, or remove it to have it trained again"
            ) from error
        if not whole:
            self._damaged.add(model)
        return whole

    def _put_aside(self, model: int) -> None:
        """Move what is left of a damaged model out of the way; only whoever holds the lock may."""
        aside = self.folder / "damaged"
        try:
            aside.mkdir(exist_ok=True)
            for ending in ("json", "safetensors", "npz"):
                path = self._path(model, ending)
                if path.exists():
                    path.replace(aside / path.name)
        except OSError as error:
            raise StorageError(explain(aside, error)) from error
        self._damaged.discard(model)
        self.set_aside.append(
            f"model {model} of pool {self.fingerprint} is damaged: set aside in {aside} and trained again"
        )


class PoolStore:
    """All pools below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pool(self, identity: Mapping[str, Any]) -> Pool:
        """Return the pool of this identity, which may hold no model yet; nothing is written."""
        return Pool(self.folder, identity)

    @contextmanager
    def training(self, pools: Iterable[Pool]) -> Iterator[None]:
        """Hold the pools' locks, always taken in the same order; waits for a process that trains one of them."""
        with ExitStack() as stack:
            for pool in sorted(pools, key=lambda pool: pool.fingerprint):
                try:
                    pool.folder.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(pool.lock)
                    remove_leftovers(pool.folder)
                except OSError as error:
                    raise StorageError(explain(pool.folder, error)) from error
            yield

    def fingerprints(self) -> list[str]:
        """Return the names of all pools on disk."""
        return sorted(path.name for path in self.folder.glob("[0-9a-f]*") if path.is_dir())

    def describe(self, name: str) -> dict[str, Any]:
        """Return a pool's identity, number of models, bytes on disk and time of last change (seconds since 1970)."""
        folder = self.folder / name
        stats = [path.stat() for path in [folder, *folder.rglob("*")]]
        return {
            "identity": _read_json(folder / "pool.json"),
            "models": sum(1 for path in folder.glob("[0-9]*.json")),
            "bytes": sum(one.st_size for one in stats if stat.S_ISREG(one.st_mode)),
            "changed": max(one.st_mtime for one in stats),
        }

    def remove(self, name: str) -> None:
        """Delete a pool, unless somebody is training it.

        Raises:
            StorageError: the pool is in use, or cannot be removed.
        """
        from filelock import FileLock, Timeout

        folder = self.folder / name
        try:
            with FileLock(folder / "lock", timeout=0):
                for path in folder.glob("*.json"):  # a pool without its JSONs is not there, should we die half-way
                    path.unlink()
        except Timeout:
            raise StorageError(f"pool {name} is being trained right now: not removed") from None
        except OSError as error:
            raise StorageError(f"cannot remove {folder}: {error.strerror}") from error
        shutil.rmtree(folder, ignore_errors=True)


def _read_json(path: Path) -> dict[str, Any]:
    """Return a mapping, empty where the file is missing or damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_json(path: Path, value: Any) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
