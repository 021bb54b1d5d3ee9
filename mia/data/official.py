"""Official files on disk: looked for in the user's folders, else downloaded; verified either way.

Takes a data set's options, gives paths of files whose hashes are the published ones. Never unpacks anything, and never
changes a file that lies in a folder of the user's.
"""

import gzip
import hashlib
import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mia.checks import RequestError
from mia.data import cache
from mia.data.options import DataOptions, Progress
from mia.data.validate import one_line

_BLOCK = 1 << 20
_TIMEOUT = 30  # seconds without a byte
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One official file.

    A hash is `<kind>:<hex>`; kinds are md5, sha256, and git: the SHA-1 git gives the file's content.
    """

    file: str
    folder: str  # URL of the folder it lies in
    size: int | None  # bytes; None where it is not known
    hash: str
    content_hash: str | None = None  # of the unpacked bytes, where re-compressed copies are good too

    @property
    def url(self) -> str:
        """Where the file is downloaded from."""
        return self.folder + self.file


@dataclass
class OfficialOptions(DataOptions):
    """A data set that its authors publish as files, found on disk or downloaded."""

    root: str | None = None  # a folder that holds the official files; else $MIA_DATA_DIR/<name>/, else the cache folder
    sources: ClassVar[tuple[Source, ...]] = ()  # in the order the loader reads them

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is not None and (not self.root.strip() or "\0" in self.root):
            raise RequestError(f"data.root={self.root!r} must be a folder, or null")


def obtain(options: OfficialOptions, progress: Progress | None = None) -> list[Path]:
    """Return the paths of a data set's official files, verified, downloading those that are nowhere.

    Raises:
        RequestError: a folder does not exist, a file has another hash, or a download failed.
    """
    folders = search_folders(options)
    return [_obtain(options.name, source, folders, progress) for source in options.sources]


def search_folders(options: OfficialOptions) -> list[Path]:
    """Return where official files are looked for, in order; the last is where downloads go.

    Raises:
        RequestError: `data.root` or `MIA_DATA_DIR` is not a folder.
    """
    folders = []
    if options.root is not None:
        root = _folder("data.root", options.root)
        folders += [root, root / options.name]
    environment = os.environ.get("MIA_DATA_DIR")
    if environment:
        folders.append(_folder("MIA_DATA_DIR", environment) / options.name)
    return [*folders, cache.cache_folder() / options.name]


def _folder(name: str, value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_dir():
        raise RequestError(f"{name}={value!r} is not a folder; it must be one that holds the official files")
    return path


def _obtain(name: str, source: Source, folders: list[Path], progress: Progress | None) -> Path:
    for folder in folders:
        path = folder / source.file
        if path.exists():
            verify(name, path, source)
            return path
    return _download(name, source, folders[-1], progress)


def verify(name: str, path: Path, source: Source) -> None:
    """Check that a file is the published one.

    Raises:
        RequestError: it is a folder, cannot be read, or has another hash.
    """
    try:
        actual = _wrong_digest(path, source)
    except OSError as error:
        raise RequestError(f"data={name} cannot read {str(path)!r} ({one_line(error)}); it must be a file") from error
    if actual:
        raise RequestError(
            f"data={name} needs {source.file} with {source.hash}, but {str(path)!r} has {actual}: it is damaged or "
            f"another file; delete it, or replace it by {source.url}"
        )


def _wrong_digest(path: Path, source: Source) -> str | None:
    """Return the hash of a file that is not the published one, None of one that is."""
    actual = digest(path, source.hash)
    is_good = actual == source.hash or (source.content_hash and _unpacked_digest(path, source) == source.content_hash)
    return None if is_good else actual


def digest(path: Path, like: str) -> str:
    """Return a file's hash of the kind that `like` has, as `<kind>:<hex>`."""
    kind = like.partition(":")[0]
    with path.open("rb") as file:
        if kind != "git":
            return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
        sha1 = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while block := file.read(_BLOCK):
            sha1.update(block)
    return f"git:{sha1.hexdigest()}"


def _unpacked_digest(path: Path, source: Source) -> str | None:
    kind = (source.content_hash or "").partition(":")[0]
    try:
        with gzip.open(path) as file:
            return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None


def _download(name: str, source: Source, folder: Path, progress: Progress | None) -> Path:
    from filelock import FileLock

    path = folder / source.file
    part = folder / f"{source.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{source.file}.lock"):  # processes that start together download once
            if not path.exists():
                try:
                    _fetch(source, part, progress)
                    if actual := _wrong_digest(part, source):
                        raise OSError(f"what was sent has {actual} instead of {source.hash}")
                    part.replace(path)
                finally:
                    part.unlink(missing_ok=True)
    except OSError as error:  # those of requests are OSErrors too
        raise RequestError(
            f"data={name} needs {source.file}, which is not in {str(folder)!r} and could not be downloaded "
            f"({_reason(error)}); get it from {source.url} and put it there, or set data.root=<folder that holds it>"
        ) from error
    verify(name, path, source)
    return path


def _reason(error: OSError) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT} seconds"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return one_line(error)


def _fetch(source: Source, path: Path, progress: Progress | None) -> None:
    import pooch

    size = f" ({source.size / 1e6:.1f} MB)" if source.size else ""
    _log.info("downloading %s%s to %s", source.url, size, path.parent)
    downloader = pooch.HTTPDownloader(
        progressbar=_Bar(progress) if progress else False, chunk_size=_BLOCK, timeout=_TIMEOUT
    )
    downloader(source.url, str(path), None)


class _Bar:
    """The progress bar that pooch expects, passing what it is told on to a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._done = 0
        self._progress = progress

    def update(self, step: int) -> None:
        """Count `step` more bytes; pooch rounds its last block up."""
        self._done = min(self._done + step, self.total or self._done + step)
        self._progress(self._done, self.total)

    def reset(self) -> None:
        """Start again from 0."""
        self._done = 0

    def close(self) -> None:
        """Do nothing: whoever drew the bar closes it."""
