"""Runs a large sweep with fake training on an MLflow server and PostgreSQL, and prints what each of them bears.

python tests/bench/scale.py --configurations 1000 --processes 16 [--restart] [--seen 1000]

One JSON line. Needs root, Debian's postgresql and psycopg2-binary. Training takes no time: what remains is what a sweep
costs beside it. `--restart` ends the server for some seconds when half is done. `--seen` copies finished runs in the
database until there are so many (with their files in common), for the times of status and report on a small machine.

cpu_seconds_each     of the command and of its jobs, for each configuration (goal: under 0.6)
server_cpu_each      of the MLflow server
commits_each         transactions of PostgreSQL for each configuration; rows_each: rows that they wrote
files_each           files that a configuration leaves on the disk, pools and artifacts; bytes_each: their size
status_seconds       of `mia status` when all is done (goal: 2); status_cpu, report_cpu: with that of the server
again_cpu            of the same command again, for all configurations; server_again_cpu: of the server
lost, twice          configurations without a finished run, and with more than one (must be 0)
left_running         runs that the store calls RUNNING (must be 0)
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

OWN = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(OWN), str(OWN / "tests" / "cluster")]

from virtual_cluster import VirtualCluster  # noqa: E402

SMALL = ["split.size=20", "model.hidden=[4]", "split.num_shadows=1", "attack=[gap]", "train.epochs=2"]
AWAY_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--configurations", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--seen", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machines = VirtualCluster(accounting=False, nodes=0)
    try:
        machines.postgres_up()
        machines.mlflow_up()
        found = measure(machines, options)
    finally:
        machines.down()
    print(json.dumps(found))
    return 1 if found["lost"] or found["twice"] or found["left_running"] or found["code"] else 0


def measure(machines: VirtualCluster, options: argparse.Namespace) -> dict[str, object]:
    count, home = options.configurations, machines.folder / "shared"
    per_job = -(-count // options.processes)
    given = machines.environment | {
        "MIA_HOME": str(home), "MIA_CORES": str(options.processes),
        "PYTHONPATH": f"{OWN / 'tests' / 'bench' / 'fake_training'}:{OWN}",
    }  # fmt: skip
    store = [f"tracking.uri={machines.uri}", "tracking.experiment=scale"]
    sweep = [
        "-m", *SMALL, *store, "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=600",
        f"engine.configurations_per_job={per_job}", f"seed=range({count})",
    ]  # fmt: skip
    server = psutil.Process(machines._processes["mlflow"].pid)
    before, database = server_cpu(server), counts(machines)
    begun, spent = time.monotonic(), children()
    process = mia(sweep, given, home / "sweep.log")
    if options.restart:
        machines.wait(lambda: finished(machines) >= count / 2 or process.poll() is not None, "half", 3600)
        before -= server_cpu(server)
        machines.end("mlflow")
        time.sleep(AWAY_SECONDS)
        machines.mlflow_up()
        server = psutil.Process(machines._processes["mlflow"].pid)
        before += server_cpu(server)
    code = process.wait()
    seconds, cpu = time.monotonic() - begun, children() - spent
    served, after = server_cpu(server) - before, counts(machines)
    files = [path for folder in (home, machines.folder / "artifacts") for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    spent, served_before = children(), server_cpu(server)
    again = mia(sweep, given, home / "again.log").wait()
    again_cpu, again_served = children() - spent, server_cpu(server) - served_before
    found = outcome(machines, count)
    if options.seen > count:
        multiply(machines, options.seen)
    begun, spent, served_before = time.monotonic(), children(), server_cpu(server)
    mia(["status", *store], given, home / "status.log").wait()
    status_cpu, status_seconds = children() - spent, time.monotonic() - begun
    status_served = server_cpu(server) - served_before
    said = (home / "status.log").read_text().strip()
    begun, spent, served_before = time.monotonic(), children(), server_cpu(server)
    reported = mia(["report", *store, "sweep=seed", "out=report"], given, home / "report.log").wait()
    report_cpu, report_seconds = children() - spent, time.monotonic() - begun
    report_served = server_cpu(server) - served_before
    return {
        "configurations": count,
        "processes": options.processes,
        "code": code or again or reported,
        "seconds": round(seconds, 1),
        "cpu_seconds_each": round(cpu / count, 3),
        "server_cpu_each": round(served / count, 3),
        "commits_each": round((after["xact_commit"] - database["xact_commit"]) / count, 1),
        "rows_each": round(sum(after[one] - database[one] for one in ("tup_inserted", "tup_updated")) / count, 1),
        "commits_per_second": round((after["xact_commit"] - database["xact_commit"]) / seconds, 1),
        "files_each": round(len(files) / count, 1),
        "bytes_each": round(size / count),
        "status_seconds": round(status_seconds, 2),
        "status_cpu": [round(status_cpu, 2), round(status_served, 2)],
        "status_said": said,
        "report_seconds": round(report_seconds, 1),
        "report_cpu": [round(report_cpu, 2), round(report_served, 2)],
        "again_cpu": round(again_cpu, 2),
        "server_again_cpu": round(again_served, 2),
        **found,
    }


def multiply(machines: VirtualCluster, wanted: int) -> None:
    """Copy finished runs until there are so many, each with a fingerprint and a seed of its own."""
    from mia.tracking.done import SECONDS, step_of

    with closing(machines.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT run_uuid FROM runs WHERE status = 'FINISHED' AND run_uuid IN "
                       "(SELECT run_uuid FROM tags WHERE key = 'mia.kind' AND value = 'run')")  # fmt: skip
        runs = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT run_uuid FROM tags WHERE key = 'mia.kind' AND value = 'sweep'")
        (sweep,) = [row[0] for row in cursor.fetchall()]
        (path,) = machines.folder.glob(f"artifacts/*/{sweep}/artifacts/configurations.json")
        expected = json.loads(path.read_text())
        columns = {table: columns_of(cursor, table) for table in ("runs", "tags", "params", "latest_metrics")}
        for number in range(len(runs), wanted):
            source, new, name = runs[number % len(runs)], uuid.uuid4().hex, f"{number:020x}"
            for table, names in columns.items():
                rest = ", ".join(one for one in names if one != "run_uuid")
                cursor.execute(f"INSERT INTO {table} (run_uuid, {rest}) SELECT %s, {rest} FROM {table} "  # noqa: S608
                               "WHERE run_uuid = %s", [new, source])  # fmt: skip
            cursor.execute("UPDATE tags SET value = %s WHERE run_uuid = %s AND key = 'mia.fingerprint'", [name, new])
            cursor.execute("UPDATE tags SET value = regexp_replace(value, 'seed: [0-9]+', %s) WHERE run_uuid = %s "
                           "AND key = 'mia.config'", [f"seed: {number}", new])  # fmt: skip
            cursor.execute("SELECT start_time FROM runs WHERE run_uuid = %s", [new])
            point = [SECONDS, cursor.fetchone()[0], step_of(name), sweep]
            cursor.execute("INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) "
                           "VALUES (%s, 1, %s, %s, false, %s)", point)  # fmt: skip
            expected[name] = f"seed={number}"
        path.write_text(json.dumps(expected))


def columns_of(cursor: Any, table: str) -> list[str]:
    """Return the columns of a table of PostgreSQL's."""
    cursor.execute("SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table])
    return [row[0] for row in cursor.fetchall()]


def mia(typed: list[str], given: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "mia", *typed], env=given, stdout=file, stderr=file, cwd=log.parent
        )


def children() -> float:
    """Return the CPU seconds of all processes that have ended below this one."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def server_cpu(server: psutil.Process) -> float:
    """Return the CPU seconds of a server and its workers so far."""
    found = 0.0
    for one in [server, *server.children(recursive=True)]:
        found += sum(one.cpu_times()[:2])
    return found


def counts(machines: VirtualCluster) -> dict[str, int]:
    """Return what PostgreSQL has counted."""
    names = ("xact_commit", "tup_inserted", "tup_updated")
    with closing(machines.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(names)} FROM pg_stat_database WHERE datname = 'mlflow'")  # noqa: S608
        return dict(zip(names, cursor.fetchone(), strict=True))


def finished(machines: VirtualCluster) -> int:
    """Return how many runs are finished."""
    with closing(machines.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'")
        return cursor.fetchone()[0]


def outcome(machines: VirtualCluster, count: int) -> dict[str, int]:
    """Return how many configurations have no finished run, how many have more, and what is called RUNNING."""
    with closing(machines.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT value, count(*) FROM runs JOIN tags USING (run_uuid) "
            "WHERE key = 'mia.fingerprint' AND status = 'FINISHED' AND run_uuid IN "
            "(SELECT run_uuid FROM tags WHERE key = 'mia.kind' AND value = 'run') GROUP BY value"
        )
        found = dict(cursor.fetchall())
        cursor.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'")
        running = cursor.fetchone()[0]
    twice = sum(number > 1 for number in found.values())
    return {"lost": count - len(found), "twice": twice, "left_running": running}


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    sys.exit(main())
