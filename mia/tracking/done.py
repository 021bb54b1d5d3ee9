"""What is finished of a sweep, as points of a metric of the sweep's run: a point for each configuration.

Takes and gives points and runs. Written where a server keeps the runs, beside the run itself, which stays the only
truth: a point that is missing costs a request, and is never believed against a run that failed or runs since.
"""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from mia.records import StoredRun

if TYPE_CHECKING:
    from mia.tracking.sources import Point

SECONDS = "sweep/seconds"
"""The metric: its values are how long a run took, its times when a run was started."""


def step_of(fingerprint: str) -> int:
    """Return the step at which a configuration stands: 48 bits, so that ten thousand hardly ever share one."""
    return int.from_bytes(hashlib.sha256(fingerprint.encode()).digest()[:6], "big")


def seconds_taken(metrics: Mapping[str, float]) -> float:
    """Return how long a run's stages took together, by its metrics; 0 if it does not say."""
    return sum(value for name, value in metrics.items() if name.startswith("time/") and not math.isnan(value))


def seconds_between(run: StoredRun) -> float:
    """Return how long a run took, with everything that its stages do not count, as far as it says."""
    return run.ended - run.started if run.ended else seconds_taken(run.metrics)


def stand_ins(points: Iterable["Point"], expected: Collection[str]) -> list[StoredRun]:
    """Return what stands for the finished runs of configurations: fingerprint, start and seconds, nothing else."""
    names = {step_of(name): name for name in expected}
    latest = {point.step: point for point in sorted(points, key=lambda point: point.at)}
    return [
        StoredRun(
            id=f"finished-{names[step]}",
            name="",
            status="FINISHED",
            started=point.at,
            params={},
            metrics={"time/all_seconds": point.value},
            tags={"mia.fingerprint": names[step]},
            artifacts="",
        )
        for step, point in latest.items()
        if step in names
    ]
