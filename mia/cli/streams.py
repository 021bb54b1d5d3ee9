"""The standard streams of the process: there, whatever whoever started it has closed."""

import os
import sys


def open_streams() -> None:
    """Open nothing in the place of each standard stream that is closed, so that no file of ours comes to lie there."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - stays open
