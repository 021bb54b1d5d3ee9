"""Whether a tracking server answers, found out in seconds: MLflow alone would try for minutes.

Takes an address; says nothing, or raises. Sends no data.
"""

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from mia.checks import RequestError
from mia.tracking.options import SERVERS

SECONDS = 5
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def check_answers(uri: str) -> None:
    """Return if something answers at the address.

    Raises:
        RequestError: nothing does.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    try:
        if scheme in SERVERS:
            _ask(uri.rstrip("/") + "/health")
        elif parts.hostname:
            socket.create_connection((parts.hostname, parts.port or PORTS[scheme]), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # without a password
        raise RequestError(
            f"tracking.uri={shown!r} does not answer ({reason}): start the server, correct the address, "
            "or leave it out to keep runs in mlruns/"
        ) from error


@contextmanager
def impatient() -> Iterator[None]:
    """Let MLflow give up after seconds; left alone it tries for minutes, which is right for a finished run only."""
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _ask(address: str) -> None:
    try:
        urllib.request.urlopen(address, timeout=SECONDS).close()  # noqa: S310 - http or https, checked in the options
    except urllib.error.HTTPError as answer:
        if answer.code >= 500:
            raise
