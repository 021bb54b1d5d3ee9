"""The command: reads what was typed, hands it to the right part, gives the exit code.

Exit codes: 0 all is well, 1 some run failed, 2 the request was wrong (nothing ran), 3 a limit is exceeded, 130
interrupted. An error for a person is one line on stderr; the traceback comes with MIA_DEBUG=1.
"""

import atexit
import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mia.limits import Verdict

COMMANDS = {name: name for name in ("ui", "report", "audit", "plan", "pools", "runs", "status", "diff", "note", "rm")}
OBJECTS_PER_COLLECTION = 100_000
"""Objects made between two searches for cycles: Python's own 700 cost a tenth of a start, which makes a million."""
SOON = 0.05  # seconds
ALL_IS_WELL, A_RUN_FAILED, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130


def main() -> None:
    """Run the command with the arguments of this process, and exit."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    gc.set_threshold(OBJECTS_PER_COLLECTION, 20, 20)
    atexit.register(gc.freeze)  # at its end Python looks for cycles among all there is, just before it is gone
    sys.unraisablehook = interrupt_again
    code = dispatch(sys.argv[1:])
    if code == INTERRUPTED:
        leave(code)
    sys.exit(code)


def interrupt_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Let an interrupt come once more that was raised where Python ignores errors, as while it collects garbage."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        again = threading.Timer(SOON, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(ignored)


def leave(code: int) -> None:
    """End this process at once: XLA may still be compiling, and crashes where Python is taken down around it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def dispatch(arguments: list[str]) -> int:
    """Run the command with these arguments and return its exit code."""
    if arguments and arguments[0] in ("--help", "-h", "help"):
        from mia.cli.help import text

        print(text())
        return ALL_IS_WELL
    from mia.checks import RequestError, did_you_mean
    from mia.files import StorageError

    command = COMMANDS.get(arguments[0]) if arguments else None
    try:
        if arguments and arguments[0].isidentifier() and not command:
            meant = did_you_mean(arguments[0], COMMANDS)
            raise RequestError(
                f"{arguments[0]} is no command{meant or ';'} known: {', '.join(COMMANDS)}; else KEY=VALUE"
            )
        module = importlib.import_module(f"mia.cli.{command or 'experiment'}")
        return module.command(arguments[1:] if command else arguments)
    except RequestError as error:
        return complain(error, WRONG_REQUEST)
    except StorageError as error:
        return complain(error, A_RUN_FAILED)
    except KeyboardInterrupt:
        print("mia: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - one line for a person, whatever it is
        return complain(RuntimeError(f"{type(error).__name__}: {error} (MIA_DEBUG=1 shows where)"), A_RUN_FAILED, error)


def judge(verdict: "Verdict") -> int:
    """Say which limits are exceeded, which could not be checked, and what did not count; return the exit code."""
    for line in (*verdict.unchecked, *verdict.not_counted, *verdict.exceeded):
        print(f"mia: {line}", file=sys.stderr)
    from mia.limits import EXCEEDED

    return EXCEEDED if verdict.exceeded else ALL_IS_WELL


def complain(error: BaseException, code: int, cause: BaseException | None = None) -> int:
    """Say in one line what is wrong, and return the exit code."""
    if os.environ.get("MIA_DEBUG"):
        import traceback

        traceback.print_exception(cause or error)
    text = " ".join(str(error).split()) or type(error).__name__
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)  # no escape codes
    print(f"mia: error: {shown}", file=sys.stderr)
    return code
