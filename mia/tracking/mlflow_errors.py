"""What MLflow and SQLite raise, turned into one line for a person.

Takes functions; gives their results. A call that finds a SQLite store locked is tried again; everything else that goes
wrong becomes a `StorageError` with the way out, and without secrets.
"""

import itertools
import logging
import os
import re
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from mia.files import StorageError
from mia.tracking.address import without_secrets

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

PATIENCE = (0.2, 1.0, 5.0)  # seconds between tries; SQLite itself waits 20 s before it gives up
LONGEST_PAUSE = 20.0  # seconds between two tries while a store is away
AWAY = re.compile(
    r"max retries exceeded|too many 5\d\d error|error code 50[0234]|connection (?:refused|reset|aborted|to server)"
    r"|server closed the connection|terminating connection|the database system is|remote end closed|read timed out",
    re.IGNORECASE,
)
"""What clients say of a server or a database that is down, is starting or was restarted under them."""
RACED = re.compile(r"duplicate key|UNIQUE constraint|Duplicate entry", re.IGNORECASE)
"""What PostgreSQL, SQLite and MySQL say of a row that somebody else has just made."""
WAYS_OUT = {
    "is full": "free some space and repeat the command",
    "disk i/o": "check the disk, then repeat the command",
    "readonly": "set MIA_HOME to a folder that can be written",
    "unable to open": "set MIA_HOME to a folder that can be written",
    "locked": "another program holds it; end that one and repeat the command",
    "malformed": "move it away or restore a copy; nothing was overwritten",
    "invalid host header": "start the server with --allowed-hosts HOST:PORT, as the address names it",
    "not a database": "move it away or restore a copy; nothing was overwritten",
}


@contextmanager
def no_warnings() -> Iterator[None]:
    """Keep what MLflow does with its own libraries to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def quiet_mlflow() -> None:
    """Prepare the process for importing MLflow: no telemetry, no chatter, no run inherited from the environment."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ.pop("MLFLOW_RUN_ID", None)
    with no_warnings():
        import mlflow.tracking.client  # noqa: F401 - sets up the loggers that are silenced next
    for name, level in {
        "mlflow": logging.WARNING,
        "mlflow.store.db.utils": logging.CRITICAL,
        "alembic": logging.WARNING,
    }.items():
        logging.getLogger(name).setLevel(level)


class Calls:
    """Calls functions that use one store."""

    def __init__(self, where: str, patience: float = 0.0) -> None:
        """Take the store's name for people, and for how many seconds a call waits while the store is away."""
        self.where, self.patience = where, patience

    def __call__(
        self, function: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """Return what the function returns.

        Raises:
            StorageError: the store refused, in one line with the way out.
        """
        locked, away = iter(PATIENCE), Patience(self.patience, self.where)
        while True:
            try:
                with no_warnings():
                    return function(*args, **kwargs)
            except _raised() as error:
                if "database is locked" in str(error) and (pause := next(locked, None)):
                    time.sleep(pause)
                elif not is_away(error):
                    raise StorageError(self.explain(error)) from error
                elif not away.wait():
                    raise StorageError(self.explain(error) + away.waited) from error

    @contextmanager
    def hurry(self) -> Iterator[None]:
        """Wait for nothing during the block."""
        before, self.patience = self.patience, 0.0
        try:
            yield
        finally:
            self.patience = before

    def explain(self, error: BaseException) -> str:
        """Return one line that names the store, what went wrong and the way out."""
        text = str(error).split("\n[SQL", maxsplit=1)[0].split("(Background on", maxsplit=1)[0]
        reason = " ".join(re.sub(r"^.*\(sqlite3\.\w+\)", "", text, flags=re.DOTALL).split()) or type(error).__name__
        way_out = next((way for sign, way in WAYS_OUT.items() if sign in reason.lower()), "")
        return f"the runs in {self.where}: {without_secrets(reason)[:300]}{'; ' if way_out else ''}{way_out}"


class Patience:
    """Waits for a store that is away, longer from time to time, and says so once."""

    def __init__(self, seconds: float, where: str) -> None:
        self._seconds, self._where = seconds, where
        self._pauses = (min(2.0**power, LONGEST_PAUSE) for power in itertools.count())
        self._until: float | None = None

    def wait(self) -> bool:
        """Wait for a while; return false where that has been done for long enough."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + self._seconds
            if self._seconds:
                print(f"mia: {self._where} does not answer: waiting up to {self._said}", file=sys.stderr, flush=True)
        if now >= self._until:
            return False
        time.sleep(min(next(self._pauses), self._until - now))
        return True

    @property
    def _said(self) -> str:
        return f"{self._seconds:g} s (tracking.patience={self._seconds:g})"

    @property
    def waited(self) -> str:
        """What to say of the wait."""
        return f"; away for more than {self._said}" if self._seconds else ""


def is_away(error: BaseException) -> bool:
    """Tell whether a store did not answer, or said that it cannot at the moment; it may be back soon."""
    return AWAY.search(str(error)) is not None


def is_raced(error: BaseException) -> bool:
    """Tell whether another process has made the same row at the same moment, so that a second try finds it."""
    return RACED.search(str(error)) is not None


def _raised() -> tuple[type[BaseException], ...]:
    """What a store may raise; MLflow and SQLAlchemy can only where they have been imported."""
    found: list[type[BaseException]] = [sqlite3.Error, OSError, ImportError]
    for module, name in (("mlflow.exceptions", "MlflowException"), ("sqlalchemy.exc", "SQLAlchemyError")):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)
