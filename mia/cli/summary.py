"""The summary of a sweep: a table as the note of its run, CSV, figures and the report as its artifacts."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mia.cli.main import A_RUN_FAILED, complain
from mia.files import StorageError
from mia.fingerprint import fingerprint
from mia.records import StoredRun
from mia.sweeper.resuming import Swept

if TYPE_CHECKING:
    from mia.study.study import Study
    from mia.tracking.reading import Reader
    from mia.tracking.run import Run

TOLD = "mia.told"  # a tag of a sweep's run: which runs its report is about
VIEW_LEAKAGE = ("accuracy", "auc", "tpr_at_1pct_fpr")


def write_summary(swept: Swept, failures: Mapping[str, str], line: str) -> None:
    """Print what came of the sweep, and store it unless the sweep's run tells of the same runs already.

    A table as the note of its run, CSV, and the report as its artifacts; no report where somebody waits for the prompt.

    Args:
        swept: the sweep.
        failures: why, by configuration.
        line: how many were reused, trained and failed.
    """
    from rich.console import Console

    from mia.cli.terminal import sweep_end
    from mia.cli.whereabouts import browse_words
    from mia.report.tables import run_rows, summary_markdown
    from mia.study.frame import read_study
    from mia.tables import csv_text

    tracker, sweep, task = swept.tracker, swept.run, swept.task
    runs = swept.counted
    study = read_study(runs, fetcher(tracker))
    for message in study.left_out:
        print(f"mia: warning: {message}", file=sys.stderr)
    browse = browse_words(sweep.where)
    end = sweep_end(study, report=report_path(sweep), sweep_id=sweep.id, browse=browse)
    Console(stderr=True).print(end, crop=False)
    told = fingerprint({"runs": sorted([run.id, run.status] for run in runs)})
    if not failures and tracker.get(sweep.id).tags.get(TOLD) == told:
        return
    link = tracker.prepare_view(f"sweep {task.name}", _axes(runs), _leakage(study.attacks), sweep.id, swept.members)
    note = [f"{task.question}\n" if task.question else "", f"**{line}**"]
    note += [f"- failed: {overrides}: {reason}" for overrides, reason in failures.items()]
    note += [f"- killed: {run.name}" for run in runs if run.status == "KILLED"]
    if link:
        note.append(f"[Compare the runs of this sweep]({link})")
    sweep.set_note("\n\n".join([*filter(None, note), summary_markdown(study)]))
    sweep.log_text(csv_text(run_rows(study)), "summary.csv")  # replaced by the report's own, where there is one
    counts = Counter(run.status for run in runs)
    sweep.log_metrics({"sweep/finished": counts["FINISHED"], "sweep/failed": len(runs) - counts["FINISHED"]})
    if counts["FINISHED"] and not swept.is_interrupted:
        try:
            store_report(swept, study)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - the runs are safe, and the report can be made again
            complain(RuntimeError(f"no report: {error}; mia report sweep={sweep.id} makes one"), A_RUN_FAILED, error)
        else:
            sweep.set_tags({TOLD: told})


def store_report(swept: Swept, study: "Study") -> None:
    """Store the report and its tables with the sweep's run."""
    from mia.report.searched import read_searched
    from mia.report.sweep import report_files

    task, sweep = swept.task, swept.tracker.get(swept.run.id)
    searched = read_searched({task.name: (sweep, study.runs)}, fetcher(swept.tracker))
    files = report_files(study, title=task.name, question=task.question, command=task.command, searched=searched)
    for name, content in files.items():
        swept.run.log_bytes(name, content)


def report_path(sweep: "Run") -> Path | None:
    """Return where the sweep's report lies, or will lie, on this machine; None where a server keeps it."""
    return None if sweep.folder is None else sweep.folder / "report.html"


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


def _leakage(attacks: Sequence[str]) -> list[str]:
    """Return the leakage metrics worth a column: those of the attacks that ran, the strongest first."""
    return [f"attack/{name}/{metric}" for name in attacks for metric in VIEW_LEAKAGE]
