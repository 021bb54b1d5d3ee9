"""The runs of a server, read over its REST interface; MLflow is imported only for files that it does not hand out.

Takes conditions; gives `StoredRun`s, latest first. Writes nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia.records import StoredRun
from mia.tracking import rest
from mia.tracking.client_runs import ClientRuns, condition_of
from mia.tracking.mlflow_errors import Calls
from mia.tracking.moved import local_path
from mia.tracking.names import batches, from_stored
from mia.tracking.sources import PAGE, Point, in_folder

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient

PROXIED = "mlflow-artifacts:"  # the beginning of the addresses of files that a server hands out itself
MOST_POINTS = 25_000  # of a metric, in one answer


class ServerRuns:
    """The runs of a server."""

    def __init__(self, uri: str, where: str, get_client: Callable[[], "MlflowClient"], patience: float = 0.0) -> None:
        self._uri, self._where, self._get_client, self._patience = uri, where, get_client, patience
        self._call = Calls(where, patience)

    def experiments(self) -> dict[str, dict[str, str]]:
        """Return the tags of every experiment that is not deleted."""
        found = self._pages("experiments/search", "experiments", {"max_results": PAGE})
        return {
            one["experiment_id"]: {tag["key"]: tag.get("value", "") for tag in one.get("tags", ())}
            | {"name": one["name"]}
            for one in found
        }

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
        return self._find(experiments, condition_of(tags, status), limit)

    def get(self, ids: Sequence[str]) -> list[StoredRun]:
        """Return the runs with these ids, latest first, as far as they are there."""
        if len(ids) == 1:
            return [server_run(self._call(rest.ask, self._uri, "runs/get", {"run_id": ids[0]})["run"])]
        experiments, found = list(self.experiments()), list[StoredRun]()
        for some in batches(ids, PAGE // 2):
            listed = ", ".join(f"'{run_id}'" for run_id in some)
            found += self._find(experiments, f"attributes.run_id IN ({listed})")
        return sorted(found, key=lambda run: -run.started)

    def history(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""
        return [point.value for point in sorted(self.points(run_id, name))]

    def points(self, run_id: str, name: str) -> list[Point]:
        """Return all points of a metric."""
        asked = {"run_id": run_id, "metric_key": name, "max_results": MOST_POINTS}
        found = self._pages("metrics/get-history", "metrics", asked, is_search=False)
        return [
            Point(int(one.get("step", 0)), int(one["timestamp"]) / 1000, from_stored(float(one["value"])))
            for one in found
        ]

    def fetch(self, run: StoredRun, path: str) -> Path | None:
        """Return a file or folder of a run, fetched to a temporary folder; None if it has no such."""
        if local_path(run.artifacts) is not None:
            return in_folder(run, path)
        if Path(path).suffix and run.artifacts.startswith(f"{PROXIED}/") and "://" not in run.artifacts:
            return self._call(rest.fetch_file, self._uri, f"{run.artifacts.partition(':/')[2].strip('/')}/{path}")
        return ClientRuns(self._get_client(), self._where, self._patience).fetch(run, path)

    def _find(self, experiments: Sequence[str], condition: str, limit: int = 0) -> list[StoredRun]:
        if not experiments:
            return []
        asked = {"experiment_ids": list(experiments), "filter": condition, "max_results": limit or PAGE,
                 "order_by": ["attributes.start_time DESC"], "run_view_type": "ACTIVE_ONLY"}  # fmt: skip
        return [server_run(one) for one in self._pages("runs/search", "runs", asked, limit)]

    def _pages(
        self, what: str, name: str, asked: Mapping[str, Any], limit: int = 0, *, is_search: bool = True
    ) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._call(rest.ask, self._uri, what, {**asked, **token}, is_search=is_search)
            yield from page.get(name, ())
            token = {"page_token": page.get("next_page_token") or ""}
            if limit or not token["page_token"]:
                return


def server_run(found: Mapping[str, Any]) -> StoredRun:
    """Return a run as a server describes it, with its last values."""
    info = found["info"]
    folder = local_path(info.get("artifact_uri", ""))
    return StoredRun(
        id=info["run_id"],
        name=info.get("run_name", ""),
        status=info["status"],
        started=int(info.get("start_time", 0)) / 1000,
        ended=int(info.get("end_time") or 0) / 1000,
        params=_pairs(found, "params"),
        metrics={name: from_stored(float(value)) for name, value in _pairs(found, "metrics").items()},
        tags=_pairs(found, "tags"),
        artifacts=info.get("artifact_uri", "") if folder is None else str(folder),
    )


def _pairs(run: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return a run's params, metrics or tags by name; numbers that JSON lacks come as words."""
    return {one["key"]: one.get("value", "") for one in run.get("data", {}).get(kind, ())}
