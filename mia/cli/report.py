"""`mia report sweep=NAME[,NAME...]` and `mia report run=ID`: pages and figures read from the store."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mia.checks import RequestError, did_you_mean
from mia.cli.arguments import as_text, only_overrides
from mia.cli.closing import close_the_dead
from mia.cli.finding import LATEST, SHORTEST, find_run
from mia.cli.main import ALL_IS_WELL
from mia.cli.summary import fetcher
from mia.composition import compose_config
from mia.config import ReportConfig, to_options
from mia.home import home
from mia.outputs import check_file, check_given, check_writable
from mia.records import StoredRun

if TYPE_CHECKING:
    from mia.tracking.reading import Reader

TEXTS = ("sweep", "run", "where", "out")
"""Keys whose value is text, whatever signs are in it: commas and comparisons are not Hydra's here."""


def command(arguments: list[str]) -> int:
    """Write the report and return the exit code."""
    overrides = [as_text(one, TEXTS) for one in only_overrides(arguments, "report")]
    config: ReportConfig = to_options(compose_config(overrides, "report"), ReportConfig)
    if (config.sweep is None) == (config.run is None):
        raise RequestError("mia report takes sweep=NAME (or several, with commas between) or run=ID")
    if not _names(config.sweep or config.run or ""):
        raise RequestError(f"{'run' if config.sweep is None else 'sweep'}= names nothing: mia runs lists what there is")
    out = check_given("out", config.out)
    (check_file if out.suffix == ".html" else check_writable)(out)
    from mia.tracking import Reader

    tracker = Reader.open(config.tracking, home())
    close_the_dead(tracker, config.tracking)
    report = _report_run if config.run else _report_sweeps
    print(report(tracker, config))
    return ALL_IS_WELL


def _names(typed: str) -> list[str]:
    return [name.strip() for name in typed.split(",") if name.strip()]


def _report_sweeps(tracker: "Reader", config: ReportConfig) -> Path:
    from mia.report.searched import read_searched
    from mia.report.sweep import write_report
    from mia.study.frame import read_study
    from mia.tracking.where import parse_where

    where = parse_where(config.where) if config.where else None
    sweeps = [find_sweep(tracker, name) for name in _names(config.sweep or "")]
    fetch, children = fetcher(tracker), [tracker.children(sweep.id) for sweep in sweeps]
    runs = [run for found in children for run in found]
    study = read_study(runs, fetch, where)
    for line in (*study.notes, *study.left_out):
        print(f"mia: warning: {line}", file=sys.stderr)
    known = {f"{sweep.tags.get('mia.sweep', sweep.name)} ({sweep.id[:6]})": (sweep, found)
             for sweep, found in zip(sweeps, children, strict=True)}  # fmt: skip
    if where and not study.rows:
        raise RequestError(f"where={config.where!r} leaves none of {len(runs)} runs")
    filtered = f", where {config.where}" if config.where else ""
    return write_report(
        study,
        Path(config.out),
        title=" + ".join(sweep.tags.get("mia.sweep", sweep.name) for sweep in sweeps) + filtered,
        question="\n\n".join(filter(None, [sweep.tags.get("mia.question", "") for sweep in sweeps])),
        command="\n".join(filter(None, [sweep.tags.get("mia.command", "") for sweep in sweeps])),
        has_pictures=config.pictures,
        searched=read_searched(known, fetch),
    )


def _report_run(tracker: "Reader", config: ReportConfig) -> Path:
    from mia.report.run import write_run_report

    wanted = find_run(tracker, LATEST).id if config.run == LATEST else str(config.run)
    found = [run for run in tracker.runs() if run.id.startswith(wanted) and run.tags.get("mia.kind") != "sweep"]
    if len(found) != 1:
        known = f"{len(found)} runs begin like this" if found else "mia ui shows those that there are"
        raise RequestError(f"run={config.run} is not a run in the store; {known}")
    try:
        return write_run_report(
            found[0], fetcher(tracker), Path(config.out), history=tracker.curve, has_pictures=config.pictures
        )
    except FileNotFoundError as error:
        raise RequestError(f"run={config.run}: {error}") from error


def find_sweep(tracker: "Reader", wanted: str) -> StoredRun:
    """Return the latest sweep of a name, or the one whose run has this id (or begins with it).

    Raises:
        RequestError: there is none, and the message names those that there are; or several ids begin like this.
    """
    sweeps = tracker.sweeps()
    if wanted == LATEST and sweeps:
        return sweeps[0]
    begun = [sweep for sweep in sweeps if len(wanted) >= SHORTEST and sweep.id.startswith(wanted)]
    if len(begun) == 1:
        return begun[0]
    if named := [sweep for sweep in sweeps if wanted == sweep.tags.get("mia.sweep")]:
        if others := [sweep.id[:8] for sweep in named[1:]]:
            print(
                f"the latest of {len(named)} sweeps called {wanted}; others: sweep={', '.join(others)}", file=sys.stderr
            )
        return named[0]
    if begun:
        ids = ", ".join(sweep.id for sweep in begun[:3])
        raise RequestError(f"{len(begun)} sweeps have ids that begin with {wanted}: {ids}")
    if len(wanted) >= SHORTEST and (other := tracker.find(wanted)):
        kind = other[0].tags.get("mia.kind", "run")
        whose = f"an {kind}" if kind == "audit" else f"a single {kind}"
        raise RequestError(
            f"sweep={wanted} is the id of {whose}, {other[0].name!r}: mia report run={wanted} writes its report"
        )
    names = list(dict.fromkeys(sweep.tags.get("mia.sweep", sweep.id) for sweep in sweeps))
    known = f"; there are: {', '.join(names)}" if names else "; there is none yet: mia -m +sweeps=digits"
    raise RequestError(f"sweep={wanted} is not in the store{did_you_mean(wanted, names) or known}")
