"""`mia -m ...`: the jobs of a sweep, wherever a launcher runs them, and what is said and stored at its end."""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import current_process
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mia.attacks import is_owners
from mia.cli.finding import span_words
from mia.cli.forecast import tell
from mia.cli.job import Job, one_line, run_job
from mia.cli.main import A_RUN_FAILED, INTERRUPTED, complain, judge
from mia.cli.summary import write_summary
from mia.cli.watching import JobsLine
from mia.composition import Request
from mia.files import StorageError
from mia.limits import Verdict, check_limits
from mia.sweeper.request import run_request
from mia.sweeper.resuming import Swept, Task
from mia.sweeper.total import Total

CORE_VARIABLES = ("MIA_CORES", "NPROC")
"""What bounds our devices, and XLA's own threads; joblib bounds those of BLAS."""


def run_sweep(request: Request, command: str, home: Path) -> int:
    """Run every configuration that is not finished, write the summary, and return the exit code.

    Raises:
        RequestError: some configuration of the grid is impossible; nothing ran.
        StorageError: the store failed.
    """
    name, question = request.title()
    line = JobsLine()
    task = Task(run_sweep_job, finish, home, name, question, command, request.variants, _with_bar, tell, line)
    try:
        return run_request(request.overrides, task)
    finally:
        line.close()


def _with_bar(jobs: list[list[str]]) -> Iterable[list[str]]:
    """Show on a terminal how far the check of a large grid is."""
    if not sys.stderr.isatty():
        return jobs
    from rich.console import Console
    from rich.progress import track

    return track(jobs, "checking", console=Console(stderr=True), transient=True)


def run_sweep_job(task: Task, composed: DictConfig) -> None:
    """Run one job of a sweep, wherever the launcher does. A failure is stored, not raised: the others go on."""
    if current_process().name.startswith("LokyProcess"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the sweep, which ends its workers
    if task.cores:
        os.environ.update(dict.fromkeys(CORE_VARIABLES, str(task.cores)))
    hydra = HydraConfig.get()
    number, overrides = int(hydra.job.num), list(hydra.overrides.task)
    total = (task.total or Total(len(task.launched))).onwards(number, time.time())
    print(f"[{total.done + 1}/{total.whole}{_left(total)}] {' '.join(overrides)}", file=sys.stderr, flush=True)
    try:
        job = Job.of(composed, overrides, task.home, task.sweep_id)
    except Exception as error:  # noqa: BLE001 - launchers keep what is raised here to themselves
        complain(error, A_RUN_FAILED)
        return
    try:
        if _has_failed_enough(job):
            print("not begun: stop_after_failures", file=sys.stderr)
            return
        run_job(job, task.data, task.floor, total)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong fails this configuration alone
        complain(error, A_RUN_FAILED)
        try:
            job.tracker().fail(job.name, task.launched[number], one_line(error), task.sweep_id)
        except Exception as second:  # noqa: BLE001 - it is said above, and the sweep counts it as not run
            complain(second, A_RUN_FAILED)


def _left(total: Total) -> str:
    """Return how long the rest takes if it goes on as so far, in words; nothing while that is not known."""
    seconds = total.seconds_left(total.now)
    return "" if seconds is None else f", about {span_words(seconds)} left"


def _has_failed_enough(job: Job) -> bool:
    """Tell whether so many of the sweep have failed since its command was given that nothing more is begun."""
    most = job.config.stop_after_failures
    if not most:
        return False
    tracker = job.tracker()
    return tracker.num_failed(tracker.get(job.sweep_id or "")) >= most


def finish(swept: Swept) -> int:
    """Write the summary into the sweep's run, say how it went, and return the exit code."""
    if swept.error is not None:
        complain(swept.error, A_RUN_FAILED)
    asked = {one.fingerprint for one in swept.configurations}
    counts = Counter(one.status for name, one in swept.outcomes.items() if name in asked)
    line = f"{counts['reused']} reused, {counts['finished']} trained, {counts['failed']} failed"
    line += f", {counts['pruned']} pruned" if counts["pruned"] else ""
    ended = sum(counts[one] for one in ("reused", "finished", "pruned", "failed"))
    if unfinished := len(swept.configurations) - ended:
        line += f", {unfinished} not run"
    failures = {
        one.name: swept.outcomes[one.fingerprint].reason
        for one in swept.configurations
        if one.fingerprint in swept.outcomes and swept.outcomes[one.fingerprint].status == "failed"
    }
    print(f"sweep {swept.task.name}: {line}", file=sys.stderr)
    for overrides, reason in failures.items():
        print(f"  failed: {overrides}: {reason}", file=sys.stderr)
    status = "KILLED" if swept.is_interrupted else "FAILED" if unfinished or failures else "FINISHED"
    try:
        write_summary(swept, failures, line)
        swept.run.finish(status)
    except StorageError as error:
        complain(error, A_RUN_FAILED)
        status = "FAILED" if status == "FINISHED" else status
    if status != "FINISHED":
        return A_RUN_FAILED if status == "FAILED" else INTERRUPTED
    return judge(_limits(swept))


def _limits(swept: Swept) -> Verdict:
    """Return which limits are exceeded in which run; a limit that no run could be held to is unchecked."""
    given = {one.fingerprint: one.config.limit for one in swept.configurations if one.config.limit.given()}
    runs = swept.counted if given else []
    found = [
        (run, check_limits(run.metrics, given[name], is_owners))
        for run in runs
        if (name := run.tags.get("mia.fingerprint", "")) in given
    ]

    def of_runs(lines: str) -> tuple[str, ...]:
        return tuple(f"run {run.id} ({run.name}): {line}" for run, one in found for line in getattr(one, lines))

    unchecked = set.intersection(*(set(verdict.unchecked) for _, verdict in found)) if found else set()
    return Verdict(of_runs("exceeded"), tuple(sorted(unchecked)), of_runs("not_counted"))
