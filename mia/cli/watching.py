"""What a person sees while a cluster works: one line that is rewritten on a terminal, a line now and then in a log."""

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.status import Status

if TYPE_CHECKING:
    from mia.sweeper.jobs_progress import Progress

SECONDS_BETWEEN_LINES = 60.0  # in a log, unless a job has ended


class JobsLine:
    """Shows how far the jobs of a sweep are."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._status: Status | None = None
        self._said, self._ended = float("-inf"), -1

    def __call__(self, progress: "Progress | None") -> None:
        """Show how far they are; None: it is over, and nothing stays on a terminal."""
        if progress is None:
            self.close()
        elif not self._console.is_terminal:
            self._log(progress)
        else:
            if self._status is None:
                self._status = self._console.status("", spinner="dots")
                self._status.start()
            self._status.update(progress.words)

    def close(self) -> None:
        """Stop drawing; may be called again."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _log(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now - self._said < SECONDS_BETWEEN_LINES and progress.ended == self._ended:
            return
        self._said, self._ended = now, progress.ended
        print(f"mia: {time.strftime('%H:%M:%S')} {progress.words}", file=sys.stderr, flush=True)
