"""How a run ends when it does not get to its end: failed, or killed.

Takes a run and what was raised; closes the run. Never hides the error.
"""

import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mia.tracking.run import Run


def close_after(run: Run, error: BaseException) -> None:
    """Close a run that did not get to its end."""
    is_interrupt = isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
    first_line = (str(error).splitlines() or [""])[0]
    run.finish("KILLED" if is_interrupt else "FAILED")
    run.set_tags({"mia.error": f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__})
    if not is_interrupt:
        run.log_text("".join(traceback.format_exception(error)), "traceback.txt")


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block like Ctrl-C does, where nobody else has decided what it does."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise KeyboardInterrupt("SIGTERM")

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block: compiled modules may crash if interrupted while loading."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heeded = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in heeded:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt(signal.Signals(came[0]).name)
