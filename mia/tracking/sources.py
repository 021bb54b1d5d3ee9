"""Where stored runs are read from: a local SQLite file, or MLflow's client for every other store.

Takes conditions; gives `StoredRun`s, latest first. Writes nothing. The local file is read by SQL, from seven tables
that MLflow has had for years: that needs no import of MLflow (two seconds), takes one second for 5,000 runs where the
client takes 25, and works on a disk that cannot be written and with the tables of other versions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mia.records import StoredRun
from mia.tracking.database import Place, connection_to
from mia.tracking.mlflow_errors import Calls
from mia.tracking.moved import local_path, moved_from
from mia.tracking.names import batches, from_stored

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient

PAGE = 1000
TAGS_ONLY = ("tags",)
EVERYTHING = ("params", "latest_metrics", "tags")


class Source(Protocol):
    """A store of runs, to be read."""

    def experiments(self) -> dict[str, dict[str, str]]:
        """Return the tags of every experiment that is not deleted, by id; its name is the tag `name`."""

    def search(
        self,
        experiments: Sequence[str],
        tags: Mapping[str, str | None],
        *,
        status: str = "",
        limit: int = 0,
        is_light: bool = False,
        keys: Sequence[str] = (),
    ) -> list[StoredRun]:
        """Return the runs that fit, latest first.

        Args:
            experiments: ids of those to look in.
            tags: what they must be; None stands for anything but empty.
            status: of the runs; any if empty.
            limit: at most so many, unless it is 0.
            is_light: params and metrics are not needed, and may be left out.
            keys: the params and metrics that are needed; others may be left out. Empty: all are.
        """

    def get(self, ids: Sequence[str]) -> list[StoredRun]:
        """Return the runs with these ids, latest first, as far as they are there."""

    def history(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""

    def fetch(self, run: StoredRun, path: str) -> Path | None:
        """Return a file or folder of a run, fetched to a temporary folder from a server; None if it has no such."""


class SqliteRuns:
    """The runs in a local file."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._call = Calls(str(place.database))
        self._old = self._call(moved_from, place)

    def experiments(self) -> dict[str, dict[str, str]]:
        """Return the tags of every experiment that is not deleted."""
        found: dict[str, dict[str, str]] = {}
        with self._reading() as ask:
            for number, name in ask("SELECT experiment_id, name FROM experiments WHERE lifecycle_stage = 'active'"):
                found[str(number)] = {"name": name}
            for number, key, value in ask("SELECT experiment_id, key, value FROM experiment_tags"):
                if str(number) in found:
                    found[str(number)][key] = value
        return found

    def search(
        self,
        experiments: Sequence[str],
        tags: Mapping[str, str | None],
        *,
        status: str = "",
        limit: int = 0,
        is_light: bool = False,
        keys: Sequence[str] = (),
    ) -> list[StoredRun]:
        """Return the runs that fit, latest first."""
        conditions = [f"experiment_id IN ({_marks(experiments)})", "lifecycle_stage = 'active'"]
        values: list[object] = [int(one) for one in experiments]
        for key, value in tags.items():
            test = "value != ''" if value is None else "value = ?"
            conditions.append(f"run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND {test})")  # noqa: S608
            values += [key] if value is None else [key, value]
        if status:
            conditions.append("status = ?")
            values.append(status)
        order = "ORDER BY start_time DESC, run_uuid" + (f" LIMIT {limit}" if limit else "")
        with self._reading() as ask:
            kinds = TAGS_ONLY if is_light else EVERYTHING
            return self._read(ask, f"{' AND '.join(conditions)} {order}", values, kinds, keys)

    def get(self, ids: Sequence[str]) -> list[StoredRun]:
        """Return the runs with these ids, latest first, as far as they are there."""
        with self._reading() as ask:
            return [
                run
                for some in batches(ids, PAGE)
                for run in self._read(ask, f"run_uuid IN ({_marks(some)}) ORDER BY start_time DESC", some, EVERYTHING)
            ]

    def history(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""
        query = "SELECT value, is_nan FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY step, timestamp"
        with self._reading() as ask:
            return [_number(value, is_nan) for value, is_nan in ask(query, (run_id, name))]

    def fetch(self, run: StoredRun, path: str) -> Path | None:
        """Return a file or folder of a run; None if it has no such."""
        return _in_folder(run, path)

    def _read(
        self,
        ask: Callable[..., Any],
        which: str,
        values: Sequence[object],
        kinds: Sequence[str],
        keys: Sequence[str] = (),
    ) -> list[StoredRun]:
        columns = "run_uuid, name, status, start_time, end_time, artifact_uri"
        rows = ask(f"SELECT {columns} FROM runs WHERE {which}", values)  # noqa: S608 - conditions of our own, values apart
        found: dict[str, dict[str, dict[str, Any]]] = {row[0]: {kind: {} for kind in EVERYTHING} for row in rows}
        ids = f"SELECT run_uuid FROM runs WHERE {which}"  # noqa: S608 - as above
        if len(rows) <= PAGE:
            ids, values = _marks(rows), list(found)
        for kind in kinds:
            value = "value, is_nan" if kind == "latest_metrics" else "value"
            query = f"SELECT run_uuid, key, {value} FROM {kind} WHERE run_uuid IN ({ids})"  # noqa: S608 - as above
            some = list(keys) if kind != "tags" else []
            query += f" AND key IN ({_marks(some)})" if some else ""
            for run_id, key, *stored in ask(query, [*values, *some]):
                found[run_id][kind][key] = stored[0] if len(stored) == 1 else _number(*stored)
        return [self._stored(row, found[row[0]]) for row in rows]

    def _stored(self, row: tuple[str, str, str, int, int, str], data: Mapping[str, dict[str, Any]]) -> StoredRun:
        run_id, name, status, started, ended, uri = row
        folder = local_path(uri, self._place, self._old)
        return StoredRun(
            id=run_id,
            name=name or "",
            status=status,
            started=(started or 0) / 1000,
            params=data["params"],
            metrics=data["latest_metrics"],
            tags=data["tags"],
            artifacts=uri if folder is None else str(folder),
            ended=(ended or 0) / 1000,
        )

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., Any]]:
        """Yield a function that asks the database; all answers are of one moment."""
        with closing(self._call(connection_to, self._place)) as connection:
            self._call(connection.execute, "BEGIN")
            yield lambda query, values=(): self._call(lambda: connection.execute(query, values).fetchall())


class ClientRuns:
    """The runs of a server or a database, as MLflow's client reads them."""

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
        conditions = [f"tags.`{key}` " + ("!= ''" if value is None else f"= '{value}'") for key, value in tags.items()]
        conditions += [f"attributes.status = '{status}'"] if status else []
        found = self._find(experiments, " AND ".join(conditions), limit)
        return [client_run(one) for one in found]

    def get(self, ids: Sequence[str]) -> list[StoredRun]:
        """Return the runs with these ids, latest first, as far as they are there."""
        if len(ids) == 1:
            return [client_run(self._call(self._client.get_run, ids[0]))]
        experiments = list(self.experiments())
        found: list[StoredRun] = []
        for some in batches(ids, PAGE // 2):
            listed = ", ".join(f"'{run_id}'" for run_id in some)
            found += [client_run(one) for one in self._find(experiments, f"attributes.run_id IN ({listed})")]
        return sorted(found, key=lambda run: -run.started)

    def history(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""
        history = self._call(self._client.get_metric_history, run_id, name)
        return [from_stored(one.value) for one in sorted(history, key=lambda one: (one.step, one.timestamp))]

    def fetch(self, run: StoredRun, path: str) -> Path | None:
        """Return a file or folder of a run, fetched to a temporary folder from a server; None if it has no such."""
        if local_path(run.artifacts) is not None:
            return _in_folder(run, path)
        parent = Path(path).parent.as_posix().removeprefix(".")
        there = [one.path for one in self._call(self._client.list_artifacts, run.id, parent or None)]
        return Path(self._call(self._client.download_artifacts, run.id, path)) if path in there else None

    def _find(self, experiments: Sequence[str], condition: str, limit: int = 0) -> Iterable[Any]:
        if not experiments:
            return []

        def page(token: str | None) -> Any:
            return self._call(
                self._client.search_runs,
                list(experiments),
                condition,
                max_results=limit or PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )

        return page(None) if limit else _pages(page)


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


def _in_folder(run: StoredRun, path: str) -> Path | None:
    folder = local_path(run.artifacts)
    return folder / path if folder is not None and (folder / path).exists() else None


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _number(value: float, is_nan: int) -> float:
    return float("nan") if is_nan else from_stored(value)
