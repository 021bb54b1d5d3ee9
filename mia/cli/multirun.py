"""`mia -m ...`: a sweep's run in the store, its jobs by Hydra's launcher, its summary whatever happens.

The whole grid is composed and checked before anything runs; where every configuration has a finished run, nothing is
launched at all.
"""

import shlex
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mia.checks import RequestError
from mia.cli.job import Job, Outcome, check, load_data
from mia.cli.launch import launch, outcomes, sweep_folder
from mia.cli.main import A_RUN_FAILED, ALL_IS_WELL, INTERRUPTED, complain
from mia.compose import compose_config
from mia.config import Config, to_options
from mia.files import StorageError
from mia.fingerprint import fingerprint
from mia.home import home
from mia.sweep import Plan, plan_sweep
from mia.tracking.process import terminate_as_interrupt

if TYPE_CHECKING:
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

SECONDS_TO_DIE = 10.0


def run_sweep(overrides: list[str], arguments: list[str]) -> int:
    """Run every configuration that is not finished, write the summary, and return the exit code.

    Raises:
        RequestError: some configuration of the grid is impossible; nothing ran.
        StorageError: the store failed.
    """
    plan = plan_sweep(overrides)
    jobs, names = _check_all(plan)
    from mia.tracking import Tracker

    with terminate_as_interrupt():
        tracker = Tracker.open(jobs[0].config.tracking, home())
        _close_dead_runs(tracker)
        tags = {"mia.command": shlex.join(["mia", "-m", *overrides]), "mia.question": plan.question}
        identity = {"sweep": plan.name, "runs": sorted(set(names))}
        sweep = tracker.open_sweep(plan.name, fingerprint(identity), tags)
        print(f"sweep {plan.name}: {len(plan.jobs)} configurations, run {sweep.id}", file=sys.stderr)
        with sweep_folder() as folder:
            status, found = "FINISHED", {}
            try:
                found = _all_finished(tracker, jobs, names, sweep.id)
                if not found:
                    launch(arguments, sweep.id, folder, plan.workers)
            except KeyboardInterrupt:
                status = "KILLED"
                print("mia: interrupted; the same command goes on where this one stopped", file=sys.stderr)
            except Exception as error:  # noqa: BLE001 - whatever a launcher raises, the summary is written
                complain(error, A_RUN_FAILED)
            with _shielded():
                return _finish(tracker, sweep, plan, found or outcomes(folder), status)


def _check_all(plan: Plan) -> tuple[list[Job], list[str]]:
    """Compose every job, and refuse the sweep if one of them cannot work; return the jobs and their fingerprints."""
    from mia.experiment.identity import run_identity

    jobs, names = [], []
    for overrides in _with_bar(plan.jobs):
        job = Job(to_options(compose_config(overrides), Config), {}, "", overrides)
        try:
            data = load_data(job.config.data)
            check(job, data)
            names.append(fingerprint(run_identity(job.config.experiment(), data)))
            jobs.append(job)
        except RequestError as error:
            raise RequestError(f"{error} (in the sweep's configuration {' '.join(overrides)})") from error
    return jobs, names


def _with_bar(overrides: list[list[str]]) -> Iterable[list[str]]:
    """Show on a terminal how far the check of a large grid is."""
    if not sys.stderr.isatty():
        return overrides
    from rich.console import Console
    from rich.progress import track

    return track(overrides, "checking", console=Console(stderr=True), transient=True)


def _all_finished(tracker: "Tracker", jobs: list[Job], names: list[str], sweep_id: str) -> dict[int, Outcome]:
    """Return the outcomes if every configuration has a finished run that may be used; nothing otherwise."""
    found = []
    for job, name in zip(jobs, names, strict=True):
        run = None if job.config.rerun else tracker.finished(name)
        if run is None:
            return {}
        found.append(run)
    warnings = [warning for run in found if (warning := tracker.reuse(run, sweep_id))]
    if warnings:
        more = f" (and {len(warnings) - 1} more like it)" if len(warnings) > 1 else ""
        print(f"mia: warning: {warnings[0]}{more}", file=sys.stderr)
    return {number: Outcome("reused", run.id) for number, run in enumerate(found)}


def _close_dead_runs(tracker: "Tracker") -> None:
    for run in tracker.close_dead_runs():
        print(f"mia: run {run.id} was left behind by a process that died: closed as KILLED", file=sys.stderr)


def _finish(tracker: "Tracker", sweep: "Run", plan: Plan, found: dict[int, Outcome], status: str) -> int:
    """Write the summary into the sweep's run, say how it went, and return the exit code."""
    from mia.cli.summary import write_summary

    counts = {kind: sum(one.status == kind for one in found.values()) for kind in ("reused", "finished", "failed")}
    line = f"{counts['reused']} reused, {counts['finished']} trained, {counts['failed']} failed"
    if missing := len(plan.jobs) - len(found):
        line += f", {missing} not run"
    if status == "FINISHED" and (missing or counts["failed"]):
        status = "FAILED"
    failures = {" ".join(plan.jobs[number]): one.reason for number, one in found.items() if not one.is_well}
    print(f"sweep {plan.name}: {line}", file=sys.stderr)
    for overrides, reason in failures.items():
        print(f"  failed: {overrides}: {reason}", file=sys.stderr)
    try:
        _wait_for_the_dead(tracker, sweep.id)
        write_summary(tracker, sweep, plan, failures, line, is_interrupted=status == "KILLED")
        sweep.finish(status)
    except StorageError as error:
        complain(error, A_RUN_FAILED)
        status = "FAILED" if status == "FINISHED" else status
    return {"FINISHED": ALL_IS_WELL, "FAILED": A_RUN_FAILED}.get(status, INTERRUPTED)


def _wait_for_the_dead(tracker: "Tracker", sweep_id: str) -> None:
    """Close the runs of workers that a launcher has ended."""
    deadline = time.monotonic() + SECONDS_TO_DIE
    while any(run.status == "RUNNING" for run in tracker.children(sweep_id)):
        if not tracker.close_dead_runs():
            if time.monotonic() > deadline:
                return
            time.sleep(0.2)


@contextmanager
def _shielded() -> Iterator[None]:
    """Let a second Ctrl-C not cut the summary short."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
