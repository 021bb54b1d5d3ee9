"""What SLURM says of its jobs: waiting, at work or over, where and why. Also on a cluster that keeps no accounts.

Takes the ids of jobs; gives their states. Asks `squeue`, which knows a job for minutes after its end, and then `sacct`
if there is such. Where SLURM does not answer, nothing is concluded. Starts and ends no job.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

JOB = "mia.job"  # a tag of a run: the job that makes it, such as slurm:CLUSTER:12_3
RESTARTS = "mia.job_restarts"  # how often SLURM had put that job back into its queue
SECONDS = 30.0  # until SLURM must have answered
FRESH_SECONDS = 2.0  # for which an answer is not asked for again
WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
CUT = {"CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL", "REVOKED"}
AT_WORK = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}


@dataclass(frozen=True)
class JobState:
    """How far a job is."""

    status: Literal["queued", "running", "ended", "unknown"]
    word: str = ""  # SLURM's own, such as CANCELLED
    node: str = ""
    reason: str = ""  # why it waits, or ended
    restarts: int = 0

    @property
    def is_well(self) -> bool:
        """Whether it ended as it should."""
        return self.status == "ended" and self.word == "COMPLETED"

    @property
    def was_ended(self) -> bool:
        """Whether SLURM, or somebody through it, has ended it, so that its own last words do not say why."""
        return self.status == "ended" and (self.word.split() or [""])[0].rstrip("+") in CUT

    @property
    def said(self) -> str:
        """What became of it, for people."""
        where = f" on {self.node}" if self.node else ""
        why = f" ({self.reason})" if self.reason not in ("", "None") else ""
        return f"{self.word or self.status}{where}{why}"


UNKNOWN = JobState("unknown")


def own_job() -> dict[str, str]:
    """Return the tags that name the job of SLURM's in which this process runs; none outside of SLURM."""
    given = os.environ
    number = given.get("SLURM_JOB_ID", "")
    if not number:
        return {}
    if "SLURM_ARRAY_TASK_ID" in given and "SLURM_ARRAY_JOB_ID" in given:
        number = f"{given['SLURM_ARRAY_JOB_ID']}_{given['SLURM_ARRAY_TASK_ID']}"
    name = given.get("SLURM_CLUSTER_NAME") or cluster()
    return {JOB: f"slurm:{name}:{number}", RESTARTS: given.get("SLURM_RESTART_COUNT", "0")}


def look_up(runs: Iterable[Mapping[str, str]]) -> None:
    """Ask about the jobs of many runs, by their tags, at once: what is asked of each soon after is known by then."""
    states([found for tags in runs if (found := job_here(tags.get(JOB, "")))])


def job_here(named: str) -> str:
    """Return a job's id on this cluster; empty if it is another's, or if there is no SLURM here."""
    kind, _, rest = named.partition(":")
    where, _, number = rest.partition(":")
    return number if kind == "slurm" and where and where == cluster() else ""


def has_left(tags: Mapping[str, str]) -> bool | None:
    """Tell whether the job that made a run has ended, or been put back into the queue since; None: SLURM cannot say."""
    number = job_here(tags.get(JOB, ""))
    state = states([number])[number] if number else UNKNOWN
    if state.status == "unknown":
        return None
    before = tags.get(RESTARTS, "0")
    return state.status != "running" or (before.isdigit() and state.restarts > int(before))


_answers: dict[str, tuple[float, JobState]] = {}


def states(numbers: Collection[str]) -> dict[str, JobState]:
    """Return the state of each job, asked for at most every two seconds; `UNKNOWN` where SLURM does not answer."""
    now = time.monotonic()
    due = [one for one in numbers if one not in _answers or now - _answers[one][0] > FRESH_SECONDS]
    if due:
        found = _ask(due)
        for one in due:
            _answers[one] = (now, found.get(one, UNKNOWN))
    return {one: _answers[one][1] for one in numbers}


def forget() -> None:
    """Ask anew the next time."""
    _answers.clear()
    cluster.cache_clear()


@cache
def cluster() -> str:
    """Return the name of the cluster that this machine belongs to; empty outside of SLURM."""
    if shutil.which("scontrol") is None:
        return ""
    done = _run(["scontrol", "show", "config"])
    named = re.search(r"^ClusterName\s*=\s*(\S+)", done.stdout, re.MULTILINE) if done and not done.returncode else None
    return named[1] if named else ""


def _ask(numbers: Collection[str]) -> dict[str, JobState]:
    """Return what squeue, and for what it has forgotten sacct, say of jobs; those not named nobody can tell of.

    What of an array was cancelled before it began stands there under the number of the array, all in one.
    """
    if shutil.which("squeue") is None:
        return {}
    bases = sorted({one.partition("_")[0] for one in numbers})
    fields = "JobArrayID:64,State:32,NodeList:128,Reason:128,RestartCnt:16"
    found: dict[str, JobState] = {}
    for base in bases if len(bases) <= 1 else [",".join(bases)]:
        done = _run(["squeue", "--noheader", "--array", "--states=all", f"--jobs={base}", f"--Format={fields}"])
        if done is None or (done.returncode and "Invalid job id" not in done.stderr):
            return {}
        found |= dict(filter(None, (_read(line) for line in done.stdout.splitlines())))
    forgotten = [one for one in numbers if one not in found]
    accounts = _accounts(forgotten) if forgotten else {}
    gone = JobState("ended", "GONE", reason="SLURM does not know it any more")
    rest = {one: state for one, state in (accounts | found).items() if state.status == "ended"}
    return {one: found.get(one) or accounts.get(one) or rest.get(one.partition("_")[0], gone) for one in numbers}


def _read(line: str) -> tuple[str, JobState] | None:
    """Read one line of squeue's, whose columns have fixed widths."""
    number, word, node, reason, restarts = (
        line[start:end].strip() for start, end in ((0, 64), (64, 96), (96, 224), (224, 352), (352, 368))
    )
    if not number:
        return None
    return number, state_of(word, node, reason, int(restarts) if restarts.isdigit() else 0)


def state_of(word: str, node: str = "", reason: str = "", restarts: int = 0) -> JobState:
    """Return the state that a word of SLURM's stands for."""
    plain = word.split(maxsplit=1)[0].rstrip("+") if word.split() else ""
    status: Literal["queued", "running", "ended"] = (
        "queued" if plain in WAITING else "running" if plain in AT_WORK else "ended"
    )
    node = "" if node in ("None assigned", "(null)", "N/A") else node
    return JobState(status, word, node, reason, restarts)


def _accounts(numbers: Collection[str]) -> dict[str, JobState]:
    """Return what the accounts say of jobs that squeue has forgotten; nothing where none are kept."""
    if shutil.which("sacct") is None:
        return {}
    asked = ",".join(sorted(numbers))
    done = _run(["sacct", "-n", "-X", "-P", f"--jobs={asked}", "--format=JobID,State,NodeList"])
    if done is None or done.returncode:
        return {}
    rows = (line.split("|") for line in done.stdout.splitlines())
    return {row[0].partition("_[")[0]: state_of(row[1], row[2]) for row in rows if len(row) == 3}


def _run(command: list[str]) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
