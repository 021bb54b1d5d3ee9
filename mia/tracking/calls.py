"""MLflow's client, and what it raises turned into one line for a person.

Takes the address of a store that is known to be sound; gives a client, and results of its calls. A call that finds a
SQLite store locked is tried again; everything else that goes wrong becomes a `StorageError` with the way out.
"""

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from mia.files import StorageError

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

PATIENCE = (0.2, 1.0, 5.0)  # seconds between tries; SQLite itself waits 20 s before it gives up
WAYS_OUT = {
    "is full": "free some space and repeat the command",
    "disk i/o": "check the disk, then repeat the command",
    "readonly": "set MIA_HOME to a folder that can be written",
    "unable to open": "set MIA_HOME to a folder that can be written",
    "locked": "another program holds it; end that one and repeat the command",
    "malformed": "move it away or restore a copy; nothing was overwritten",
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
    os.environ.pop("MLFLOW_RUN_ID", None)
    with no_warnings():
        import mlflow.tracking.client  # noqa: F401 - sets up the loggers that are silenced next
    for name, level in {
        "mlflow": logging.WARNING,
        "mlflow.store.db.utils": logging.CRITICAL,
        "alembic": logging.WARNING,
    }.items():
        logging.getLogger(name).setLevel(level)


def connect(uri: str, where: str) -> "MlflowClient":
    """Return MLflow's client for a store; the first call imports MLflow.

    Raises:
        StorageError: the store refused.
    """
    quiet_mlflow()
    from mlflow.tracking.client import MlflowClient

    return Calls(where)(MlflowClient, tracking_uri=uri)


class Calls:
    """Calls functions of MLflow's client for one store."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __call__(
        self, function: Callable[Arguments, Answer], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        """Return what the function returns.

        Raises:
            StorageError: the store refused, in one line with the way out.
        """
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        for pause in (*PATIENCE, None):
            try:
                with no_warnings():
                    return function(*args, **kwargs)
            except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
                if pause is None or "database is locked" not in str(error):
                    raise StorageError(self.explain(error)) from error
                time.sleep(pause)
        raise AssertionError

    def explain(self, error: BaseException) -> str:
        """Return one line that names the store, what went wrong and the way out."""
        text = str(error).split("\n[SQL", maxsplit=1)[0].split("(Background on", maxsplit=1)[0]
        reason = " ".join(re.sub(r"^.*\(sqlite3\.\w+\)", "", text, flags=re.DOTALL).split()) or type(error).__name__
        way_out = next((way for sign, way in WAYS_OUT.items() if sign in reason.lower()), "")
        return f"the runs in {self.where}: {reason[:300]}{'; ' if way_out else ''}{way_out}"
