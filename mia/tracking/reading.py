"""What the store of runs knows: runs found by what they are, their curves and their files.

Takes ids, fingerprints and kinds; gives `StoredRun`s, latest first. Changes nothing in the store.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mia.records import StoredRun
from mia.tracking.calls import Calls
from mia.tracking.moved import local_path
from mia.tracking.names import from_stored

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking.client import MlflowClient

LINK = "mia.linked."  # a tag of a sweep's run, followed by the id of a run that another sweep had finished
PAGE = 500


class Outcome(NamedTuple):
    """What became of a configuration since the sweep's command was last given."""

    status: str  # finished, reused (finished before), failed, killed, running
    run_id: str = ""
    reason: str = ""  # why it failed, one line


def _outcome(run: StoredRun, opened: float) -> Outcome:
    if run.status == "FINISHED":
        return Outcome("finished" if run.started >= opened else "reused", run.id)
    status = {"FAILED": "failed", "KILLED": "killed"}.get(run.status, "running")
    return Outcome(status, run.id, run.tags.get("mia.error", ""))


class Reader:
    """One MLflow experiment in one store, to be read."""

    def __init__(self, client: "MlflowClient", where: str, experiment_id: str) -> None:
        self._client = client
        self._call = Calls(where)
        self.experiment_id = experiment_id

    def finished(self, fingerprint: str) -> StoredRun | None:
        """Return the latest run with this fingerprint, if that one is finished."""
        found = self.runs(kind="run", fingerprint=fingerprint, limit=1)
        return found[0] if found and found[0].status == "FINISHED" else None

    def all_finished(self, fingerprints: Iterable[str]) -> dict[str, StoredRun]:
        """Return the latest run of each fingerprint whose latest run is finished."""
        found = {name: self.finished(name) for name in fingerprints}
        return {name: run for name, run in found.items() if run is not None}

    def outcomes(self, sweep_id: str) -> dict[str, "Outcome"]:
        """Return what became of each configuration of a sweep since it was opened, by fingerprint."""
        opened = int(self.get(sweep_id).tags.get("mia.opened", 0)) / 1000
        return {
            run.tags.get("mia.fingerprint") or run.id: _outcome(run, opened)
            for run in self.children(sweep_id)
            if run.started >= opened or run.status == "FINISHED"
        }

    def get(self, run_id: str) -> StoredRun:
        """Return a run by its id."""
        return stored_run(self._call(self._client.get_run, run_id))

    def children(self, sweep_id: str) -> list[StoredRun]:
        """Return the latest attempts of a sweep's runs, those linked from other sweeps included, oldest first."""
        own = self._search(f"tags.`mlflow.parentRunId` = '{sweep_id}'")
        tags = self.get(sweep_id).tags
        linked = [name.removeprefix(LINK) for name in tags if name.startswith(LINK)]
        for start in range(0, len(linked), PAGE):
            ids = ", ".join(f"'{run_id}'" for run_id in linked[start : start + PAGE])
            own += self._search(f"attributes.run_id IN ({ids})")
        return latest_attempts(own)

    def sweeps(self, name: str | None = None) -> list[StoredRun]:
        """Return the runs of sweeps, of all or of one name, latest first."""
        return [run for run in self.runs(kind="sweep") if name in (None, run.tags.get("mia.sweep"))]

    def runs(
        self, *, kind: str | None = None, fingerprint: str | None = None, status: str | None = None, limit: int = 0
    ) -> list[StoredRun]:
        """Return the experiment's runs that fit, latest first; at most `limit` unless that is 0."""
        wanted = {"tags.`mia.kind`": kind, "tags.`mia.fingerprint`": fingerprint, "attributes.status": status}
        return self._search(" AND ".join(f"{key} = '{value}'" for key, value in wanted.items() if value), limit)

    def runs_with_pools(self) -> list[StoredRun]:
        """Return the finished and the running runs of every experiment that name their pools (tag `mia.pools`)."""
        found = self._search("tags.`mia.pools` != ''", experiments=self._experiments())
        return [run for run in found if run.status in ("FINISHED", "RUNNING")]

    def running(self) -> list[StoredRun]:
        """Return the runs of every experiment that have not been closed."""
        return self._search("attributes.status = 'RUNNING'", experiments=self._experiments())

    def _experiments(self) -> list[str]:
        return [one.experiment_id for one in self._call(self._client.search_experiments)]

    def curve(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""
        history = self._call(self._client.get_metric_history, run_id, name)
        return [from_stored(one.value) for one in sorted(history, key=lambda one: (one.step, one.timestamp))]

    def artifact(self, run: StoredRun | str, path: str) -> Path:
        """Return a file or folder of a run (or of the one with an id), fetched to a temporary folder from a server.

        Raises:
            FileNotFoundError: the run has no such file.
        """
        run = self.get(run) if isinstance(run, str) else run
        kept, run_id = run.artifacts, run.id
        folder = local_path(kept)
        if folder is None:
            parent = Path(path).parent.as_posix().removeprefix(".")
            is_there = path in (one.path for one in self._call(self._client.list_artifacts, run_id, parent or None))
        else:
            is_there = (folder / path).exists()
        if not is_there:
            raise FileNotFoundError(f"run {run_id} has no {path} in {kept}")
        return folder / path if folder else Path(self._call(self._client.download_artifacts, run_id, path))

    def _search(self, condition: str, limit: int = 0, experiments: list[str] | None = None) -> list[StoredRun]:
        found: list[StoredRun] = []
        token: str | None = None
        while True:
            page = self._call(
                self._client.search_runs,
                experiments or [self.experiment_id],
                condition,
                max_results=limit or PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            found += [stored_run(one) for one in page]
            token = page.token
            if limit or not token:
                return found


def stored_run(found: "MlflowRun") -> StoredRun:
    """Return a run with its last values."""
    folder = local_path(found.info.artifact_uri)
    return StoredRun(
        id=found.info.run_id,
        name=found.info.run_name,
        status=found.info.status,
        started=found.info.start_time / 1000,
        params=dict(found.data.params),
        metrics={name: from_stored(value) for name, value in found.data.metrics.items()},
        tags=dict(found.data.tags),
        artifacts=found.info.artifact_uri if folder is None else str(folder),
    )


def latest_attempts(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Return the latest run of every fingerprint, whatever became of it, in the order of their starts."""
    latest: dict[str, StoredRun] = {}
    for run in sorted(runs, key=lambda run: run.started):
        latest[run.tags.get("mia.fingerprint") or run.id] = run
    return sorted(latest.values(), key=lambda run: run.started)
