"""A Ray cluster as a queue (`hydra/launcher=ray`): Ray's own tasks, a process for each job, and a GPU for each if any.

Takes pieces of work; gives the states of Ray's tasks. The tasks belong to the process that sends them: Ray ends them
with it. What a task says, and where and how often it has begun, stands in a folder on the disk that all of them share.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from mia.checks import RequestError
from mia.sweeper.queues import Needs, tail
from mia.sweeper.work import Runner, Work
from mia.tracking.slurm import JobState

CORE_VARIABLES = ("MIA_CORES", "NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
TOLD = ("MIA_", "MLFLOW_", "XLA_", "JAX_")
"""Beginnings of the variables that a task is told of."""
LOG, BEGUN = "log", "begun"
OPTIONS = ("address", "cpus_per_task", "gpus_per_task", "mem_gb", "max_retries")


class RayQueue:
    """Tasks of a Ray cluster; as many at once as it has room for."""

    kind, room, outlives = "ray", 0, False

    def __init__(self, options: Mapping[str, Any], folder: Path, needs: Needs) -> None:
        try:
            import ray
        except ImportError:
            raise RequestError("hydra/launcher=ray is not installed: pip install '.[ray]'") from None
        if unknown := {key for key in options if key[0] != "_"} - {*OPTIONS}:
            raise RequestError(f"hydra.launcher.{unknown.pop()} is not one of Ray's here; known: {', '.join(OPTIONS)}")
        self._options, self._folder, self._needs = dict(options), folder, cache(needs)
        _join(str(self._options.get("address") or "auto"))
        self.place = str(ray.get_runtime_context().gcs_address)
        self._tasks: dict[str, Any] = {}  # of this process: job -> what Ray gives for it
        self._ended: dict[str, JobState] = {}

    def send(self, works: Sequence[Work], token: str) -> list[str]:
        """Send a task for each piece of work.

        Raises:
            RequestError: no machine of the cluster has what a task asks for.
        """
        import ray

        asked = self._asked()
        told = {name: value for name, value in os.environ.items() if name.startswith(TOLD)}
        told |= dict.fromkeys(CORE_VARIABLES, str(max(int(asked["num_cpus"]), 1)))
        first = len([job for job in self._tasks if job.startswith(f"{token}-")])
        ids = [f"{token}-{number}" for number in range(first, first + len(works))]
        # a process is used once: its threads, its GPU and its memory are the task's own
        task = ray.remote(max_calls=1)(_do)
        for job, work in zip(ids, works, strict=True):
            own = self._folder / job
            own.mkdir(parents=True, exist_ok=True)
            named = replace(work, name=self.tag(job))
            self._tasks[job] = task.options(name=self.called(job), **asked).remote(named, own, told)
        return ids

    def _asked(self) -> dict[str, Any]:
        """Return what a task asks for: as the models need it, and as far as any machine has it."""
        machines = _machines()
        given = self._options
        gpus = given.get("gpus_per_task")
        if gpus is None:
            gpus = min(1, int(max((one.get("GPU", 0) for one in machines), default=0)))
        able = [one for one in machines if one.get("GPU", 0) >= gpus]
        if not able:
            raise RequestError(f"hydra.launcher.gpus_per_task={gpus}: no machine of the Ray cluster has so many")
        largest = max(able, key=lambda one: one.get("CPU", 0))
        tasks = max(int(largest.get("GPU", 0) / gpus), 1) if gpus else 1
        cpus = given.get("cpus_per_task") or max(
            min(self._needs()["cpus_per_task"], int(largest.get("CPU", 1) / tasks)), 1
        )
        memory = (given.get("mem_gb") or self._needs()["mem_gb"]) * 2**30
        if not given.get("mem_gb"):
            memory = min(memory, int(max(one.get("memory", 0) for one in able) / tasks))
        for key, wanted, kind in (("cpus_per_task", cpus, "CPU"), ("mem_gb", memory, "memory")):
            if given.get(key) and max(one.get(kind, 0) for one in able) < wanted:
                raise RequestError(f"hydra.launcher.{key}={given[key]}: no machine of the Ray cluster has so much")
        retries = given.get("max_retries")
        return {
            "num_cpus": cpus, "num_gpus": gpus, "memory": memory, "max_retries": 3 if retries is None else retries,
        }  # fmt: skip

    def sent(self, token: str) -> list[str]:  # noqa: ARG002
        """Return nothing: the tasks of a process that has died have died with it."""
        return []

    def states(self, ids: Collection[str]) -> Mapping[str, JobState]:
        """Return how far tasks are; those of other processes are not known here, but by the runs that they make."""
        import ray

        waiting = {self._tasks[one]: one for one in ids if one in self._tasks and one not in self._ended}
        ready = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)[0] if waiting else []
        for one in ready:
            job = waiting[one]
            self._ended[job] = self._end_of(one, job)
        return {one: self._state(one) for one in ids}

    def _state(self, job: str) -> JobState:
        if job in self._ended:
            return self._ended[job]
        if job not in self._tasks:
            return JobState("ended", "GONE", reason="its command has ended, or is another one")
        starts = self._starts(job)
        if not starts:
            return JobState("queued", "PENDING", reason="Resources")
        return JobState("running", "RUNNING", starts[-1], restarts=len(starts) - 1)

    def _end_of(self, task: Any, job: str) -> JobState:
        import ray

        starts = self._starts(job)
        node, restarts = starts[-1] if starts else "", max(len(starts) - 1, 0)
        try:
            ray.get(task)
        except ray.exceptions.TaskCancelledError:
            return JobState("ended", "CANCELLED", node, restarts=restarts)
        except ray.exceptions.RayTaskError as error:
            word = "CANCELLED" if isinstance(error.cause, KeyboardInterrupt) else "FAILED"
            return JobState("ended", word, node, str(error.cause), restarts)
        except ray.exceptions.RayError as error:  # its process or its machine has gone, too often
            word = "NODE_FAIL" if "Node" in type(error).__name__ else "CRASHED"
            return JobState("ended", word, node, (str(error).splitlines() or [""])[0], restarts)
        return JobState("ended", "COMPLETED", node, restarts=restarts)

    def _starts(self, job: str) -> list[str]:
        """Return the machines on which a task has begun, one after another."""
        try:
            lines = (self._folder / job / BEGUN).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        return [json.loads(line)["node"] for line in lines]

    def cancel(self, ids: Collection[str]) -> None:
        """End tasks: one that runs is interrupted as by Ctrl-C."""
        import ray

        for one in ids:
            if one in self._tasks and one not in self._ended:
                ray.cancel(self._tasks[one], force=False)

    def called(self, job: str) -> str:
        """Return what a task is called, for people."""
        return f"Ray task {job}"

    def tag(self, job: str) -> str:
        """Return what the runs of a task have as their tag `mia.job`."""
        return f"ray:{self.place}:{job}"

    def said(self, job: str) -> str:
        """Return the last that a task said."""
        return tail(self._folder / job / LOG)


def _join(address: str) -> None:
    """Become part of a cluster.

    Raises:
        RequestError: none answers.
    """
    import logging

    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, namespace="mia")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise RequestError(
            f"hydra.launcher.address={address}: no Ray cluster answers ({reason}); ray start --head begins one, "
            "hydra.launcher.address=local uses this machine alone"
        ) from error


def _machines() -> list[Mapping[str, float]]:
    """Return what each living machine of the cluster has."""
    import ray

    return [one["Resources"] for one in ray.nodes() if one["Alive"] and one["Resources"].get("CPU", 0) >= 1]


def _do(work: Work, folder: Path, variables: Mapping[str, str]) -> None:
    """Do the work of a task, in a process of its own."""
    for name in [one for one in os.environ if one.startswith("SLURM_")]:
        del os.environ[name]  # a Ray cluster inside a job of SLURM's: that job is not this task
    os.environ.update(variables)
    with (folder / BEGUN).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"node": socket.gethostname(), "pid": os.getpid(), "at": time.time()}) + "\n")
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    Runner()(work)
