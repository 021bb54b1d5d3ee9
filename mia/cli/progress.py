"""What a person sees while an experiment runs: a bar on a terminal, a line now and then in a log.

Takes what the experiment's observer is told; writes to stderr. Never decides anything.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import current_process
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

from mia.experiment.observer import Event, PoolNeeded, StageBegan, Step, Trained

if TYPE_CHECKING:
    from mia.sweeper.total import Total
    from mia.train.group import Progress

SECONDS_BETWEEN_LINES = 30.0  # in a log


class _Elapsed(TimeElapsedColumn):
    """The time that a task has taken; of a whole sweep, since its command was given."""

    def render(self, task: Task) -> Text:
        """Return it as `0:01:10`."""
        total = task.fields.get("sweep")
        return Text(_clock(time.time() - total.began), style="progress.elapsed") if total else super().render(task)


class _Left(TimeRemainingColumn):
    """The time that a task has left; of a whole sweep, by the runs that it has finished."""

    def render(self, task: Task) -> Text:
        """Return it as `0:01:10`, or without numbers while nothing tells."""
        total = task.fields.get("sweep")
        if not total:
            return super().render(task)
        seconds = total.seconds_left(time.time())
        return Text("-:--:--" if seconds is None else _clock(seconds), style="progress.remaining")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(int(seconds), 0)))


def _is_one_of_several() -> bool:
    """Tell whether other processes of a sweep write to the same terminal: bars would draw over one another."""
    return current_process().name.startswith("LokyProcess")


class ConsoleObserver:
    """Shows stages, training, and the fits of slow attacks."""

    def __init__(self, console: Console, total: "Total | None" = None) -> None:
        self._console = console
        self._last_line = time.monotonic()
        self.doing = "starting"  # in words, for those who ask from elsewhere
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            _Elapsed(),
            TextColumn("left"),
            _Left(),
            console=console,
            transient=True,
            disable=not console.is_terminal or _is_one_of_several(),
        )
        if total and total.whole > 1:
            text = f"{total.what}: {total.done} of {total.whole} done"
            self._bar.add_task(text, completed=total.done, total=total.whole, sweep=total)
        self._task = self._bar.add_task("starting", total=None)

    def start(self) -> None:
        """Begin to draw."""
        self._bar.start()

    def close(self) -> None:
        """Stop drawing and leave nothing behind; may be called again."""
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print one line above the bar."""
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case StageBegan(name):
                self.doing = name
                self._bar.reset(self._task, description=name, total=None)
            case PoolNeeded(fingerprint):
                self._bar.update(self._task, description=f"train: pool {fingerprint}")
            case Trained(progress):
                self._show_training(progress)
            case Step(what, done, total):
                self._show(what, done, total)

    def _show_training(self, progress: "Progress") -> None:
        first, last = progress.models[0] + 1, progress.models[-1] + 1
        models = f"{first}" if first == last else f"{first}-{last}"
        epoch = min(int(progress.epoch) + 1, progress.epochs)
        text = f"train: model {models} of {progress.num_models}, epoch {epoch}/{progress.epochs}"
        if progress.train_loss == progress.train_loss:  # not NaN
            text += f", loss {progress.train_loss:.3g}"
        self._show(text, progress.fraction, 1.0)

    def _show(self, text: str, done: float, total: float) -> None:
        self.doing = text
        self._bar.update(self._task, description=text, completed=done, total=total)
        if not self._console.is_terminal and time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.say(f"{time.strftime('%H:%M:%S')} {text} ({done / total:.0%})")


@contextmanager
def console_observer(total: "Total | None" = None) -> Iterator[ConsoleObserver]:
    """Yield an observer that draws on stderr until the block ends, below it how far a sweep is."""
    observer = ConsoleObserver(Console(stderr=True), total)
    observer.start()
    try:
        yield observer
    finally:
        with suppress(Exception):
            observer.close()
