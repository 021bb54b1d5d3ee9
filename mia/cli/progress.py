"""What a person sees while an experiment runs: a bar on a terminal, a line now and then in a log.

Takes what the experiment's observer is told; writes to stderr. Never decides anything.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 30.0  # in a log


class ConsoleObserver:
    """Shows stages, training, and the fits of slow attacks."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_line = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._stage = ""

    def start(self) -> None:
        """Begin to draw."""
        self._bar.start()

    def close(self) -> None:
        """Stop drawing and leave nothing behind; may be called again."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print one line above the bar."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def stage(self, name: str) -> None:
        """A stage begins."""
        self._stage = name
        self._bar.reset(self._task, description=name, total=None)

    def loading(self, done: int, total: int) -> None:
        """Data are downloaded or decoded."""
        self._show(self._stage, done, total)

    def waiting(self, fingerprint: str) -> None:
        """Models are missing; another process may be training the same pool."""
        self._bar.update(self._task, description=f"train: pool {fingerprint}")

    def training(self, progress: Any) -> None:
        """Training moved on."""
        first, last = progress.models[0] + 1, progress.models[-1] + 1
        models = f"{first}" if first == last else f"{first}-{last}"
        epoch = min(int(progress.epoch) + 1, progress.epochs)
        text = f"train: model {models} of {progress.num_models}, epoch {epoch}/{progress.epochs}"
        if progress.train_loss == progress.train_loss:  # not NaN
            text += f", loss {progress.train_loss:.3g}"
        self._show(text, progress.fraction, 1.0)

    def saved(self, model: int) -> None:
        """A model is trained and stored."""

    def making(self, done: int, total: int) -> None:
        """The attacker made `done` of `total` records."""
        self._show(f"shadow data: {done:,} of {total:,} records", done, total)

    def attacking(self, name: str, done: int, total: int) -> None:
        """An attack made `done` of `total` fits."""
        self._show(f"attack: {name}, {done} of {total}", done, total)

    def _show(self, text: str, done: float, total: float) -> None:
        self._bar.update(self._task, description=text, completed=done, total=total)
        if not self._console.is_terminal and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.say(f"{time.strftime('%H:%M:%S')} {text} ({done / total:.0%})")


@contextmanager
def console_observer() -> Iterator[ConsoleObserver]:
    """Yield an observer that draws on stderr until the block ends."""
    observer = ConsoleObserver(Console(stderr=True))
    observer.start()
    try:
        yield observer
    finally:
        with suppress(Exception):
            observer.close()
