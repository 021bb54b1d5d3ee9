"""What this process may use of the machine."""

import os


def usable_cores() -> int:
    """Return how many cores this process may run on: fewer than there are, where a scheduler or taskset says so."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
