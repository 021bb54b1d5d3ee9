"""Spreads fits over the cores: one single-threaded worker process each, or this process where there is little to do.

Takes a function and its argument lists; gives its results in order. Results do not depend on the number of workers.
Processes, since the fast support vector machine holds Python's lock while it fits, and one thread each: two fits on
one core each are done sooner than one after the other on two, and repeat bit for bit.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import current_process
from threading import current_thread, main_thread
from typing import Any, Self

from mia.machine import end_with, usable_cores

LITTLE = 4.0
"""Seconds of work below which starting worker processes costs more than it gains."""
MOST = 32
"""Workers: each holds its own copy of the libraries, some 200 MB."""


class Workers:
    """Runs the jobs of one stage; as a context, ends the processes after it, so that none sits through the next.

    joblib has one set of worker processes for all of a program: where that runs already, it is the caller's, is used
    as it is and left running.
    """

    def __init__(self, seconds: float) -> None:
        """Decide where jobs run; `seconds`: roughly how long all of them take on one core."""
        # intelex ignores its limit of one thread outside the main thread: there, worker processes are always used
        self._pays = seconds > LITTLE or current_thread() is not main_thread()
        self._is_ours: bool | None = None  # the set of processes; None: none was needed yet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._is_ours:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=kind is not None)

    def run(
        self,
        function: Callable[..., Any],
        jobs: Iterable[tuple[Any, ...]],
        count: int,
    ) -> Iterator[Any]:
        """Give `function(*job)` for every job, in order, each as soon as it and those before it are done.

        Args:
            function: A module's function: workers import it.
            jobs: Its arguments, made as they are needed; large arrays are handed to all workers as one memory map.
            count: Jobs that there are.
        """
        workers = min(count_cores(), count, MOST)
        if not (self._pays and workers > 1):
            yield from (function(*job) for job in jobs)
            return
        if self._is_ours is None:
            self._is_ours = not _are_running()
        yield from _spread(function, jobs, workers, os.getpid() if self._is_ours else None)


def count_cores() -> int:
    """Return the cores for this process: a share of the machine's where it is itself a worker of a parallel sweep."""
    import joblib

    cores = min(joblib.cpu_count(), usable_cores())  # joblib knows the limits of containers too
    if current_process().name.startswith("LokyProcess"):
        share = os.environ.get("OMP_NUM_THREADS", "")
        return min(cores, int(share)) if share.isdecimal() else 1
    return cores


def _are_running() -> bool:
    """Tell whether joblib's worker processes run already."""
    from joblib.externals.loky import reusable_executor

    flags = getattr(getattr(reusable_executor, "_executor", None), "_flags", None)
    return flags is not None and not flags.shutdown and flags.broken is None


def _spread(function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], workers: int, parent: int | None) -> Any:
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        return Parallel(return_as="generator", batch_size=1)(delayed(_work)(parent, function, *job) for job in jobs)


_bound: set[int] = set()
"""In a worker: the parents that it was told to end with."""


def _work(parent: int | None, function: Callable[..., Any], *job: Any) -> Any:
    if parent is not None and parent not in _bound:
        end_with(parent)  # the libraries compute for minutes without looking up: a killed program must not leave them
        _bound.add(parent)
    return function(*job)
