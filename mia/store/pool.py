"""Pools of trained models, and the folder that holds them all.

Takes identities and trained models; gives arrays. Whoever trains a pool holds its lock; whoever only reads needs none.
"""

import json
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mia.files import StorageError, explain, file_digest, remove_leftovers, whole_file
from mia.fingerprint import fingerprint, plain
from mia.store.content import (
    ANSWERS,
    CURVES,
    PARAMETERS,
    damage,
    describe,
    read_answers,
    read_json,
    read_parameters,
)

USERS = "users.json"


@dataclass(frozen=True)
class TrainedModel:
    """One trained model: what it learnt, how, and what it says about every record."""

    parameters: Mapping[str, np.ndarray]
    curves: Mapping[str, Float[np.ndarray, "E"]]  # the names in CURVES
    logits: Float[np.ndarray, "N C"]


@dataclass(frozen=True)
class User:
    """A tracking store whose runs use pools."""

    id: str
    address: str  # for people, without secrets


class Pool:
    """The trained models of one configuration, some of them perhaps still to come."""

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        user: User | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.fingerprint = fingerprint(identity)
        self.folder = folder / self.fingerprint
        self.identity = identity
        self.user = user
        self.shapes = shapes or {}  # of `logits` and the curves, where the caller knows them
        self.set_aside: list[str] = []  # what was found damaged, one line each
        self._damaged: dict[int, str] = {}

    @cached_property
    def lock(self) -> Any:
        """The lock that whoever trains this pool holds, across processes."""
        return _lock(self.folder / "lock")

    def missing(self, models: Iterable[int]) -> list[int]:
        """Return which of the models are not there; damaged ones count as missing, and `save` sets them aside.

        The pool notes first that its user's runs use it, so that it is not removed in between.
        """
        if self.user and self.folder.exists():
            with suppress(StorageError):  # a pool that can only be read serves as well
                self.used_by(self.user)
        return [model for model in models if not self._is_whole(model)]

    def used_by(self, user: User) -> None:
        """Note that runs of a tracking store use this pool, now.

        Raises:
            StorageError: that cannot be written.
        """
        path = self.folder / USERS
        try:
            with _held(self.folder / f"{USERS}.lock"):
                known = read_json(path)
                if known.get(user.id) != user.address:
                    _write_json(path, known | {user.id: user.address})
                os.utime(path)
        except OSError as error:
            raise StorageError(explain(path, error)) from error

    def save(self, model: int, trained: TrainedModel) -> None:
        """Write one model; it is there when this returns, and not at all before.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        if not read_json(self.folder / "pool.json"):
            _write_json(self.folder / "pool.json", plain(self.identity))
        if self.user and not (self.folder / USERS).exists():
            self.used_by(self.user)
        if model in self._damaged:
            self._put_aside(model)
        from safetensors.numpy import save  # not save_file: a full disk must raise OSError

        parameters = {name: np.ascontiguousarray(array) for name, array in trained.parameters.items()}
        answers = {"logits": trained.logits, **trained.curves}
        with whole_file(self._path(model, PARAMETERS)) as path:
            path.write_bytes(save(parameters))
        with whole_file(self._path(model, ANSWERS)) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **answers)
        checksums = {ending: file_digest(self._path(model, ending)) for ending in (PARAMETERS, ANSWERS)}
        holds = {PARAMETERS: describe(parameters), ANSWERS: describe(answers)}
        _write_json(self._path(model, "json"), {"model": model, "sha256": checksums, "holds": holds})

    def signals(self, model: int) -> tuple[Float[np.ndarray, "N C"], dict[str, Float[np.ndarray, "E"]]]:
        """Return a model's logits on every record, and its learning curves."""
        arrays = self._answers(model, ("logits", *CURVES))
        return arrays.pop("logits"), arrays

    def logits(self, model: int) -> Float[np.ndarray, "N C"]:
        """Return a model's logits on every record."""
        return self._answers(model, ("logits",))["logits"]

    def curves(self, model: int) -> dict[str, Float[np.ndarray, "E"]]:
        """Return a model's learning curves; its logits are not read."""
        return self._answers(model, CURVES)

    def parameters(self, model: int) -> dict[str, np.ndarray]:
        """Return a model's parameters by name."""
        try:
            return read_parameters(self._path(model, PARAMETERS))
        except (OSError, ValueError) as error:
            raise StorageError(self._unreadable(error)) from error

    def _answers(self, model: int, names: Collection[str]) -> dict[str, np.ndarray]:
        try:
            return read_answers(self._path(model, ANSWERS), names)
        except (OSError, ValueError) as error:
            raise StorageError(self._unreadable(error)) from error

    def _path(self, model: int, ending: str) -> Path:
        return self.folder / f"{model:04d}.{ending}"

    def _is_whole(self, model: int) -> bool:
        self._damaged.pop(model, None)
        manifest = self._path(model, "json")
        if not os.path.lexists(manifest):
            return False
        try:
            reason = self._damage(model, read_json(manifest))
        except RecursionError:
            reason = f"{manifest.name} is damaged"
        except OSError as error:
            raise StorageError(self._unreadable(error)) from error
        if reason:
            self._damaged[model] = reason
        return not reason

    def _damage(self, model: int, manifest: Mapping[str, Any]) -> str:
        checksums, holds = manifest.get("sha256"), manifest.get("holds")
        if not isinstance(checksums, dict) or set(checksums) != {PARAMETERS, ANSWERS}:
            return f"{model:04d}.json is damaged"
        if manifest.get("model") != model or not isinstance(holds, dict | None):
            return f"{model:04d}.json is not this model's"
        reasons = (
            damage(self._path(model, ending), digest, holds.get(ending, {}) if holds is not None else None, self.shapes)
            for ending, digest in checksums.items()
        )
        return next(filter(None, reasons), "")

    def _put_aside(self, model: int) -> None:
        """Move what is left of a damaged model out of the way; only whoever holds the lock may."""
        aside = self.folder / "damaged"
        try:
            aside.mkdir(exist_ok=True)
            for ending in ("json", PARAMETERS, ANSWERS):
                path = self._path(model, ending)
                if os.path.lexists(path):
                    if (aside / path.name).is_dir():  # a folder cannot be replaced
                        shutil.rmtree(aside / path.name)
                    path.replace(aside / path.name)
        except OSError as error:
            raise StorageError(explain(aside, error)) from error
        self.set_aside.append(
            f"model {model} of pool {self.fingerprint} is damaged ({self._damaged.pop(model)}): set aside in {aside} "
            "and trained again"
        )

    def _unreadable(self, error: OSError | ValueError) -> str:
        reason = error.strerror if isinstance(error, OSError) else error
        return f"cannot read {self.folder}: {reason}; restore it, or remove it to have it trained again"


class PoolStore:
    """All pools below one folder, for the runs of one tracking store (or of none)."""

    def __init__(self, folder: Path, user: User | None = None) -> None:
        self.folder = folder
        self.user = user

    def pool(self, identity: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None) -> Pool:
        """Return the pool of this identity, which may hold no model yet; nothing is written.

        Args:
            identity: what makes its models.
            shapes: of `logits` and the curves, where they are known: a model that has others is damaged.
        """
        return Pool(self.folder, identity, self.user, shapes)

    @contextmanager
    def training(self, pools: Iterable[Pool]) -> Iterator[None]:
        """Hold the pools' locks, always taken in the same order; waits for a process that trains one of them."""
        with ExitStack() as stack:
            for pool in sorted(pools, key=lambda pool: pool.fingerprint):
                try:
                    _take(pool)
                    stack.callback(pool.lock.release)
                    remove_leftovers(pool.folder)
                except OSError as error:
                    raise StorageError(explain(pool.folder, error)) from error
            yield

    def fingerprints(self) -> list[str]:
        """Return the names of all pools on disk."""
        return sorted(path.name for path in self.folder.glob("[0-9a-f]*") if path.is_dir())

    def users(self, name: str) -> dict[str, str]:
        """Return the tracking stores whose runs have used a pool: id -> address; empty where nobody noted it."""
        return {id_: str(address) for id_, address in read_json(self.folder / name / USERS).items()}

    def describe(self, name: str) -> dict[str, Any]:
        """Return a pool's identity, number of models, bytes on disk and time of last change (seconds since 1970)."""
        folder = self.folder / name
        stats = [path.lstat() for path in [folder, *folder.rglob("*")]]
        return {
            "identity": read_json(folder / "pool.json"),
            "models": sum(1 for path in folder.glob("[0-9]*.json")),
            "bytes": sum(one.st_size for one in stats if stat.S_ISREG(one.st_mode)),
            "changed": max(one.st_mtime for one in stats),
        }

    def remove(self, name: str, known: Collection[str] = (), unused_since: float | None = None) -> None:
        """Delete a pool, unless somebody trains it, or may need it.

        Args:
            name: the pool's fingerprint.
            known: ids of the tracking stores that have been asked and do not need it; a pool that another one has used
                is kept.
            unused_since: when they were asked, in seconds since 1970: a pool used since is kept.

        Raises:
            StorageError: the pool is in use, or cannot be removed.
        """
        from filelock import Timeout

        folder = self.folder / name
        try:
            with _held(folder / "lock", 0), _held(folder / f"{USERS}.lock"):
                if unknown := set(self.users(name)) - set(known):
                    raise StorageError(f"pool {name} is used by {self.users(name)[unknown.pop()]}: not removed")
                if unused_since is not None and _changed(folder / USERS) >= unused_since:
                    raise StorageError(f"pool {name} has just been used: not removed")
                for path in folder.glob("*.json"):  # a pool without its JSONs is not there, should we die half-way
                    path.unlink()
                shutil.rmtree(folder, ignore_errors=True)  # the lock as well: `_take` notices
        except Timeout:
            raise StorageError(f"pool {name} is being trained right now: not removed") from None
        except OSError as error:
            raise StorageError(f"cannot remove {folder}: {error.strerror}") from error


def _take(pool: Pool) -> None:
    """Take a pool's lock, and make sure that it is the one that lies there: the pool may be removed while we wait."""
    path = pool.folder / "lock"
    while True:
        pool.folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NONBLOCK", 0), 0o666))
        before = path.stat().st_ino
        pool.lock.acquire()
        with suppress(FileNotFoundError):
            if path.stat().st_ino == before:
                return
        pool.lock.release()


def _lock(path: Path, timeout: float = -1) -> Any:
    from filelock import FileLock

    return FileLock(path, timeout=timeout)


@contextmanager
def _held(path: Path, timeout: float = -1) -> Iterator[None]:
    with _lock(path, timeout):
        yield


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _write_json(path: Path, value: Any) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
