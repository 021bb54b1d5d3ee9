"""Where stored runs are read from: a local SQLite file here, every other store in `client_runs`.

Takes conditions; gives `StoredRun`s, latest first. Writes nothing. The local file is read by SQL, from seven tables
that MLflow has had for years: that needs no import of MLflow (two seconds), takes one second for 5,000 runs where the
client takes 25, and works on a disk that cannot be written and with the tables of other versions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mia.records import StoredRun
from mia.tracking.database import Place, connection_to
from mia.tracking.mlflow_errors import Calls
from mia.tracking.moved import local_path, moved_from
from mia.tracking.names import batches, from_stored

PAGE = 1000
TAGS_ONLY = ("tags",)
EVERYTHING = ("params", "latest_metrics", "tags")


class Point(NamedTuple):
    """One value of a metric."""

    step: int
    at: float  # in seconds since 1970
    value: float


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
            status: of the runs; any if empty; with ! before it any but that.
            limit: at most so many, unless it is 0.
            is_light: params and metrics are not needed, and may be left out.
            keys: the params and metrics that are needed, a star for any letters; others may be left out. Empty: all
                are.
        """

    def get(self, ids: Sequence[str]) -> list[StoredRun]:
        """Return the runs with these ids, latest first, as far as they are there."""

    def history(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""

    def points(self, run_id: str, name: str) -> list[Point] | None:
        """Return all points of a metric; None where to read whole runs is as fast."""

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
            conditions.append("status != ?" if status.startswith("!") else "status = ?")
            values.append(status.removeprefix("!"))
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

    def points(self, run_id: str, name: str) -> None:
        """Return nothing: whole runs are read as fast."""

    def fetch(self, run: StoredRun, path: str) -> Path | None:
        """Return a file or folder of a run; None if it has no such."""
        return in_folder(run, path)

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
            some = [one for one in keys if "*" not in one] if kind != "tags" else []
            likes = [one for one in keys if "*" in one] if kind != "tags" else []
            tests = [f"key IN ({_marks(some)})", *["key GLOB ?"] * len(likes)]
            query += f" AND ({' OR '.join(tests)})" if some or likes else ""
            for run_id, key, *stored in ask(query, [*values, *some, *likes]):
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


def in_folder(run: StoredRun, path: str) -> Path | None:
    """Return a file or folder of a run whose files are on this machine; None if it has no such."""
    folder = local_path(run.artifacts)
    return folder / path if folder is not None and (folder / path).exists() else None


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _number(value: float, is_nan: int) -> float:
    return float("nan") if is_nan else from_stored(value)
