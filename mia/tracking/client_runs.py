"""The runs of a database, read through MLflow's client.

Takes conditions; gives `StoredRun`s, latest first. Writes nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia.records import StoredRun
from mia.tracking.mlflow_errors import Calls
from mia.tracking.moved import local_path
from mia.tracking.names import batches, from_stored
from mia.tracking.sources import PAGE, Point, in_folder

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient


class ClientRuns:
    """The runs of a store, as MLflow's client reads them."""

    def __init__(self, client: "MlflowClient", where: str, patience: float = 0.0) -> None:
        self._client = client
        self._call = Calls(where, patience)

    def experiments(self) -> dict[str, dict[str, str]]:
        """Return the tags of every experiment that is not deleted."""
        pages = _pages(lambda token: self._call(self._client.search_experiments, max_results=PAGE, page_token=token))
        return {one.experiment_id: {**one.tags, "name": one.name} for one in pages}

    def search(
        self,
        experiments: Sequence[str],
        tags: Mapping[str, str | None],
        *,
        status: str = "",
        limit: int = 0,
        is_light: bool = False,  # noqa: ARG002 - a server sends everything
        keys: Sequence[str] = (),  # noqa: ARG002 - as above
    ) -> list[StoredRun]:
        """Return the runs that fit, latest first."""
        return list(self._find(experiments, condition_of(tags, status), limit))

    def get(self, ids: Sequence[str]) -> list[StoredRun]:
        """Return the runs with these ids, latest first, as far as they are there."""
        if len(ids) == 1:
            return [client_run(self._call(self._client.get_run, ids[0]))]
        experiments = list(self.experiments())
        found: list[StoredRun] = []
        for some in batches(ids, PAGE // 2):
            listed = ", ".join(f"'{run_id}'" for run_id in some)
            found += self._find(experiments, f"attributes.run_id IN ({listed})")
        return sorted(found, key=lambda run: -run.started)

    def history(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""
        history = self._call(self._client.get_metric_history, run_id, name)
        return [from_stored(one.value) for one in sorted(history, key=lambda one: (one.step, one.timestamp))]

    def points(self, run_id: str, name: str) -> list[Point]:
        """Return all points of a metric."""
        history = self._call(self._client.get_metric_history, run_id, name)
        return [Point(one.step, one.timestamp / 1000, from_stored(one.value)) for one in history]

    def fetch(self, run: StoredRun, path: str) -> Path | None:
        """Return a file or folder of a run, fetched to a temporary folder from a server; None if it has no such."""
        if local_path(run.artifacts) is not None:
            return in_folder(run, path)
        parent = Path(path).parent.as_posix().removeprefix(".")
        there = [one.path for one in self._call(self._client.list_artifacts, run.id, parent or None)]
        return Path(self._call(self._client.download_artifacts, run.id, path)) if path in there else None

    def _find(self, experiments: Sequence[str], condition: str, limit: int = 0) -> Iterator[StoredRun]:
        if not experiments:
            return iter(())

        def page(token: str | None) -> Any:
            return self._call(
                self._client.search_runs,
                list(experiments),
                condition,
                max_results=limit or PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )

        return map(client_run, page(None) if limit else _pages(page))


def condition_of(tags: Mapping[str, str | None], status: str) -> str:
    """Return what MLflow searches for, in its own words."""
    conditions = [f"tags.`{key}` " + ("!= ''" if value is None else f"= '{value}'") for key, value in tags.items()]
    is_other = "!" if status.startswith("!") else ""
    return " AND ".join(
        [*conditions, *([f"attributes.status {is_other}= '{status.removeprefix('!')}'"] if status else [])]
    )


def client_run(found: Any) -> StoredRun:
    """Return a run that MLflow's client gave, with its last values."""
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
        ended=(found.info.end_time or 0) / 1000,
    )


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return
