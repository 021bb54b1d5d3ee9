"""MLflow's UI on our store: `mlflow server` with the settings that make it small and safe.

Takes the `mlruns` folder and an address; serves until Ctrl-C. Changes no run. A store whose folder was moved is put
right first, or its files would not be found.
"""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mia.checks import RequestError
from mia.tracking import database, view
from mia.tracking.ending import terminate_as_interrupt
from mia.tracking.moved import follow_move

START_SECONDS = 300  # a few on an idle machine
STOP_SECONDS = 10


def serve(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the UI until it is interrupted.

    Args:
        home: the `mlruns` folder.
        host: address to listen on; other machines reach the UI only if it is not this machine's own.
        port: to listen on.
        open_browser: open the prepared view in the user's browser.
        say: takes one line for a person at a time.

    Raises:
        RequestError: the port is taken, the store cannot be used, or the server did not start.
    """
    _check_free(host, port)
    place = database.place_of(None, home)
    assert place is not None
    database.prepare(place)
    old = follow_move(place)
    if old is not None:
        say(f"the store was moved here from {old.parent}: its paths have been put right")
    say("starting MLflow's UI ...")
    log = home / "ui.log"
    with terminate_as_interrupt(), log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603 - our own command line
            _command(place, host, port),
            env=_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end the server
        )
        try:
            address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}"  # noqa: S104
            _wait(server, address, log)
            say(f"{address}{_prepared_view(place)}\nCtrl-C ends it.")
            if open_browser:
                webbrowser.open(f"{address}{_prepared_view(place)}")
            server.wait()
            raise RequestError(f"the server has ended: see {log}")
        except KeyboardInterrupt:
            pass
        finally:
            _stop(server)


def _command(place: database.Place, host: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", place.uri),
        *("--artifacts-destination", place.artifacts.as_uri()),
        *("--host", host, "--port", str(port), "--workers", "1"),
    ]


def _environment() -> dict[str, str]:
    return {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _check_free(host: str, port: int) -> None:
    if not 0 < port < 65536:
        raise RequestError(f"port={port} must be a number from 1 to 65535")
    try:
        _bind(host, port)
    except OSError as error:
        try:
            free = _bind(host, 0)
        except OSError:
            raise RequestError(f"host={host!r} is not an address of this machine ({error})") from error
        raise RequestError(f"port={port} is taken on {host}: try port={free}") from error


def _bind(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that just ended does not count
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()  # noqa: S310 - an http address of ours
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RequestError(f"the server did not start: see {log}")


def _prepared_view(place: database.Place) -> str:
    """The link of the view of all runs, or of the UI's first page if there is none."""
    query = "SELECT experiment_id FROM experiment_tags WHERE key = ? ORDER BY experiment_id"
    try:
        with closing(database.connection_to(place)) as connection:
            row = connection.execute(query, (view.tag_name(),)).fetchone()
    except sqlite3.Error:
        return "/"
    return view.link(str(row[0])) if row else "/"


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and what it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL if os.name != "nt" else signal.SIGTERM):
        if os.name == "nt":
            server.terminate()
        else:
            try:
                os.killpg(server.pid, number)
            except ProcessLookupError:
                return
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
