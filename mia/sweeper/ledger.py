"""Which jobs a sweep has sent away, and what each of them runs: stored with the sweep's run, for whoever comes later.

Takes and gives `Submission`s. Each is a file of its own, written before the jobs are sent and again with their ids, so
that a submitter that dies in between leaves a trace, and two submitters never overwrite one another.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mia.tracking import process

if TYPE_CHECKING:
    from mia.tracking.reading import Reader
    from mia.tracking.run import Run

FOLDER = "jobs"  # an artifact of a sweep's run


@dataclass(frozen=True)
class Submission:
    """Jobs that were sent together."""

    launcher: str  # slurm, local or ray
    place: str  # the cluster, or the machine
    batches: tuple[tuple[str, ...], ...]  # by job: fingerprints of the configurations that it runs in turn
    ids: tuple[str, ...] = ()  # of the jobs; empty as long as they are being sent
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    at: float = field(default_factory=time.time)  # in seconds since 1970
    by: Mapping[str, str] = field(default_factory=process.process)  # tags of the submitter's process

    @property
    def jobs(self) -> dict[str, tuple[str, ...]]:
        """What each job runs, by its id."""
        return dict(zip(self.ids, self.batches, strict=False))

    def sent_as(self, ids: Sequence[str]) -> "Submission":
        """Return the same with the ids of its jobs."""
        return replace(self, ids=tuple(ids))


def write(run: "Run", submission: Submission) -> None:
    """Store a submission with the sweep's run."""
    run.log_text(json.dumps(asdict(submission)), f"{FOLDER}/{submission.token}.json")


def read(reader: "Reader", sweep_id: str) -> list[Submission]:
    """Return what a sweep has sent away so far, oldest first; what cannot be read is left out."""
    try:
        folder = reader.artifact(sweep_id, FOLDER)
    except FileNotFoundError:
        return []
    found = (_read(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    return sorted((one for one in found if one), key=lambda one: one.at)


def _read(text: str) -> Submission | None:
    try:
        values: dict[str, Any] = json.loads(text)
        batches = tuple(tuple(map(str, one)) for one in values["batches"])
        return Submission(**(values | {"batches": batches, "ids": tuple(map(str, values["ids"]))}))
    except (ValueError, TypeError, KeyError):
        return None
