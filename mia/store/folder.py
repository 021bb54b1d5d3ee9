"""The folder of all pools: who trains, who uses, and what may be removed.

Takes identities and names; gives pools. Of two processes that want to train or remove the same pool, one waits.
"""

import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from mia.files import StorageError, explain, remove_leftovers
from mia.store.content import read_json
from mia.store.pool import USERS, Pool, User, held


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
                    pool.taken()
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
        stats = list(_stats([folder, *folder.rglob("*")]))
        return {
            "identity": read_json(folder / "pool.json"),
            "models": sum(1 for path in folder.glob("[0-9]*.json")),
            "bytes": sum(one.st_size for one in stats if stat.S_ISREG(one.st_mode)),
            "changed": max((one.st_mtime for one in stats), default=0.0),
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
            with held(folder / "lock", 0), held(folder / f"{USERS}.lock"):
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
        try:
            pool.lock.acquire()
        except NotImplementedError as error:
            raise StorageError(
                f"{pool.folder} lies on a disk without file locks: mount it with them (Lustre: flock; NFS: version 4), "
                "or set MIA_HOME to another"
            ) from error
        with suppress(FileNotFoundError):
            if path.stat().st_ino == before:
                return
        pool.lock.release()


def _stats(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    """Yield what is known of paths; those that have just been renamed or removed are passed over."""
    for path in paths:
        with suppress(FileNotFoundError):
            yield path.lstat()


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
