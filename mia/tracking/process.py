"""The process that makes a run: its code, packages and machine, whether it lives, and how it is asked to end.

Takes nothing, or the tags of a run; gives tags and verdicts. Reads the system only, and is silent about what it cannot
find out: a run is called dead only by somebody who can know.
"""

import os
import platform
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from types import FrameType

from mia import __version__
from mia.home import checkout
from mia.tracking import slurm

HEARTBEAT = "mia.heartbeat"  # when a run last said that it lives, in seconds since 1970
FIRST_BEAT_SECONDS, BEAT_SECONDS = 5.0, 60.0  # until it says so for the first time after its start; between two times
LEASE_SECONDS = 900.0  # without a heartbeat after which a run on another machine counts as dead; clocks may differ
HIDDEN = "hidden"  # the start of a process that the system does not tell us of
PACKAGES = ("jax", "flax", "optax", "scikit-learn", "numpy", "mlflow", "hydra-core")


def describe() -> dict[str, str]:
    """Return the tags of a run made by this process, now."""
    return {**code(), **_versions(), **process(), "mlflow.user": _user(), "mlflow.source.name": "mia"}


@cache
def code() -> Mapping[str, str]:
    """Return the git commit of a checkout and whether files differ from it; nothing for an installed package."""
    repository = checkout()
    commit = _git(repository, "rev-parse", "HEAD") if repository and (repository / ".git").exists() else None
    if repository is None or commit is None:
        return {}
    changes = _git(repository, "status", "--porcelain", "--untracked-files=no")
    return {
        "mia.git_commit": commit,
        "mia.git_dirty": "true" if changes else "false",
        "mlflow.source.git.commit": commit,
    }


def process() -> dict[str, str]:
    """Return the tags by which a run is found dead when its process has gone, or its job."""
    pid = os.getpid()
    job = slurm.own_job() or ({slurm.JOB: os.environ["MIA_JOB"]} if os.environ.get("MIA_JOB") else {})
    tags = {"mia.host": socket.gethostname(), "mia.pid": str(pid), **job}
    start = _start_of(pid)
    return {**tags, "mia.pid_start": f"{_boot()}-{start}", "mia.pid_namespace": _namespace()} if start else tags


def heartbeat() -> dict[str, str]:
    """Return the tag that says that this process lives, now."""
    return {HEARTBEAT: str(int(time.time()))}


def is_gone(tags: Mapping[str, str]) -> bool:
    """Tell whether the process in a run's tags is known to have ended.

    On the machine (and in the container) it ran on, that is looked up. Elsewhere SLURM may know what became of its job;
    where nobody can know, the run counts as dead when it has stopped saying that it lives; one that never said so is
    left alone.
    """
    pid, boot, start = tags.get("mia.pid", ""), *_boot_and_start(tags)
    is_here = (
        tags.get("mia.host") == socket.gethostname()
        and boot in ("", _boot())
        and tags.get("mia.pid_namespace", _namespace()) == _namespace()
    )
    if is_here and pid.isdigit():
        found = _start_of(int(pid))
        has_other = start != found and not {start, found} & {"", HIDDEN}  # it has got the number since
        return not found or has_other
    if (has_left := slurm.has_left(tags)) is not None:
        return has_left
    beat = tags.get(HEARTBEAT, "")
    return beat.isdigit() and time.time() - int(beat) > LEASE_SECONDS


def _boot_and_start(tags: Mapping[str, str]) -> tuple[str, str]:
    boot, _, start = tags.get("mia.pid_start", "").partition("-")
    return boot, start


def _start_of(pid: int) -> str:
    """When a process started, in hundredths of a second since the machine did; empty if it runs no more."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return str(round((process.create_time() - psutil.boot_time()) * 100))
    except psutil.NoSuchProcess:
        return ""
    except psutil.Error:
        return HIDDEN


@cache
def _boot() -> str:
    """What names this start of the machine: two machines of one name are told apart by it. Empty where unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]  # psutil has only the time
    except OSError:
        return ""


@cache
def _namespace() -> str:
    """What names the processes that can be seen from here: containers of one machine are told apart by it."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


@cache
def _versions() -> Mapping[str, str]:
    found = {"mia": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {f"mia.version.{package}": version for package, version in found.items()}


def _git(repository: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("USERNAME") or "unknown"


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C does, where nobody else has decided what it does."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt("SIGTERM")

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block: compiled modules may crash if interrupted while loading."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heeded = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in heeded:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt(signal.Signals(came[0]).name)
