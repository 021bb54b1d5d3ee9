"""Files that appear whole or not at all.

Takes a path and gives a temporary one beside it, renamed when the writer is done. Never leaves a half-written file
under the final name, and removes the temporary one when writing fails.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StorageError(RuntimeError):
    """The disk let us down: the message is one line that says what and where, and the way out."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to `path` when the block ends without an error.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
    except OSError as error:
        raise StorageError(explain(path, error)) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(explain(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """Return the SHA-256 hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; nobody else may be writing into the folder."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def explain(path: Path, error: OSError) -> str:
    """Return one line that says what could not be written, why, and the way out."""
    reason = error.strerror or str(error)
    return f"cannot write {path}: {reason}; free space or permissions, or set MIA_HOME to a folder that can be written"
