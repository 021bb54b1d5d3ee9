"""The SQLite file that keeps the runs: made whole or not at all, checked before MLflow may touch it.

Takes a place (the file and its folder of artifacts); gives a store that this version of MLflow can use, or one line
that says why not. MLflow alone would migrate a half-made or older file where it lies, and two processes that start on
an empty folder would break each other's file; neither can happen here. Never overwrites a file that is there.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from mia.checks import RequestError
from mia.files import StorageError, whole_file
from mia.tracking.address import SQLITE, sqlite_file
from mia.tracking.mlflow_errors import Calls, no_warnings, quiet_mlflow

LOCK_SECONDS = 120
NOTES = ".mlflow.schema"  # beside the file: the schema that each version of MLflow needs


@dataclass(frozen=True)
class Place:
    """Where a local store lies."""

    database: Path
    artifacts: Path
    is_ours: bool  # in mlruns/, not a file named by tracking.uri

    @cached_property
    def uri(self) -> str:
        """The store's address for MLflow.

        Raises:
            RequestError: this version of SQLAlchemy reads no address as this path.
        """
        with no_warnings():
            from sqlalchemy.engine import make_url

        path = self.database.as_posix()
        # with a driver named, MLflow does not make folders of its own reading of the address
        for address in (f"sqlite:///{path}", f"sqlite+pysqlite:///{quote(path, safe=' +/')}"):
            if make_url(address).database == path:
                return address
        raise RequestError(f"the path {path} holds characters that the database cannot take: set MIA_HOME to another")


def place_of(uri: str | None, home: Path) -> Place | None:
    """Return where a local store lies, or None for a server's address."""
    if uri is None:
        return Place(home / "mlflow.db", home / "artifacts", is_ours=True)
    if not uri.startswith(SQLITE):
        return None
    file = sqlite_file(uri)
    return Place(file, file.parent / "artifacts", is_ours=False)


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the store's lock, across processes; it ends with the process that holds it.

    Raises:
        RequestError: the folder cannot be written, or another process has held the lock for two minutes.
    """
    from filelock import FileLock, Timeout

    folder = place.database.parent
    lock = FileLock(folder / ".mlflow.lock", timeout=LOCK_SECONDS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        if isinstance(error, Timeout):
            raise RequestError(f"{folder} is locked by another process that has not answered: end it first") from None
        raise RequestError(_cannot_write(folder, error.strerror or str(error))) from error
    try:
        yield
    finally:
        lock.release()


def prepare(place: Place) -> None:
    """Make the store if it is not there; check that it can be used if it is.

    Raises:
        RequestError: it cannot be written, is damaged, has no folder for artifacts, or belongs to another version of
            MLflow.
    """
    if (place.artifacts.is_symlink() or place.artifacts.exists()) and not place.artifacts.is_dir():
        raise RequestError(f"{place.artifacts} is no folder, and runs keep their files there: move it away")
    if not place.database.exists():
        with locked(place):
            if not place.database.exists():
                _build(place)
    for path in (place.database.parent, place.database):
        if not os.access(path, os.W_OK):
            raise RequestError(_cannot_write(path, "no permission, or a read-only disk"))
    _check_schema(place, schema_of(place))


def _build(place: Place) -> None:
    """Let MLflow make its tables in a temporary file, then put that in place."""
    folder, name = place.database.parent, place.database.name
    for leftover in [path for path in folder.iterdir() if path.name.startswith(f".{name}.")]:
        leftover.unlink()  # of a process that died here: we hold the lock
    # a new name for every try: MLflow keeps connections, and would go on with a file that is gone
    temporary = Place(folder / f".{name}.{secrets.token_hex(4)}", place.artifacts, is_ours=False)
    address = temporary.uri
    quiet_mlflow()
    with no_warnings():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    try:
        with _unsynchronised():
            store = Calls(str(place.database))(SqlAlchemyStore, address, place.artifacts.as_uri())
            store.engine.dispose()
        place.artifacts.mkdir(exist_ok=True)
        _note_schema(place, schema_of(temporary))
        with temporary.database.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.database.replace(place.database)
    finally:
        for leftover in [path for path in folder.iterdir() if path.name.startswith(temporary.database.name)]:
            leftover.unlink()


@contextmanager
def _unsynchronised() -> Iterator[None]:
    """Let SQLite wait for no disk in the block: a file under a temporary name may be lost.

    MLflow makes its tables in several hundred steps, each of which would be on the disk before the next began.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")

    event.listen(Engine, "connect", set_up)
    try:
        yield
    finally:
        event.remove(Engine, "connect", set_up)


def schema_of(place: Place) -> str:
    """Return the version of the store's tables.

    Raises:
        RequestError: the file is damaged, or not a store of runs.
    """
    try:
        with closing(connection_to(place)) as connection:
            (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        missing = pages * page_size - place.database.stat().st_size
        if missing > 0:
            raise sqlite3.DatabaseError(f"{missing} bytes are missing at its end")
    except (sqlite3.Error, OSError) as error:
        raise RequestError(
            f"{place.database} is not a usable store of runs ({error}): move it away or restore a copy of it; "
            "nothing was overwritten"
        ) from error
    return str(found)


def _check_schema(place: Place, found: str) -> None:
    if found == _needed_schema(place):
        return
    import mlflow

    if found in _revisions()[1]:
        raise RequestError(
            f"{place.database} was made by an older MLflow than {mlflow.__version__}: make a copy of it, then run "
            f"'python -m mlflow db upgrade {place.uri}'"
        )
    raise RequestError(
        f"{place.database} was made by a newer MLflow than {mlflow.__version__} (schema {found}): upgrade mlflow, "
        "or set MIA_HOME to another folder"
    )


def _needed_schema(place: Place) -> str:
    """The schema that the installed MLflow needs, kept beside the store: finding it out imports MLflow and Alembic."""
    with suppress(OSError, ValueError, AttributeError):
        notes = place.database.with_name(NOTES).read_text(encoding="utf-8")
        if found := json.loads(notes).get(metadata.version("mlflow")):
            return str(found)
    needed = _revisions()[0]
    _note_schema(place, needed)
    return needed


def _note_schema(place: Place, needed: str) -> None:
    with suppress(StorageError), whole_file(place.database.with_name(NOTES)) as file:
        file.write_text(json.dumps({metadata.version("mlflow"): needed}), encoding="utf-8")


def _revisions() -> tuple[str, set[str]]:
    """The schema that this MLflow needs, and all that it knows."""
    quiet_mlflow()
    import mlflow
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    return scripts.get_heads()[0], {script.revision for script in scripts.walk_revisions()}


def connection_to(place: Place) -> sqlite3.Connection:
    """Return a connection to the file, which must be there.

    It can write even for a reader's sake, where that is possible: the journal that a crash left has to be rolled back.
    """
    is_writable = os.access(place.database.parent, os.W_OK) and os.access(place.database, os.W_OK)
    mode = "rw" if is_writable else "ro"
    return sqlite3.connect(f"{place.database.as_uri()}?mode={mode}", uri=True, timeout=20, isolation_level=None)


def _cannot_write(path: Path, reason: str) -> str:
    return f"cannot write {path}: {reason}; set MIA_HOME to a folder that can be written"


def copy_database(path: Path, to: Path) -> None:
    """Copy a database file as it is at this moment, whoever writes to it."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)
