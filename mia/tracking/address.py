"""Addresses of tracking stores: what MLflow can keep runs at, whether it answers, and how it is shown to people.

Takes `tracking.uri`; says nothing, gives it in the form that MLflow needs, or raises. An address may hold a password or
a token: nothing here, nor anywhere else, prints or stores one before `shown` has taken the secrets out.
"""

import base64
import os
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mia.checks import RequestError

SERVERS = ("http", "https")
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
SQLITE = "sqlite"
SECONDS = 5  # until something at an address must have answered
HIDDEN = "***"
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s'\"<>`]+")


def shown(address: str) -> str:
    """Return an address without secrets: no user, no password, no values of a query.

    What cannot be taken apart for sure (an unquoted @, / or ? in a password) is hidden as a whole.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:
        return HIDDEN if "@" in address else re.sub(r"([?#]).+", rf"\1{HIDDEN}", address, flags=re.DOTALL)
    if scheme.lower().partition("+")[0] in (SQLITE, "file"):
        path, query, _ = rest.partition("?")
        return f"{scheme}://{path}?{HIDDEN}" if query else address
    authority, path, query = re.fullmatch(r"([^/?#]*)([^?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if "@" in path or "@" in query:
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{authority.rpartition('@')[2]}{path}{f'{query[0]}{HIDDEN}' if query else ''}"


def without_secrets(text: str) -> str:
    """Return a text in which every address is `shown`."""
    return ADDRESS.sub(lambda found: shown(found[0]), text) if "://" in text else text


def checked(uri: str) -> str:
    """Return an address that MLflow can keep runs at, its scheme in small letters.

    Raises:
        RequestError: it is none, or is malformed.
    """
    scheme, mark, rest = uri.partition("://")
    uri = f"{scheme.lower()}{mark}{rest}"
    kind = scheme.lower().partition("+")[0] if mark else ""
    if not uri.isprintable() or (" " in uri and kind != SQLITE):
        raise RequestError(f"tracking.uri={shown(uri)!r} must not hold spaces or control characters: quote them (%20)")
    if kind == SQLITE:
        sqlite_file(uri)
        return uri
    if kind not in (*SERVERS, *PORTS):
        raise RequestError(
            f"tracking.uri={shown(uri)!r} is not an MLflow store: give http(s)://host:port, "
            "postgresql://..., sqlite:////absolute/path.db, or leave it out and set MIA_HOME to choose the folder"
        )
    try:
        parts = urlsplit(uri)
        is_complete = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_complete = False
    if not is_complete and not (kind in PORTS and _host_is_in_query(uri)):
        raise RequestError(f"tracking.uri={shown(uri)!r} must name a host, and perhaps a port: {kind}://host:port")
    if kind in SERVERS and (parts.query or parts.fragment):
        raise RequestError(f"tracking.uri={shown(uri)!r} must end before ? and #: they mean nothing to a server")
    return uri


def _host_is_in_query(uri: str) -> bool:
    """Tell whether a database's host may stand after the question mark, as some drivers have it."""
    return uri.partition("://")[2].startswith("/") and "?" in uri


def sqlite_file(uri: str) -> Path:
    """Return the file of a sqlite address, in which %20 and the like are read as SQLAlchemy reads them.

    Raises:
        RequestError: it names no file.
    """
    path = uri.partition("://")[2]
    if not path.startswith("/") or path.strip("/") in ("", ":memory:") or "?" in path or "#" in path:
        raise RequestError(
            f"tracking.uri={shown(uri)!r} must name a file: sqlite:////absolute/path.db (quote ? as %3F and # as %23)"
        )
    try:
        return Path(unquote(path[1:], errors="strict")).expanduser().absolute()
    except (UnicodeDecodeError, RuntimeError) as error:
        raise RequestError(f"tracking.uri={shown(uri)!r} names no file: {error}") from error


def is_server(uri: str) -> bool:
    """Tell whether an address is a server's, and not a database's."""
    return urlsplit(uri).scheme in SERVERS


class AwayError(RequestError):
    """Nothing answers at an address, for now."""


def check_answers(uri: str) -> None:
    """Return if something answers at the address of a server or a database.

    Raises:
        AwayError: nothing does.
        RequestError: it refuses us.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    try:
        if scheme in SERVERS:
            _ask(uri)
        elif parts.hostname:
            socket.create_connection((parts.hostname, parts.port or PORTS[scheme]), timeout=SECONDS).close()
    except (OSError, ValueError) as error:
        reason = "user or password refused" if _is_refusal(error) else getattr(error, "reason", None) or error
        raise (RequestError if _is_refusal(error) else AwayError)(
            f"tracking.uri={shown(uri)!r} does not answer ({without_secrets(str(reason))}): start the server, correct "
            "the address, or leave it out to keep runs in mlruns/"
        ) from error


def retry_seldom() -> None:
    """Let MLflow itself give up soon in this process, unless somebody has set how often it tries: we wait for it."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


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


def request_to(uri: str, path: str) -> urllib.request.Request:
    """Return the request for a path of a server; urllib takes neither a user nor a password in the address."""
    parts = urlsplit(uri)
    user = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")).geturl() + path
    request = urllib.request.Request(bare)  # noqa: S310 - http or https, checked in the options
    if user:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    return request


def _ask(uri: str) -> None:
    """Ask a server how it is."""
    try:
        urllib.request.urlopen(request_to(uri, "/health"), timeout=SECONDS).close()  # noqa: S310 - as above
    except urllib.error.HTTPError as answer:
        if answer.code >= 500 or _is_refusal(answer):
            raise


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, urllib.error.HTTPError) and error.code in (401, 403)
