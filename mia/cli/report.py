"""`mia report sweep=NAME`: the report of a sweep, read from the store; nothing is trained."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mia.checks import RequestError, did_you_mean
from mia.cli.arguments import only_overrides
from mia.cli.main import ALL_IS_WELL
from mia.cli.sweep import fetcher
from mia.compose import compose_config
from mia.config import ReportConfig, to_options
from mia.home import home
from mia.records import StoredRun

if TYPE_CHECKING:
    from mia.tracking.reading import Reader


def command(arguments: list[str]) -> int:
    """Write the report and return the exit code."""
    composed = compose_config(only_overrides(arguments, "report"), "report")
    config: ReportConfig = to_options(composed, ReportConfig)
    from mia.report.page import write_report
    from mia.tracking import Reader

    tracker = Reader.open(config.tracking, home())
    sweep = find_sweep(tracker, config.sweep)
    title = sweep.tags.get("mia.sweep", sweep.name)
    question = sweep.tags.get("mia.question", "")
    command = sweep.tags.get("mia.command", "")
    runs, out = tracker.children(sweep.id), Path(config.out)
    path = write_report(runs, out, title=title, question=question, command=command, fetch=fetcher(tracker))
    print(path)
    return ALL_IS_WELL


def find_sweep(tracker: "Reader", wanted: str) -> StoredRun:
    """Return the latest sweep of a name, or the one whose run has this id (or begins with it).

    Raises:
        RequestError: there is none; the message names those that there are.
    """
    sweeps = tracker.sweeps()
    for sweep in sweeps:
        if len(wanted) >= 6 and sweep.id.startswith(wanted):
            return sweep
    if named := [sweep for sweep in sweeps if wanted == sweep.tags.get("mia.sweep")]:
        if others := [sweep.id[:8] for sweep in named[1:]]:
            print(
                f"the latest of {len(named)} sweeps called {wanted}; others: sweep={', '.join(others)}", file=sys.stderr
            )
        return named[0]
    if len(wanted) >= 6 and (other := tracker.find(wanted)):
        kind = other[0].tags.get("mia.kind", "run")
        whose = f"an {kind}" if kind == "audit" else f"a single {kind}"
        raise RequestError(f"sweep={wanted} is the id of {whose}, {other[0].name!r}: a report is about a sweep's run")
    names = list(dict.fromkeys(sweep.tags.get("mia.sweep", sweep.id) for sweep in sweeps))
    known = f"there are: {', '.join(names)}" if names else "there is none yet: mia -m +sweeps=digits"
    raise RequestError(f"sweep={wanted} is not in the store{did_you_mean(wanted, names)}; {known}")
