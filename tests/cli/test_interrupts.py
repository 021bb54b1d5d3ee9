"""How the command ends when somebody interrupts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEAVES = """
import atexit, sys
from importlib import import_module
command = import_module("mia.cli.main")
atexit.register(print, "Python was taken down")
command.dispatch = lambda arguments: print("mia: interrupted") or CODE
command.main()
"""
SWALLOWED = """
import signal, sys, time
from importlib import import_module
command = import_module("mia.cli.main")

class Collected:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)  # Ctrl-C while Python collects garbage, where it ignores errors

def work(arguments):
    try:
        one = Collected()
        del one
        time.sleep(20)
        return 0
    except KeyboardInterrupt:
        return 130

signal.signal(signal.SIGINT, signal.default_int_handler)
command.dispatch = work
command.main()
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=15,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "said"), [(130, ""), (1, "Python was taken down\n")])
def test_after_an_interrupt_python_is_not_taken_down_around_threads_that_compile(code, said):
    done = run(LEAVES.replace("CODE", str(code)))
    assert (done.returncode, done.stdout) == (code, f"mia: interrupted\n{said}")


def test_an_interrupt_that_python_ignores_comes_again():
    done = run(SWALLOWED)
    assert (done.returncode, done.stderr) == (130, "")


def test_other_errors_that_python_ignores_are_said_as_ever():
    done = run(SWALLOWED.replace("signal.raise_signal(signal.SIGINT)", "1 / 0").replace("sleep(20)", "sleep(0)"))
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stderr
