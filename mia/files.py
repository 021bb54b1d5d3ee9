"""Files that appear whole or not at all, and files that are read only if they are what they should be.

Takes a path and gives a temporary one beside it, renamed when the writer is done. Never leaves a half-written file
under the final name, removes the temporary one when writing fails, and never waits for a device or a pipe that lies
where a file should be.
"""

import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_NAME = 50  # characters of the final name in a temporary one: file systems allow 255 bytes
MOST_BYTES = 16 * 2**30  # of one file: what is larger is no file of ours


class StorageError(RuntimeError):
    """The disk let us down: the message is one line that says what and where, and the way out."""


class IrregularFileError(ValueError):
    """What lies at a path is not a file of a sensible size; the message does not name the folder."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to `path` when the block ends without an error.

    The file gets the permissions that the umask leaves, as any other new file.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name[:LONGEST_NAME]}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise StorageError(explain(path, error)) from error
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(explain(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def regular_file(path: Path, most_bytes: int = MOST_BYTES) -> Iterator[io.BufferedReader]:
    """Yield a file opened for reading.

    Raises:
        FileNotFoundError: there is none.
        IrregularFileError: a folder, pipe or device lies there, or more than `most_bytes`.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise IrregularFileError(f"{path.name} is not a file")
        if found.st_size > most_bytes:
            raise IrregularFileError(f"{path.name} holds {found.st_size} bytes, more than it can")
    except BaseException:
        os.close(handle)
        raise
    with os.fdopen(handle, "rb") as file:
        yield file


def file_digest(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Return the SHA-256 hex digest of a file's bytes.

    Raises:
        FileNotFoundError: there is none.
        IrregularFileError: it is no regular file, or holds more than `most_bytes`.
    """
    with regular_file(path, most_bytes) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed; nobody else may be writing into the folder."""
    for path in folder.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def explain(path: Path, error: OSError) -> str:
    """Return one line that says what could not be written, why, and the way out."""
    reason = error.strerror or str(error)
    return f"cannot write {path}: {reason}; free space or permissions, or set MIA_HOME to a folder that can be written"
