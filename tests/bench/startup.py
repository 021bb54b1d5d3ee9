"""How fast the command answers: whole processes.

python tests/bench/startup.py [--runs 5] [--whole]
prints one JSON line: median seconds of `mia --help` and `mia --cfg job`, and of a bare interpreter beside them. With
--whole another line: CPU seconds (user and system, of all processes) of the default run with cold caches and again in
another store, and of a finished sweep of 20 small runs given again.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "python": ["-c", "pass"],
    "help": ["-m", "mia", "--help"],
    "cfg_job": ["-m", "mia", "--cfg", "job"],
}
SMALL = ["split.size=60", "split.num_shadows=2", "train.epochs=2", "attack=[gap,loss]"]
SWEEP = ["-m", "mia", "-m", *SMALL, "train.l2=0,1e-4,1e-3,1e-2", "seed=0,1,2,3,4"]


def seconds(arguments: list[str]) -> float:
    """Return how long one process takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - begun


def cpu_seconds(arguments: list[str], **variables: str) -> float:
    """Return the CPU seconds of one process and those that it waits for."""

    def used() -> float:
        found = resource.getrusage(resource.RUSAGE_CHILDREN)
        return found.ru_utime + found.ru_stime

    before = used()
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **variables})
    return round(used() - before, 2)


def measure_whole(folder: str) -> dict[str, float]:
    """Return what whole runs cost; caches and stores lie in the folder, which is empty."""
    caches = {"XDG_CACHE_HOME": f"{folder}/caches"}
    found = {
        f"default_run_{name}_cpu_seconds": cpu_seconds(["-m", "mia"], MIA_HOME=f"{folder}/{name}", **caches)
        for name in ("cold", "warm")
    }
    for name in ("first", "again"):
        found[f"sweep_{name}_cpu_seconds"] = cpu_seconds(SWEEP, MIA_HOME=f"{folder}/sweep", **caches)
    return found


def main() -> None:
    """Measure, and print JSON lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--whole", action="store_true")
    asked = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(asked.runs + 1):  # the first warms the disk's cache and does not count
        for name, arguments in COMMANDS.items():
            found[name].append(seconds(arguments))
    print(json.dumps({f"{name}_seconds": round(statistics.median(times[1:]), 3) for name, times in found.items()}))
    if asked.whole:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure_whole(folder)))


if __name__ == "__main__":
    main()
