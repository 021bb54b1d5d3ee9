"""SLURM's queue: submitit writes and sends the jobs, SLURM's own commands say how far they are and end them.

Takes the options of Hydra's submitit launcher under their own names. What is not set is asked for as the models need
it, and as far as any node has it.
"""

import re
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mia.checks import RequestError
from mia.sweeper.queues import Needs, tail
from mia.sweeper.work import Runner, Work
from mia.tracking import slurm
from mia.tracking.slurm import JobState

PLAIN = (
    "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "stderr_to_stdout",
)  # fmt: skip
"""Options that submitit knows for every kind of cluster."""
OWN_MEMORY = ("mem_gb", "mem_per_cpu", "mem_per_gpu")
OWN_CORES = ("cpus_per_task", "cpus_per_gpu")
LARGEST_ARRAY = 1000  # jobs that are sent at a time: what clusters allow if nobody has changed it
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")
BIND = [
    "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-}",  # srun forgets it since SLURM 22.05
    '[ -n "$SRUN_CPUS_PER_TASK" ] || unset SRUN_CPUS_PER_TASK',
    *(f"export {name}=${{{name}:-${{SLURM_CPUS_PER_TASK:-$(nproc)}}}}" for name in THREADS),
]
"""Cores and threads of a job are those that it asked for, also where nothing binds it to them."""


class SlurmQueue:
    """Jobs of a SLURM cluster."""

    kind, room, outlives = "slurm", 0, True

    def __init__(self, options: Mapping[str, Any], folder: Path, needs: Needs) -> None:
        if shutil.which("sbatch") is None:
            raise RequestError("hydra/launcher=submitit_slurm: there is no sbatch here: give it on a cluster's machine")
        self.place = slurm.cluster()
        if not self.place:
            raise RequestError("hydra/launcher=submitit_slurm: SLURM does not answer here (scontrol show config)")
        self._options, self._folder, self._needs = dict(options), folder, cache(needs)

    def send(self, works: Sequence[Work], token: str) -> list[str]:
        """Send jobs as arrays of at most a thousand.

        Raises:
            RequestError: SLURM refuses them.
        """
        ids: list[str] = []
        for start in range(0, len(works), LARGEST_ARRAY):
            ids += self._send(works[start : start + LARGEST_ARRAY], token)
        return ids

    def _send(self, works: Sequence[Work], token: str) -> list[str]:
        import submitit

        more = {key: value for key, value in self._parameters(token).items() if value is not None}
        try:
            most = {"slurm_max_num_timeout": self._options.get("max_num_timeout", 0)}
            executor = submitit.AutoExecutor(cluster="slurm", folder=self._jobs_folder, **most)
            executor.update_parameters(
                **{key if key in PLAIN else f"slurm_{key}": value for key, value in more.items()}
            )
            jobs = executor.map_array(Runner(), works)
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            said = [line for line in str(error).splitlines() if line.startswith("sbatch: error")]
            reason = "; ".join(line.removeprefix("sbatch: error: ") for line in said) or " ".join(str(error).split())
            raise RequestError(f"SLURM refuses the jobs: {reason} (hydra.launcher.* says what they ask for)") from error
        slurm.forget()
        return [job.job_id for job in jobs]

    @property
    def _jobs_folder(self) -> Path:
        return self._folder / "%j"

    def _parameters(self, token: str) -> dict[str, Any]:
        given = {key: value for key, value in self._options.items() if key[0] != "_"}
        for key in ("submitit_folder", "max_num_timeout"):
            given.pop(key, None)
        given["comment"] = " ".join(filter(None, [given.get("comment"), f"mia:{token}"]))
        given["setup"] = [*BIND, *(given.get("setup") or [])]
        largest = _largest_node(given.get("partition"))
        for name, owners in (("cpus_per_task", OWN_CORES), ("mem_gb", OWN_MEMORY)):
            if all(given.get(one) is None for one in owners):
                wanted = self._needs()[name]
                given[name] = min(wanted, largest.get(name, wanted))
        return given

    def sent(self, token: str) -> list[str]:
        """Return the ids of jobs with a token in their comment."""
        done = _run("squeue", "--noheader", "--array", "--states=all", "--Format=JobArrayID:64,Comment:512")
        found = [line[:64].strip() for line in done.splitlines() if f"mia:{token}" in line[64:].split()]
        return sorted(found, key=lambda one: [int(part) for part in one.split("_")])

    def states(self, ids: Collection[str]) -> Mapping[str, JobState]:
        """Return how far jobs are."""
        return slurm.states(ids)

    def cancel(self, ids: Collection[str]) -> None:
        """End jobs, in groups that a command line can hold."""
        listed = list(ids)
        for start in range(0, len(listed), 500):
            _run("scancel", *listed[start : start + 500])
        slurm.forget()

    def called(self, job: str) -> str:
        """Return what a job is called, for people."""
        return f"SLURM job {job}"

    def tag(self, job: str) -> str:
        """Return what the runs of a job have as their tag `mia.job`."""
        return f"slurm:{self.place}:{job}"

    def said(self, job: str) -> str:
        """Return the last that a job said."""
        return tail(self._folder / job / f"{job}_0_log.err") or tail(self._folder / job / f"{job}_0_log.out")


def _largest_node(partition: str | None) -> dict[str, int]:
    """Return the cores and the memory (GB) of the largest node that jobs may be sent to."""
    chosen = [f"--partition={partition}"] if partition else []
    rows = [re.findall(r"\d+", line) for line in _run("sinfo", "--noheader", "--format=%c %m", *chosen).splitlines()]
    cores = [int(row[0]) for row in rows if len(row) == 2]
    memory = [int(row[1]) // 1024 for row in rows if len(row) == 2 and int(row[1]) > 1]  # 1: the site has not said
    return ({"cpus_per_task": max(cores)} if cores else {}) | ({"mem_gb": max(*memory, 1)} if memory else {})


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
