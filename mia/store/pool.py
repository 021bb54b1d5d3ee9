"""One pool of trained models: what is there, what is damaged, and who uses it.

Takes an identity and trained models; gives arrays. Whoever trains a pool holds its lock; whoever only reads needs none.
"""

import os
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mia.files import StorageError, explain, file_digest, whole_file
from mia.fingerprint import fingerprint, plain
from mia.store.answers import Answers, forget, keep, read_kept
from mia.store.beside import read_beside, write_beside
from mia.store.content import (
    ANSWERS,
    CURVES,
    PARAMETERS,
    damage,
    describe,
    read_answers,
    read_json,
    read_parameters,
    write_json,
)

Ask = Callable[[Int[np.ndarray, "n"]], Float[np.ndarray, "n C"]]
NO_ANSWERS = Answers(np.empty((0, 0), np.float32), np.empty(0, np.int64))

USERS = "users.json"
HOLDER = "holder.json"  # who took the pool's lock last: a disk that is shared may take a lock from who holds it


@dataclass(frozen=True)
class TrainedModel:
    """One trained model: what it learnt, how, and what it says about every record, if it was asked."""

    parameters: Mapping[str, np.ndarray]
    curves: Mapping[str, Float[np.ndarray, "E"]]  # the names in CURVES
    logits: Float[np.ndarray, "N C"] | None = None  # None: it has been asked about no record yet


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
        self._token = ""  # of this holder of the lock

    @cached_property
    def lock(self) -> Any:
        """The lock that whoever trains this pool holds, across processes."""
        return lock_file(self.folder / "lock")

    def taken(self) -> None:
        """Note that this process holds the lock from now on: whoever held it before can write no more.

        Raises:
            StorageError: the folder cannot be written.
        """
        self._token = secrets.token_hex(8)
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "at": int(time.time())}
        write_json(self.folder / HOLDER, {"token": self._token, **holder})

    def _check_holder(self) -> None:
        """Refuse to write over a newer holder of the lock, which this process has lost without being told."""
        holder = read_json(self.folder / HOLDER) if self._token else {}
        if holder.get("token", self._token) != self._token:
            raise StorageError(
                f"pool {self.fingerprint} was taken over by process {holder.get('pid')} on {holder.get('host')} while "
                "this one was away: nothing is written over it; the same command goes on with what is there"
            )

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
            with held(self.folder / f"{USERS}.lock"):
                known = read_json(path)
                if known.get(user.id) != user.address:
                    write_json(path, known | {user.id: user.address})
                os.utime(path, (time.time(),) * 2)  # the kernel's own stamp may lie some milliseconds behind
        except OSError as error:
            raise StorageError(explain(path, error)) from error

    def save(self, model: int, trained: TrainedModel) -> None:
        """Write one model; it is there when this returns, and not at all before.

        Raises:
            StorageError: the disk is full or the folder cannot be written, or another process has taken the lock over.
        """
        self._check_holder()
        if not read_json(self.folder / "pool.json"):
            write_json(self.folder / "pool.json", plain(self.identity))
        if self.user and not (self.folder / USERS).exists():
            self.used_by(self.user)
        if model in self._damaged:
            self._put_aside(model)
        forget(self.folder, model)
        from safetensors.numpy import save  # not save_file: a full disk must raise OSError

        parameters = {name: np.ascontiguousarray(array) for name, array in trained.parameters.items()}
        answers = {**({} if trained.logits is None else {"logits": trained.logits}), **trained.curves}
        with whole_file(self._path(model, PARAMETERS)) as path:
            path.write_bytes(save(parameters))
        with whole_file(self._path(model, ANSWERS)) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **answers)
        checksums = {ending: file_digest(self._path(model, ending)) for ending in (PARAMETERS, ANSWERS)}
        holds = {PARAMETERS: describe(parameters), ANSWERS: describe(answers)}
        self._check_holder()
        write_json(self._path(model, "json"), {"model": model, "sha256": checksums, "holds": holds})

    def answers(self, model: int) -> Answers:
        """Return a model's logits on the records that it has been asked about: all, or those asked about so far."""
        if "logits" in self._holds(model):
            return Answers(self._answers(model, ("logits",))["logits"])
        return read_kept(self.folder, model) or NO_ANSWERS

    def ask(self, model: int, records: Int[np.ndarray, "n"], answer: Ask) -> Float[np.ndarray, "n C"]:
        """Return a model's logits on records; what nobody has asked yet is asked now, and kept for whoever comes next.

        Of processes that would ask the same, one does. Where nothing can be written, nothing is kept.

        Args:
            model: Its number.
            records: Positions in the pool's data set.
            answer: From such positions, sorted, to the model's logits.
        """
        if not len(records):
            return answer(records)
        known = self.answers(model)
        if known.has(records).all():
            return known.of(records)
        with self._asking():
            known = self.answers(model)  # another process may have asked meanwhile
            missing = np.unique(records[~known.has(records)])
            if len(missing):
                told = Answers(answer(missing), missing)
                known = known.joined(told) if len(known.logits) else told
                if self._path(model, "json").exists():  # the pool may have been removed
                    with suppress(StorageError):
                        keep(self.folder, model, known)
        return known.of(records)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Hold the lock of whoever asks models of this pool, where there can be one."""
        with ExitStack() as stack:
            with suppress(OSError, NotImplementedError):
                stack.enter_context(held(self.folder / "answers.lock"))
            yield

    def curves(self, model: int) -> dict[str, Float[np.ndarray, "E"]]:
        """Return a model's learning curves."""
        return self._answers(model, CURVES)

    def parameters(self, model: int) -> dict[str, np.ndarray]:
        """Return a model's parameters by name."""
        try:
            return read_parameters(self._path(model, PARAMETERS))
        except (OSError, ValueError) as error:
            raise StorageError(self._unreadable(error)) from error

    def beside(self, model: int, kind: str) -> dict[str, np.ndarray] | None:
        """Return arrays of one kind that lie beside a model; None where there are none, or they are damaged."""
        return read_beside(self.folder, kind, model)

    def save_beside(self, model: int, kind: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays of one kind beside a model, which may still be to come.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        write_beside(self.folder, kind, model, arrays)

    def _answers(self, model: int, names: Collection[str]) -> dict[str, np.ndarray]:
        try:
            return read_answers(self._path(model, ANSWERS), names)
        except (OSError, ValueError) as error:
            raise StorageError(self._unreadable(error)) from error

    def _holds(self, model: int) -> Collection[str]:
        """Return the names of the arrays in a model's .npz; manifests of old, which did not say, had all."""
        holds = read_json(self._path(model, "json")).get("holds")
        described = holds.get(ANSWERS) if isinstance(holds, dict) else None
        return described if isinstance(described, dict) else ("logits", *CURVES)

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


def lock_file(path: Path, timeout: float = -1) -> Any:
    """Return a lock across processes; it waits for ever, or raises `filelock.Timeout` after some seconds."""
    from filelock import FileLock

    return FileLock(path, timeout=timeout)


@contextmanager
def held(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock of a path during the block."""
    with lock_file(path, timeout):
        yield
