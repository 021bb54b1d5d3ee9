"""How fast the command answers: medians of whole processes.

python tests/bench/startup.py [--runs 5]
prints one JSON line: median seconds of `mia --help` and `mia --cfg job`, and of a bare interpreter beside them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python": ["-c", "pass"],
    "help": ["-m", "mia", "--help"],
    "cfg_job": ["-m", "mia", "--cfg", "job"],
}


def seconds(arguments: list[str]) -> float:
    """Return how long one process takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs + 1):  # the first warms the disk's cache and does not count
        for name, arguments in COMMANDS.items():
            found[name].append(seconds(arguments))
    print(json.dumps({f"{name}_seconds": round(statistics.median(times[1:]), 3) for name, times in found.items()}))


if __name__ == "__main__":
    main()
