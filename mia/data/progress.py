"""How slow steps say how far they are: a function of (done, total), and nothing else."""

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do: bytes or pictures; a total of 0 is unknown."""


class Bar:
    """The progress bar that pooch expects, passing what it is told on to a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._done = 0
        self._progress = progress

    def update(self, step: int) -> None:
        """Count `step` more bytes; pooch rounds its last block up."""
        self._done = min(self._done + step, self.total or self._done + step)
        self._progress(self._done, self.total)

    def reset(self) -> None:
        """Start again from 0."""
        self._done = 0

    def close(self) -> None:
        """Do nothing: whoever drew the bar closes it."""
