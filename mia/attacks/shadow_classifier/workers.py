"""Spreads fits over the cores: one single-threaded worker process each, or this process where there is little to do.

Takes a function and its argument lists; gives its results in order. Results do not depend on the number of workers.
Processes, since the fast support vector machine holds Python's lock while it fits, and one thread each: two fits on
one core each are done sooner than one after the other on two, and repeat bit for bit.
"""

import os
from collections.abc import Callable, Iterable
from multiprocessing import current_process
from threading import current_thread, main_thread
from typing import Any

LITTLE = 4.0
"""Seconds of work below which starting worker processes costs more than it gains."""
MOST = 32
"""Workers: each holds its own copy of the libraries, some 200 MB."""

IDLE = 10
"""Seconds after which a worker without work ends, so that none sits in memory through the next training."""


def run_all(
    function: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    count: int,
    seconds: float,
    progress: Callable[[], None],
) -> list[Any]:
    """Return `function(*job)` for every job.

    Args:
        function: A module's function: workers import it.
        jobs: Its arguments, made as they are needed; large arrays are handed to all workers as one memory map.
        count: Jobs that there are.
        seconds: Roughly how long all jobs take on one core.
        progress: Called when a job is done.
    """
    workers = min(count_cores(), count, MOST)
    results = []
    for result in _spread(function, jobs, workers) if _pays(workers, seconds) else _in_turn(function, jobs):
        results.append(result)
        progress()
    return results


def count_cores() -> int:
    """Return the cores for this process: a share of the machine's where it is itself a worker of a parallel sweep."""
    import joblib

    cores = joblib.cpu_count()
    if current_process().name.startswith("LokyProcess"):
        share = os.environ.get("OMP_NUM_THREADS", "")
        return min(cores, int(share)) if share.isdecimal() else 1
    return cores


def _pays(workers: int, seconds: float) -> bool:
    """Whether worker processes pay; outside the main thread they always do, since intelex ignores its limit there."""
    return (workers > 1 and seconds > LITTLE) or current_thread() is not main_thread()


def _in_turn(function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]) -> Any:
    return (function(*job) for job in jobs)


def _spread(function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], workers: int) -> Any:
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=workers, inner_max_num_threads=1, idle_worker_timeout=IDLE):
        return Parallel(return_as="generator", batch_size=1)(delayed(function)(*job) for job in jobs)
