"""Runs whose process has died, closed by whoever looks at the store: no run is called RUNNING when nothing runs."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from mia.checks import RequestError
from mia.files import StorageError
from mia.home import home

if TYPE_CHECKING:
    from mia.tracking import Reader, TrackingOptions


def close_the_dead(reader: "Reader", tracking: "TrackingOptions") -> None:
    """Close the runs of processes and jobs that have ended as KILLED, and say so, where the store can be written."""
    from mia.tracking import Tracker, slurm
    from mia.tracking.process import is_gone

    running = reader.running()
    slurm.look_up(run.tags for run in running)
    if not any(is_gone(run.tags) for run in running):
        return
    with suppress(RequestError, StorageError):
        if closed := Tracker.open(tracking, home()).close_dead_runs():
            print(f"closed as KILLED: {', '.join(run.id[:8] for run in closed)}", file=sys.stderr)
