"""What a run was made by: code, packages, machine, process.

Takes nothing; gives tags. Reads the system only, and is silent about what it cannot find out.
"""

import os
import platform
import socket
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from mia import __version__
from mia.home import checkout

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
    """Return the tags by which a run is found dead when its process has gone."""
    pid = os.getpid()
    return {"mia.host": socket.gethostname(), "mia.pid": str(pid), "mia.pid_start": _start_of(pid)}


def is_gone(tags: Mapping[str, str]) -> bool:
    """Tell whether the process in these tags ran on this machine and does not any more."""
    pid = tags.get("mia.pid", "")
    if tags.get("mia.host") != socket.gethostname() or not pid.isdigit() or os.name == "nt":
        return False
    start = tags.get("mia.pid_start", "")
    if start and _start_of(os.getpid()):
        return _start_of(int(pid)) != start  # a process that has got the number since does not count
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _start_of(pid: int) -> str:
    """When a process started, in ticks of this boot of the machine; empty if the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else f"{boot}-{fields[19]}"


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
