"""What this process may use of the machine: cores and memory; and workers that do not outlive whom they work for.

Takes nothing but the environment; starts no process.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARE = "MIA_CORES"
"""Names the variable that tells a job of a parallel sweep how many cores are its own."""
PATROL_SECONDS = 2.0


def usable_cores() -> int:
    """Return the number of CPU cores this process may use: `$MIA_CORES` where a parallel sweep has set it.

    Else those it is bound to; of a job of SLURM's no more than it was given, also where nothing binds it.
    """
    share = os.environ.get(SHARE, "")
    if share.isdecimal() and int(share):
        return int(share)
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(bound, _granted() or bound)


def _granted() -> int:
    """Return the cores that SLURM has given to this task, which it may not be bound to; 0 outside of SLURM."""
    if "SLURM_JOB_ID" not in os.environ:
        return 0
    given = {name: os.environ.get(f"SLURM_{name}", "") for name in ("CPUS_PER_TASK", "CPUS_ON_NODE", "NTASKS_PER_NODE")}
    found = {name: int(value) for name, value in given.items() if value.isdecimal()}
    return found.get("CPUS_PER_TASK") or found.get("CPUS_ON_NODE", 0) // max(found.get("NTASKS_PER_NODE", 1), 1)


def memory_bytes() -> int:
    """Return how much memory this process may have at most: the machine's, or its control group's."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # where there is no such system call
        return sys.maxsize
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        limit = ""
    return min(machine, int(limit)) if limit.isdecimal() else machine


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let matrix products in the block run on one thread of the linear algebra library.

    For small ones: its threads wait for one another with all their might, which on a machine that has other things to
    do takes up to a hundred times the product itself. Sums of numbers that are no integers may round otherwise than
    with several threads.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, "blas"):
        yield


def end_with(parent: int) -> None:
    """Let this process, a worker, end when the one it works for does, even if that is killed.

    On Linux the kernel sees to it, whatever the worker computes: also where the thread that started the worker ends, so
    that thread must stay as long as there is work. Elsewhere a thread looks every two seconds whether the parent is
    still there, which it can only between computations that hold Python's lock.

    Args:
        parent: The parent's process id, taken by the parent itself: it may be gone by the time this runs.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    else:
        threading.Thread(target=_patrol, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _patrol(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PATROL_SECONDS)
    os._exit(1)
