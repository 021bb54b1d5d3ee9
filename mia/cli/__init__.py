"""The `mia` command: compose, convert, call, print."""

from mia.cli.main import main

__all__ = ["main"]
