"""One process at a time makes the run of a configuration, on every machine that shares the disk; others wait for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def claimed(folder: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the claim on a configuration during the block.

    The file is left to whoever waits for it: it is removed only by the last, and one that was removed meanwhile is
    taken anew.
    """
    from filelock import FileLock, Timeout

    path = folder / f"{name}.claim"
    lock = FileLock(path)
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say("another process is at this configuration: waiting for it")
                lock.acquire()
        except (FileNotFoundError, FileExistsError):  # the last holder has just removed the folder
            if folder.exists() and not folder.is_dir():
                raise
            continue
        with suppress(OSError, TypeError):  # removed meanwhile, or not held
            if path.stat().st_ino == lock_inode(lock):
                break
        lock.release()
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        lock.release()
        with suppress(OSError):
            folder.rmdir()


def lock_inode(lock: object) -> int:
    """Return which file a lock is held on."""
    import os

    return os.fstat(lock._context.lock_file_fd).st_ino  # type: ignore[attr-defined]
