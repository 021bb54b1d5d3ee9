"""MLflow's UI on our store: `mlflow server` with the settings that make it small and safe.

Takes the `mlruns` folder and an address; serves until Ctrl-C. Changes no run. A store whose folder was moved is put
right first, or its files would not be found.

The server answers only to the names that are printed: MLflow's own default lets any name pass that looks like a private
address, such as 10.evil.com, by which a web page could reach it through somebody's browser.
"""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mia.checks import RequestError
from mia.files import StorageError
from mia.tracking import address, database, ui_views
from mia.tracking.moved import follow_move
from mia.tracking.process import terminate_as_interrupt
from mia.tracking.sources import SqliteRuns

START_SECONDS = 300  # a few on an idle machine
STOP_SECONDS = 10
MORE_HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"  # MLflow's own variable, for names that this machine does not know it has
EVERY = ("0.0.0.0", "::")  # noqa: S104 - what a person asks for who wants others to see


def serve(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    open_browser: bool = False,
    uri: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the UI until it is interrupted.

    Args:
        home: the `mlruns` folder.
        host: address to listen on; other machines reach the UI only if it is not this machine's own.
        port: to listen on.
        open_browser: open the prepared view in the user's browser.
        uri: the address of another database file, whose store is served in the place of the folder's.
        say: takes one line for a person at a time.

    Raises:
        RequestError: the port is taken, the store cannot be used, or the server did not start.
    """
    _check_free(host, port)
    names = _names(host)
    addresses = [f"http://{name}:{port}" for name in names]
    place = _served(uri, home)
    database.prepare(place)
    old = follow_move(place)
    if old is not None:
        say(f"the store was moved here from {old.parent}: its paths have been put right")
    if not _is_own(host):
        say(
            f"mia: warning: host={host} lets every machine that reaches this one read, change and delete the runs: "
            f"there is no password. It answers to the names below; {MORE_HOSTS}=NAME:PORT adds others"
        )
    say("starting MLflow's UI ...")
    log = place.database.parent / "ui.log"
    with terminate_as_interrupt(), log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603 - our own command line
            _command(place, host, port, names),
            env=_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end the server
        )
        try:
            _wait(server, addresses[0], log)
            page = _prepared_view(place)
            shown = addresses[:1] if _is_own(host) else addresses
            say("\n".join([*(f"{one}{page}" for one in shown), "Ctrl-C ends it."]))
            if open_browser:
                webbrowser.open(f"{addresses[0]}{page}")
            server.wait()
            raise RequestError(f"the server has ended: see {log}")
        except KeyboardInterrupt:
            pass
        finally:
            _stop(server)


def _served(uri: str | None, home: Path) -> database.Place:
    place = database.place_of(uri, home)
    if place is None:
        shown = address.shown(uri or "")
        raise RequestError(
            f"tracking.uri={shown} is not a file: mia ui serves files; a server is browsed at its address"
        )
    if uri is not None and not place.database.exists():
        raise RequestError(f"tracking.uri={uri}: there is no such file")
    return place


def _command(place: database.Place, host: str, port: int, names: Sequence[str]) -> list[str]:
    hosts = [f"{name}:{port}" for name in names] + (list(names) if port == 80 else [])
    hosts += [one.strip() for one in os.environ.get(MORE_HOSTS, "").split(",") if one.strip()]
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", place.uri),
        *("--artifacts-destination", place.artifacts.as_uri()),
        *("--host", host, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", ",".join(hosts)),
        *("--cors-allowed-origins", ",".join(f"http://{one}" for one in hosts)),
    ]


def _names(host: str) -> list[str]:
    """Return the names under which a server on this address is reached, as they stand in a browser's address."""
    if host in EVERY:
        import psutil

        kinds = (socket.AF_INET, socket.AF_INET6) if ":" in host else (socket.AF_INET,)
        found = [one.address for cards in psutil.net_if_addrs().values() for one in cards if one.family in kinds]
        scoped = [one for one in found if "%" not in one]  # link-local ones, which no browser takes
        first = "[::1]" if ":" in host else "127.0.0.1"
        return list(dict.fromkeys([first, "localhost", *map(_bracketed, scoped), socket.gethostname().lower()]))
    own = ["localhost"] if _is_own(host) and host != "localhost" else []
    return [_bracketed(host), *own]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_own(host: str) -> bool:
    """Tell whether only this machine reaches a server on this address."""
    try:
        return all(ipaddress.ip_address(found[4][0]).is_loopback for found in socket.getaddrinfo(host, None))
    except (OSError, ValueError):
        return False


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
    with suppress(StorageError):
        for number, tags in sorted(SqliteRuns(place).experiments().items(), key=lambda one: int(one[0])):
            if ui_views.tag_name() in tags:
                return ui_views.link(number)
    return ui_views.FIRST_PAGE


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
