"""A folder, zip or tar of files: their names, and their bytes one after another.

Archives are read in place: no file of theirs is ever written to disk, and names that point outside, links, devices and
members that unpack to absurd sizes are refused before they are read.
"""

import hashlib
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from mia.checks import RequestError
from mia.data.validate import locate

MAX_FILES = 5_000_000
MAX_FILE_BYTES = 256 << 20
MAX_TOTAL_BYTES = 256 << 30
_MAX_DEPTH = 16
_MAX_HEADER_BYTES = 1 << 20
_NO_DATA = {"readme", "license", "licence", "thumbs", "desktop"}


@runtime_checkable
class Container(Protocol):
    """Files with names, read in one order."""

    @property
    def key(self) -> str:
        """What changes whenever the files change."""
        ...

    def names(self) -> list[str]:
        """Return the checked names, parts joined by '/', in the order of `contents`."""
        ...

    def contents(self) -> Iterator[bytes]:
        """Yield the bytes of every file."""
        ...


def open_container(path: str, where: str) -> Container:
    """Return the folder, zip or tar (plain, gz, bz2, xz) at `path`.

    Args:
        path: a folder or a file.
        where: the config key and value that messages begin with.

    Raises:
        RequestError: there is nothing, or something else.
    """
    location = locate(path, where, "a folder, zip or tar of <class>/<file> pictures")
    with _reading(where):
        if location.is_dir():
            return Folder(location, where)
        if tarfile.is_tarfile(location):
            return Tar(location, where)
        if zipfile.is_zipfile(location):
            return Zip(location, where)
    raise RequestError(f"{where} is damaged or no archive; it must be a folder, zip or tar of <class>/<file> pictures")


@contextmanager
def _reading(where: str) -> Iterator[None]:
    try:
        yield
    except NotImplementedError as error:
        raise RequestError(f"{where} is packed in a way that is not read here; use a plain zip or tar") from error
    except RuntimeError as error:  # what zipfile raises for passwords
        raise RequestError(f"{where} is locked by a password; pack it without one") from error
    except (
        OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError,
        IndexError, KeyError, OverflowError, MemoryError, AssertionError,
    ) as error:  # fmt: skip
        if isinstance(error, RequestError):
            raise
        reason = ": a part is missing or wrong"
        if ours := re.search(r"it (has a header of [\d,]+ bytes|breaks off)", str(error)):  # tarfile wraps errors
            reason = f": {ours[0]}"
        elif isinstance(error, OSError) and error.strerror:
            reason = f" ({error.strerror})"
        raise RequestError(f"{where} is damaged or cannot be read{reason}") from error


class _Names:
    """Collects names and sizes, refusing what no honest collection of pictures has."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._seen: set[str] = set()
        self._total = 0

    def accept(self, raw: str, size: int) -> str | None:
        """Return the name of a file to be read, or None for files that are not data (hidden, README ...)."""
        parts = PurePosixPath(raw).parts
        if raw and not parts:  # "." and "./", which are folders
            return None
        if not parts or raw.startswith("/") or ".." in parts or "\\" in raw or ":" in parts[0] or not raw.isprintable():
            raise RequestError(f"{self._where} holds the unsafe name {raw[:200]!r}; it must be like class/1.png")
        if len(parts) > _MAX_DEPTH:
            raise RequestError(f"{self._where} holds folders more than {_MAX_DEPTH} deep, such as {raw[:80]!r}")
        name = "/".join(parts)
        is_hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if is_hidden or parts[-1].lower().partition(".")[0] in _NO_DATA:
            return None
        self._total += size
        if size > MAX_FILE_BYTES or self._total > MAX_TOTAL_BYTES or len(self._seen) >= MAX_FILES:
            raise RequestError(
                f"{self._where} unpacks to too much at {name!r}: at most {MAX_FILES:,} files, {MAX_FILE_BYTES:,} bytes "
                f"each and {MAX_TOTAL_BYTES:,} together are read"
            )
        if name in self._seen:
            raise RequestError(f"{self._where} holds {name!r} twice; every name may be there once")
        self._seen.add(name)
        return name


class Folder:
    """The files below a folder, links to files and folders included."""

    def __init__(self, path: Path, where: str) -> None:
        self._path, self._where = path, where
        checked, stamps = _Names(where), []
        for raw, status in sorted(self._walk()):
            if not stat.S_ISREG(status.st_mode):
                raise RequestError(f"{where} holds {raw[:200]!r}, which is no plain file")
            if name := checked.accept(raw, status.st_size):
                stamps.append((name, status.st_size, status.st_mtime_ns))
        self._names = [name for name, _, _ in stamps]
        self.key = f"folder {path.resolve()} {stamps}"

    def _walk(self) -> Iterator[tuple[str, os.stat_result]]:
        def fail(error: OSError) -> None:
            raise error

        for folder, _, file_names in os.walk(self._path, onerror=fail, followlinks=True):
            relative = Path(folder).relative_to(self._path)
            if len(relative.parts) > _MAX_DEPTH:  # a link that leads back up, say
                raise RequestError(f"{self._where} holds folders more than {_MAX_DEPTH} deep")
            for file_name in file_names:
                name = relative / file_name
                yield name.as_posix(), (self._path / name).stat()

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return self._names

    def contents(self) -> Iterator[bytes]:
        """Yield the files' bytes."""
        for name in self._names:
            with _reading(self._where), (self._path / name).open("rb") as file:
                content = file.read(MAX_FILE_BYTES)
            yield content


class Zip:
    """The members of a zip archive."""

    def __init__(self, path: Path, where: str) -> None:
        self._path, self._where = path, where
        self._members: dict[str, zipfile.ZipInfo] | None = None
        self.key = _file_key(path)

    def names(self) -> list[str]:
        """Return the names in the archive's order."""
        checked, self._members = _Names(self._where), {}
        with _reading(self._where), zipfile.ZipFile(self._path) as archive:
            for member in archive.infolist():
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise RequestError(
                        f"{self._where} holds the link {member.filename[:200]!r}; only plain files are read"
                    )
                if not (member.filename and member.is_dir()) and (
                    name := checked.accept(member.filename, member.file_size)
                ):
                    self._members[name] = member
        return list(self._members)

    def contents(self) -> Iterator[bytes]:
        """Yield the members' bytes, which zipfile checks against their CRCs and never reads past their sizes."""
        assert self._members is not None, "call names() first"
        with _reading(self._where):
            archive = zipfile.ZipFile(self._path)
        with archive:
            for member in self._members.values():
                with _reading(self._where):
                    content = archive.read(member)
                yield content


class _StrictMember(tarfile.TarInfo):
    """A tar's header, for which a damaged or missing one is an error; tarfile takes it for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictMember":
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError("it breaks off") from error
        if header.size > _MAX_HEADER_BYTES and not header.isreg():  # tarfile reads those at once, into memory
            raise tarfile.ReadError(f"it has a header of {header.size:,} bytes")
        return header


class Tar:
    """The members of a tar archive, compressed or not; read front to back, twice."""

    def __init__(self, path: Path, where: str) -> None:
        self._path, self._where = path, where
        self.key = _file_key(path)

    def names(self) -> list[str]:
        """Return the names in the archive's order."""
        return [name for name, _ in self._walk(read=False)]

    def contents(self) -> Iterator[bytes]:
        """Yield the members' bytes."""
        for _, content in self._walk(read=True):
            yield content

    def _walk(self, *, read: bool) -> Iterator[tuple[str, bytes]]:
        checked = _Names(self._where)
        with _reading(self._where), tarfile.open(self._path, "r|*", tarinfo=_StrictMember) as archive:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg():
                    raise RequestError(
                        f"{self._where} holds {member.name[:200]!r}, a link or device; only files are read"
                    )
                name = checked.accept(member.name, member.size)
                if name:
                    file = archive.extractfile(member) if read else None
                    yield name, file.read() if file else b""


def _file_key(path: Path) -> str:
    with path.open("rb") as file:
        return f"archive {hashlib.file_digest(file, 'sha256').hexdigest()}"
