"""Processes of this machine as a queue (`hydra/launcher=submitit_local`): like a cluster, to try it without one."""

import os
import signal
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mia.machine import usable_cores
from mia.sweeper.queues import tail
from mia.sweeper.work import Runner, Work
from mia.tracking.slurm import JobState


class LocalQueue:
    """Jobs that are processes here; no more at once than there are cores."""

    kind, outlives = "local", True

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        self.place, self.room = socket.gethostname(), usable_cores()
        self._options, self._folder = dict(options), folder
        self._jobs: dict[str, Any] = {}  # of this process

    def send(self, works: Sequence[Work], token: str) -> list[str]:  # noqa: ARG002 - a process has no comment
        """Start a process for each piece of work."""
        import submitit

        executor = submitit.AutoExecutor(cluster="local", folder=self._folder / "%j")
        known = ("timeout_min", "gpus_per_node", "tasks_per_node", "nodes", "stderr_to_stdout")
        executor.update_parameters(**{key: self._options[key] for key in known if self._options.get(key) is not None})
        jobs = executor.map_array(Runner(), works)
        self._jobs |= {job.job_id: job for job in jobs}
        return [job.job_id for job in jobs]

    def sent(self, token: str) -> list[str]:  # noqa: ARG002
        """Return nothing: who dies while it starts processes takes what it knows with it."""
        return []

    def states(self, ids: Collection[str]) -> Mapping[str, JobState]:
        """Return how far jobs are; those of an earlier process by what lies in their folder."""
        return {one: self._state(one) for one in ids}

    def _state(self, job: str) -> JobState:
        own = self._jobs.get(job)
        if own is not None and own._process.poll() is None:
            return JobState("running", node=self.place)
        if own is None and _is_ours(int(job), self._folder):
            return JobState("running", node=self.place)
        if (self._folder / job / f"{job}_0_result.pkl").exists():
            return JobState("ended", "COMPLETED", self.place)
        code = own._process.returncode if own is not None else None
        return JobState("ended", "ENDED", self.place, f"exit code {code}" if code else "without a result")

    def cancel(self, ids: Collection[str]) -> None:
        """Ask processes to end; submitit hands that on to the one that works."""
        for one in ids:
            with suppress(OSError):
                if self._state(one).status == "running":
                    os.kill(int(one), signal.SIGTERM)

    def called(self, job: str) -> str:
        """Return what a job is called, for people."""
        return f"process {job}"

    def tag(self, job: str) -> str:
        """Return what the runs of a job have as their tag `mia.job`."""
        return f"local:{job}"

    def said(self, job: str) -> str:
        """Return the last that a job said."""
        return tail(self._folder / job / f"{job}_0_log.err")


def _is_ours(pid: int, folder: Path) -> bool:
    """Tell whether a process is one of submitit's that works in a folder: its number may be another's by now."""
    import psutil

    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return str(folder) in " ".join(words)
