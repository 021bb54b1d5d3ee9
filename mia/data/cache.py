"""Decoded arrays, kept so that the second run need not decode: one .npz per key in the user's cache folder.

A file appears whole or not at all, and its checksums (a zip's own) are verified when it is read; what is damaged is
made again. Never holds what the source does not: deleting the folder costs time only.
"""

import hashlib
import logging
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mia.data.validate import one_line

Arrays = dict[str, np.ndarray]
_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Return the folder, of the user's cache, for downloads and decoded arrays; it may be deleted at any time."""
    import pooch

    return Path(pooch.os_cache("mia"))


def cached(name: str, key: str, build: Callable[[], Arrays]) -> Arrays:
    """Return the arrays stored under `key`, or build and store them.

    Args:
        name: the loader's name, for people who look into the folder.
        key: everything the arrays depend on: hashes of the sources, and a version of the code that decodes them.
        build: makes the arrays; its errors pass through, and nothing is stored.
    """
    from filelock import FileLock

    path = cache_folder() / "arrays" / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    arrays = _read(path)
    if arrays is not None:
        return arrays
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path.with_suffix(".lock")))  # processes that start together decode once
        except OSError as error:
            _log.warning("cannot cache decoded data in %s (%s)", path.parent, one_line(error))
            return build()
        arrays = _read(path)
        if arrays is None:
            arrays = build()
            _write(path, arrays)
    return arrays


def _read(path: Path) -> Arrays | None:
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        _log.warning("the cached data %s are damaged (%s) and made again", path, one_line(error))
        return None


def _write(path: Path, arrays: Arrays) -> None:
    part = path.with_suffix(".part")  # ours alone: the lock is held
    try:
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(path)
    except OSError as error:  # a full disk, say: the data are here all the same
        part.unlink(missing_ok=True)
        _log.warning("cannot cache decoded data in %s (%s)", path.parent, one_line(error))
