"""`mia -m ...`: the jobs of a sweep, wherever a launcher runs them, and what is said and stored at its end."""

import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from multiprocessing import current_process
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mia.cli.job import Job, one_line, run_job
from mia.cli.main import A_RUN_FAILED, INTERRUPTED, complain, judge
from mia.compose import Request
from mia.files import StorageError
from mia.fingerprint import fingerprint
from mia.limits import Verdict, check_limits
from mia.records import StoredRun
from mia.sweeper.base import Swept, Task
from mia.sweeper.run import run_request

if TYPE_CHECKING:
    from mia.tracking.reading import Reader

CORE_VARIABLES = ("MIA_CORES", "NPROC")
"""What bounds our devices, and XLA's own threads; joblib bounds those of BLAS."""
TOLD = "mia.told"  # a tag of a sweep's run: which runs its report is about
VIEW_LEAKAGE = ("accuracy", "auc", "tpr_at_1pct_fpr")


def run_sweep(request: Request, command: str, home: Path) -> int:
    """Run every configuration that is not finished, write the summary, and return the exit code.

    Raises:
        RequestError: some configuration of the grid is impossible; nothing ran.
        StorageError: the store failed.
    """
    name, question = request.title()
    return run_request(
        request.overrides, Task(run_sweep_job, finish, home, name, question, command, request.variants, _with_bar)
    )


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
    print(f"[{number + 1}/{len(task.launched)}] {' '.join(overrides)}", file=sys.stderr, flush=True)
    job = Job.of(composed, overrides, task.home, task.sweep_id)
    try:
        run_job(job, task.data)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong fails this configuration alone
        complain(error, A_RUN_FAILED)
        try:
            job.tracker().fail(job.name, task.launched[number], one_line(error), task.sweep_id)
        except Exception as second:  # noqa: BLE001 - it is said above, and the sweep counts it as not run
            complain(second, A_RUN_FAILED)


def finish(swept: Swept) -> int:
    """Write the summary into the sweep's run, say how it went, and return the exit code."""
    if swept.error is not None:
        complain(swept.error, A_RUN_FAILED)
    counts = Counter(one.status for one in swept.outcomes.values())
    line = f"{counts['reused']} reused, {counts['finished']} trained, {counts['failed']} failed"
    if unfinished := len(swept.configurations) - counts["reused"] - counts["finished"] - counts["failed"]:
        line += f", {unfinished} not run"
    failures = {
        one.name: swept.outcomes[one.fingerprint].reason
        for one in swept.configurations
        if one.fingerprint in swept.outcomes and swept.outcomes[one.fingerprint].status == "failed"
    }
    print(f"sweep {swept.task.name}: {line}", file=sys.stderr)
    for overrides, reason in failures.items():
        print(f"  failed: {overrides}: {reason}", file=sys.stderr)
    if counts["reused"] + counts["finished"]:
        _print_answer(swept)
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
    runs = swept.tracker.children(swept.run.id) if given else []
    found = [
        (run, check_limits(run.metrics, given[name]))
        for run in runs
        if (name := run.tags.get("mia.fingerprint", "")) in given
    ]
    exceeded = [f"run {run.id} ({run.name}): {line}" for run, verdict in found for line in verdict.exceeded]
    unchecked = set.intersection(*(set(verdict.unchecked) for _, verdict in found)) if found else set()
    return Verdict(tuple(exceeded), tuple(sorted(unchecked)))


def _print_answer(swept: Swept) -> None:
    """Show what came of the sweep."""
    from mia.report import console

    if hasattr(console, "sweep_table"):
        from rich.console import Console

        Console().print(console.sweep_table(swept.tracker.children(swept.run.id)))


def write_summary(swept: Swept, failures: Mapping[str, str], line: str) -> None:
    """Store the summary of the sweep's runs, as far as they are there, unless it tells of the same runs already.

    A table as the note of its run, CSV, figures and the report as its artifacts; no report where somebody waits for the
    prompt.

    Args:
        swept: the sweep.
        failures: why, by configuration.
        line: how many were reused, trained and failed.
    """
    from mia.report.summary import summary_csv, summary_markdown

    tracker, sweep, question = swept.tracker, swept.run, swept.task.question
    runs = tracker.children(sweep.id)
    told = fingerprint({"runs": sorted([run.id, run.status] for run in runs)})
    if not failures and tracker.get(sweep.id).tags.get(TOLD) == told:
        return
    link = tracker.prepare_view(f"sweep {swept.task.name}", _axes(runs), _leakage(runs), sweep.id)
    note = [f"{question}\n" if question else "", f"**{line}**"]
    note += [f"- failed: {overrides}: {reason}" for overrides, reason in failures.items()]
    note += [f"- killed: {run.name}" for run in runs if run.status == "KILLED"]
    if link:
        note.append(f"[Compare the runs of this sweep]({link})")
    sweep.set_note("\n\n".join([*filter(None, note), summary_markdown(runs)]))
    sweep.log_text(summary_csv(runs), "summary.csv")  # replaced by the report's own, where there is one
    counts = Counter(run.status for run in runs)
    sweep.log_metrics({"sweep/finished": counts["FINISHED"], "sweep/failed": len(runs) - counts["FINISHED"]})
    if counts["FINISHED"] and not swept.is_interrupted:
        try:
            store_report(swept, runs)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - the runs are safe, and the report can be made again
            complain(RuntimeError(f"no report: {error}; mia report sweep={sweep.id} makes one"), A_RUN_FAILED, error)
        else:
            sweep.set_tags({TOLD: told})


def store_report(swept: Swept, runs: list[StoredRun]) -> None:
    """Store the report, its tables and its figures with the sweep's run."""
    from mia.report.page import write_report

    task = swept.task
    with tempfile.TemporaryDirectory() as folder:
        fetch = fetcher(swept.tracker)
        write_report(
            runs,
            Path(folder) / "report.html",
            title=task.name,
            question=task.question,
            command=task.command,
            fetch=fetch,
        )
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                swept.run.log_bytes(path.relative_to(folder).as_posix(), path.read_bytes())


def fetcher(tracker: "Reader") -> Callable[[StoredRun, str], Path | None]:
    """Return a function that fetches an artifact of a run, or None where there is none."""

    def fetch(run: StoredRun, name: str) -> Path | None:
        try:
            return tracker.artifact(run, name)
        except FileNotFoundError:
            return None

    return fetch


def _axes(runs: list[StoredRun]) -> list[str]:
    """Return the config keys of the numbers that differ between the runs."""
    values: dict[str, set[float]] = {}
    for run in runs:
        for name, value in run.metrics.items():
            if name.startswith("axis/"):
                values.setdefault(name, set()).add(value)
    return [name.removeprefix("axis/") for name, seen in values.items() if len(seen) > 1] or ["split.size"]


def _leakage(runs: list[StoredRun]) -> list[str]:
    """Return the leakage metrics worth a column: those of the attacks that ran, the strongest first."""
    from mia.report.grouping import read_sweep

    return [f"attack/{name}/{metric}" for name in read_sweep(runs).attacks for metric in VIEW_LEAKAGE]
