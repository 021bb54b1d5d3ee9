"""Queues that jobs are sent to, and what all of them can: send, tell how far jobs are, end them.

A queue decides nothing: what is sent, awaited and closed is up to `watching`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mia.tracking.slurm import JobState

if TYPE_CHECKING:
    from mia.sweeper.ledger import Submission
    from mia.sweeper.work import Work

Needs = Callable[[], Mapping[str, int]]
LOG_BYTES = 20_000  # of what a failed job said last that are kept


class Queue(Protocol):
    """Somewhere jobs can be sent to."""

    kind: str  # slurm, local or ray
    place: str  # the cluster or the machine: jobs of another one are nobody's business here
    room: int  # jobs that may wait or be at work there at once; 0: as many as there are

    def send(self, works: Sequence["Work"], token: str) -> list[str]:
        """Send a job for each piece of work, marked with a token, and return their ids."""

    def sent(self, token: str) -> list[str]:
        """Return the ids of jobs that were marked with a token, as far as the queue can tell."""

    def states(self, ids: Collection[str]) -> Mapping[str, JobState]:
        """Return how far jobs are."""

    def cancel(self, ids: Collection[str]) -> None:
        """End jobs."""

    def called(self, job: str) -> str:
        """Return what a job is called, for people."""

    def tag(self, job: str) -> str:
        """Return what the runs of a job have as their tag `mia.job`."""

    def said(self, job: str) -> str:
        """Return the last that a job said."""


def queue_has(queue: Queue, submission: "Submission") -> bool:
    """Tell whether jobs were sent to a queue, so that it knows them."""
    return (submission.launcher, submission.place) == (queue.kind, queue.place)


def tail(path: Path) -> str:
    """Return the end of a text file; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - LOG_BYTES, 0))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
