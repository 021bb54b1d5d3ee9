"""The `mia` command: compose, convert, call, print."""

from mia.cli.main import main as run_command
from mia.cli.streams import open_streams

__all__ = ["main"]


def main() -> None:
    """Run the command with the arguments of this process, and exit."""
    open_streams()
    run_command()
