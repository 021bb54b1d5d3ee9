"""One trial cluster for all tests of this folder that ask for the same kind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from virtual_cluster import OWN, VirtualCluster, what_is_missing

FAKE = OWN / "tests" / "bench" / "fake_training"
SMALL = ["split.size=20", "model.hidden=[4]", "split.num_shadows=1", "attack=[gap]", "train.epochs=2"]
SLURM = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=10"]
EPOCH_SECONDS = 0.02
ENDLESS = 1_000_000


ALWAYS = {
    "test_a_healthy_sweep_of_real_training_and_the_same_command_again[without accounting]",
    "test_one_cancelled_job_fails_with_its_reason_and_the_others_go_on[without accounting]",
    "test_an_interrupted_submitter_cancels_its_jobs[without accounting-ctrl_c]",
    "test_a_killed_submitter_and_the_same_command_again[without accounting]",
    "test_two_submitters_with_overlapping_grids_make_one_run_of_each[without accounting]",
    "test_whoever_looks_closes_the_runs_of_jobs_that_are_gone[without accounting]",
}
"""Tests of this folder that are no slow ones: together some minutes, wherever a trial cluster can be had."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.name not in ALWAYS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", params=["without accounting"])
def cluster(request: pytest.FixtureRequest) -> Iterator[VirtualCluster]:
    """A cluster; `indirect` parameters choose whether it keeps accounts."""
    accounting = request.param == "with accounting"
    if reason := what_is_missing(accounting=accounting):
        pytest.skip(reason)
    found = VirtualCluster(accounting=accounting)
    try:
        found.up()
        yield found
    finally:
        found.down()


@pytest.fixture
def desk(cluster: VirtualCluster, request: pytest.FixtureRequest) -> Iterator["Desk"]:
    """A person at a cluster, with an empty store; whatever is left of their jobs is cancelled at the end."""
    found = Desk(cluster, "".join(letter if letter.isalnum() else "_" for letter in request.node.name))
    yield found
    found.leave()


class Desk:
    """Where somebody types commands, and looks at what comes of them in PostgreSQL."""

    def __init__(self, cluster: VirtualCluster, name: str) -> None:
        self.cluster, self.experiment = cluster, name
        self.home = cluster.folder / "shared" / name
        self.home.mkdir()
        self._started: list[subprocess.Popen[str]] = []
        self._before: set[str] = set()
        self._before = set(self.jobs())

    @property
    def store(self) -> list[str]:
        return [f"tracking.uri={self.cluster.uri}", f"tracking.experiment={self.experiment}"]

    def start(self, *typed: str, fake: bool = True) -> subprocess.Popen[str]:
        """Start `mia`."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        path = f"{FAKE}:{OWN}" if fake else str(OWN)
        own = {"MIA_HOME": str(self.home), "PYTHONPATH": path, "FAKE_EPOCH_SECONDS": str(EPOCH_SECONDS)}
        self._started.append(
            subprocess.Popen(
                [sys.executable, "-m", "mia", *typed], env=self.cluster.environment | own, text=True, cwd=self.home,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            )
        )  # fmt: skip
        return self._started[-1]

    def sweep(self, *typed: str, fake: bool = True) -> subprocess.Popen[str]:
        """Start a sweep on the cluster."""
        return self.start("-m", *SMALL, *SLURM, *self.store, *typed, fake=fake)

    def end_of(self, process: subprocess.Popen[str], seconds: float = 240) -> tuple[int, str, str]:
        """Wait for the end of a command."""
        out, err = process.communicate(timeout=seconds)
        return process.returncode, out, err

    def leave(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self.cluster.ask("scancel", "--user=root")
        self.cluster.wait(lambda: not self.queue(), "end of all jobs")

    def kill_workers(self) -> None:
        """Kill the processes of this person's jobs, so that none of them can say anything any more."""
        found = [(process, " ".join(process.info["cmdline"] or [])) for process in psutil.process_iter(["cmdline"])]
        found = [(process, words) for process, words in found if "submitit.core._submit" in words]
        own = [(words.startswith("srun"), process) for process, words in found if str(self.home) in words]
        own.sort(key=lambda pair: pair[0])
        for end in (psutil.Process.suspend, psutil.Process.kill):  # srun, the last, would ask the others to end well
            for _, process in own:
                with suppress(psutil.Error):
                    end(process)

    # --- what there is ---

    def queue(self) -> dict[str, str]:
        """Return the state of every job that has not ended."""
        lines = self.cluster.ask("squeue", "-h", "-r", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def jobs(self) -> dict[str, str]:
        """Return the state of every job that SLURM remembers, but those of earlier tests."""
        lines = self.cluster.ask("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").splitlines()
        return {job: state for job, state in map(str.split, lines) if job not in self._before}

    def runs(self, kind: str = "run") -> list[dict]:
        """Return the runs of this experiment, oldest first: id, status, tags and params, as PostgreSQL has them."""
        query = (
            "SELECT run_uuid, status, runs.name FROM runs JOIN experiments USING (experiment_id) "
            "WHERE experiments.name = %s ORDER BY start_time"
        )
        with closing(self.cluster.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query, [self.experiment])
            found = []
            for run_id, status, name in cursor.fetchall():
                pairs = {}
                for table in ("tags", "params"):
                    cursor.execute(f"SELECT key, value FROM {table} WHERE run_uuid = %s", [run_id])  # noqa: S608
                    pairs[table] = dict(cursor.fetchall())
                found.append({"id": run_id, "status": status, "name": name, **pairs})
        return [run for run in found if run["tags"].get("mia.kind") == kind]

    def metric(self, run: dict, name: str) -> float:
        """Return the last value of a metric."""
        with closing(self.cluster.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT value FROM latest_metrics WHERE run_uuid = %s AND key = %s", [run["id"], name])
            return cursor.fetchone()[0]

    def statuses(self, kind: str = "run") -> list[str]:
        return sorted(run["status"] for run in self.runs(kind))

    def running(self) -> list[dict]:
        return [run for run in self.runs() if run["status"] == "RUNNING"]

    def wait(self, condition, what: str, seconds: float = 120) -> float:
        """Wait until something holds, and return for how many seconds."""
        begun = time.monotonic()
        self.cluster.wait(condition, what, seconds)
        return time.monotonic() - begun

    def folders(self) -> list[str]:
        """Return what sweeps have left on the shared disk."""
        return [path.name for path in self.home.glob("sweeps/*")]

    def ledger(self, sweep: dict) -> list[dict]:
        """Return what a sweep has sent, as it is stored with its run."""
        folder = next(self.cluster.folder.glob(f"artifacts/*/{sweep['id']}/artifacts/jobs"), None)
        return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))] if folder else []
