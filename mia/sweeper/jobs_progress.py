"""How far the jobs of a sweep are, in one line for people. Takes their states; asks and prints nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mia.tracking.slurm import JobState

MOST_NAMED = 5


@dataclass(frozen=True)
class Progress:
    """How far the jobs of a sweep are."""

    states: Mapping[str, JobState]  # of the jobs that have not ended, by what they are called
    ended: int  # jobs
    elsewhere: int  # configurations that others are at
    seconds_left: float | None

    @property
    def words(self) -> str:
        """One line for people."""
        by_status: dict[str, list[str]] = {}
        for state in self.states.values():
            by_status.setdefault(state.status, []).append(state.node if state.status == "running" else state.reason)
        parts = [
            f"{len(found)} {'pending' if status == 'queued' else status}{_most(found)}"
            for status, found in sorted(by_status.items(), reverse=True)
        ]
        parts += [f"{self.ended} ended"] if self.ended else []
        parts += [f"{self.elsewhere} configurations made by others"] if self.elsewhere else []
        left = f"; about {_span(self.seconds_left)} left" if self.seconds_left is not None else ""
        return f"{len(self.states) + self.ended} jobs: {', '.join(parts)}{left}"


def _most(words: Sequence[str]) -> str:
    counted = Counter(word for word in words if word and word != "None")
    shown = ", ".join(
        f"{word}" + (f" x {count}" if count > 1 else "") for word, count in counted.most_common(MOST_NAMED)
    )
    return f" ({shown})" if shown else ""


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
