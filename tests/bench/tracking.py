"""What tracking costs: opening a store, writing a run, and reading thousands, in CPU seconds of a process of their own.

python tests/bench/tracking.py --runs 5000
"""

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np

from mia.tracking import Reader, Tracker, TrackingOptions

PARAMS, ATTACKS, TAGS = 50, 8, 25
METRICS = tuple(f"{metric}{end}" for metric in ("auc", "accuracy", "tpr_at_1pct_fpr") for end in ("", "_low", "_high"))
QUESTIONS = (
    ["runs"],
    ["runs", "where=train.p3=3 and attack/a7/auc>0.5", "sort=-attack/a5/auc"],
    ["runs", "sweep=everything", "where=train.p3=3", "sort=-largest_auc"],
    ["runs", "columns=name,largest_auc", "sort=-largest_auc"],
    ["runs", "format=csv", "limit=20"],
    ["status"],
    ["diff", "run 1", "run 2"],
    ["note", "latest"],
)


def cpu() -> float:
    """Return the CPU seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def write_run(tracker: Tracker, number: int) -> None:
    """Write what a run of 16 shadows writes, without its figures."""
    params = {f"train.p{k}": k for k in range(PARAMS)}
    with tracker.run(name=f"run {number}", fingerprint=f"f{number}", params=params) as run:
        run.log_text("seed: 0\n", "config.yaml")
        run.log_arrays("scores.npz", {"gap": np.zeros(1000)})
        with run.together():
            run.log_metrics({f"attack/a{k}/auc": 0.5 for k in range(60)})
            run.log_curves({f"curve/{k}": np.arange(30.0) for k in range(4)})
            for shadow in range(16):
                run.log_metrics({"shadows/train_accuracy": 1.0, "shadows/test_accuracy": 0.5}, step=shadow)
            run.set_tags({f"mia.tag{k}": k for k in range(8)})


def fill(home: Path, runs: int) -> None:
    """Add runs without MLflow, which would take an hour; all count in a sweep that goes on."""
    names = {f"f{number}": f"train.p1={number}" for number in range(runs + 100)}
    everything = Tracker.open(TrackingOptions(), home).open_sweep("everything", "s", {}, names)
    opened = int(time.time() * 1000)
    rows: dict[str, list[tuple[object, ...]]] = {"runs": [], "tags": [], "params": [], "latest_metrics": []}
    for number in range(runs):
        run = uuid.uuid4().hex
        status, start = "FINISHED" if number % 10 else "FAILED", opened + number
        rows["runs"].append((run, f"run {number}", status, start, "active", f"file://{home}/artifacts/{run}", 1))
        tags = {f"mia.tag{k}": "a word or two" for k in range(TAGS)}
        tags |= {"mia.kind": "run", "mia.fingerprint": f"f{number}", f"mia.sweep.{number // 100}": "true"}
        tags[f"mia.sweep.{everything.id}"] = "true"
        rows["tags"] += [(key, value, run) for key, value in tags.items()]
        rows["params"] += [(f"train.p{k}", str(k * number % 7), run) for k in range(PARAMS)]
        metrics = [f"attack/a{k}/{name}" for k in range(ATTACKS) for name in METRICS]
        rows["latest_metrics"] += [(name, number / runs, 0, 0, 0, run) for name in metrics]
    columns = {
        "runs": "run_uuid, name, status, start_time, lifecycle_stage, artifact_uri, experiment_id",
        "tags": "key, value, run_uuid",
        "params": "key, value, run_uuid",
        "latest_metrics": "key, value, timestamp, step, is_nan, run_uuid",
    }
    with closing(sqlite3.connect(home / "mlflow.db")) as connection, connection:
        for table, names in columns.items():
            marks = ", ".join("?" * (names.count(",") + 1))
            connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows[table])  # noqa: S608


def ask(home: Path) -> None:
    """Print what each question of a person costs, Python's start included."""
    for arguments in QUESTIONS:
        before = cpu()
        asked = subprocess.run(
            [sys.executable, "-m", "mia", *arguments],
            env=os.environ | {"MIA_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        print(json.dumps({f"mia {' '.join(arguments)}": round(cpu() - before, 2), "exit": asked.returncode}))
        assert asked.returncode == (arguments[0] == "status"), asked.stderr


def measure(what: str, home: Path) -> None:
    """Print one JSON line."""
    options, before = TrackingOptions(), cpu()
    if what == "make":
        Tracker.open(options, home)
    elif what == "write":
        tracker = Tracker.open(options, home)
        opened = cpu()
        write_run(tracker, 0)
        first = cpu()
        for number in range(1, 11):
            write_run(tracker, number)
        print(json.dumps({"open": opened - before, "first_run": first - opened, "next_runs": (cpu() - first) / 10}))
        return
    elif what == "look":
        assert Reader.open(options, home).finished("f0")
    else:
        found = Reader.open(options, home).runs(kind="run", is_light=what == "list, light")
        assert found
    print(json.dumps({what: cpu() - before}))


def main() -> None:
    """Measure everything, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--what", default="")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    if given.what:
        measure(given.what, given.home)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "mlruns"
        for what in ("make", "write", "look", "fill", "look", "list", "list, light", "ask"):
            if what == "fill":
                fill(home, given.runs)
            elif what == "ask":
                ask(home)
            else:
                subprocess.run([sys.executable, __file__, "--what", what, "--home", str(home)], check=True)


if __name__ == "__main__":
    main()
