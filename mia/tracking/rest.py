"""What a server of MLflow's is asked over its public REST interface, without MLflow.

Takes a server's address and what to ask; gives plain JSON and files. MLflow's client takes two seconds to import, makes
an object of every number of a run, and asks three times before it fetches a file.
"""

import atexit
import http.client
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from mia.tracking.address import request_to

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
NUMBERS = count()
SECONDS = 120.0  # a page of a thousand runs takes a busy server some


class RefusedError(OSError):
    """A server has answered with an error, or not at all."""

    def __init__(self, said: str, code: int = 0) -> None:
        super().__init__(said)
        self.code = code


def ask(uri: str, what: str, values: Mapping[str, Any], *, is_search: bool = False) -> dict[str, Any]:
    """Return a server's answer.

    Raises:
        RefusedError: it is an error, or there is none.
    """
    path = f"{API}/{what}" + ("" if is_search else f"?{urlencode(values)}")
    body = json.dumps(values).encode() if is_search else None
    with _answer(uri, path, body) as answer:
        found: dict[str, Any] = json.loads(_read(answer))
    return found


def fetch_file(uri: str, remote: str) -> Path | None:
    """Return a file that a server hands out, fetched to this process's temporary folder; None if there is none.

    It is there as long as the process runs.

    Raises:
        RefusedError: the server refused, or is away.
    """
    try:
        with _answer(uri, f"{FILES}/{quote(remote)}") as answer:
            target = _folder(os.getpid()) / str(next(NUMBERS)) / Path(remote).name  # files of two runs have one name
            target.parent.mkdir()
            with target.open("wb") as file:
                shutil.copyfileobj(answer, file)
    except RefusedError as error:
        if error.code == 404:
            return None
        raise
    except (OSError, http.client.HTTPException) as error:
        raise RefusedError(f"read timed out or broke off: {error}") from error
    return target


@cache
def _folder(process: int) -> Path:
    """Return the folder of a process's fetched files, which goes when the process that made it ends."""
    folder = Path(tempfile.mkdtemp(prefix="mia-"))
    atexit.register(_remove, folder, process)
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a fork has its parent's duties, but not its files
        shutil.rmtree(folder, ignore_errors=True)


def _answer(uri: str, path: str, body: bytes | None = None) -> Any:
    request = request_to(uri, path)
    if body is not None:
        request.data = body
        request.add_header("Content-Type", "application/json")
    try:
        return urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310 - http or https, checked in the options
    except urllib.error.HTTPError as error:
        raise RefusedError(f"error code {error.code}: {_message(error)}", error.code) from error
    except urllib.error.URLError as error:
        raise RefusedError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise RefusedError(f"read timed out: {error}" if isinstance(error, TimeoutError) else str(error)) from error


def _read(answer: Any) -> bytes:
    try:
        found: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise RefusedError(f"read timed out or broke off: {error}") from error
    return found


def _message(error: urllib.error.HTTPError) -> str:
    """Return what a server says of an error."""
    with error:
        text = error.read().decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300] or str(error.reason)
