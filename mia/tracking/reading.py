"""What the store of runs knows: runs found by what they are, what became of a sweep, curves and files.

Takes ids, fingerprints and kinds; gives `StoredRun`s, latest first. Changes nothing in the store, and imports MLflow
only where the store is not a local file.

That a run belongs to a sweep stands in one place: the run's tag `mia.sweep.<id>`, which a run can have for any number
of sweeps (reused ones belong to several), which one search finds, in MLflow's UI too, and which costs a sweep of
thousands no more than one of three. Its value is "true" for the runs that count. Sweeps of earlier versions named their
runs by `mlflow.parentRunId` and by tags `mia.linked.<run>` of their own; they are still read.
"""

import json
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from mia.checks import RequestError
from mia.files import StorageError
from mia.records import StoredRun
from mia.tracking import address, database, done
from mia.tracking.client import STORE, connect
from mia.tracking.client_runs import ClientRuns
from mia.tracking.mlflow_errors import Calls
from mia.tracking.options import TrackingOptions
from mia.tracking.server_runs import ServerRuns
from mia.tracking.sources import Source, SqliteRuns
from mia.tracking.ui_views import COUNTS, mark

LINK = "mia.linked."  # in earlier versions a tag of a sweep's run, followed by a run's id
OPENED = "mia.opened"  # a tag of a sweep's run: when its command was last given, in milliseconds since 1970
CONFIGURATIONS = "configurations.json"  # an artifact of a sweep's run: fingerprint -> name
IGNORED, TOLD = "MLFLOW_TRACKING_URI", "MIA_TOLD_OF_TRACKING_URI"
CONFIG = "mia.config"  # a tag of a run whose files a server keeps: its `config.yaml`, so that no request is needed
PRUNED = "mia.pruned"  # a tag of a run that was ended on purpose: below which floor
ENDINGS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}


class Outcome(NamedTuple):
    """What became of a configuration since the sweep's command was last given."""

    status: str  # finished, reused (finished before), pruned, failed, killed, running, or waiting
    run_id: str = ""
    reason: str = ""  # why it failed, one line
    seconds: float = 0.0  # that its stages took together, where it is finished and says so


class Reader:
    """One MLflow experiment in one store, to be read."""

    def __init__(self, source: Source, where: str, experiment_id: str) -> None:
        self._source = source
        self._call = Calls(where)
        self.where = where  # for people, without secrets
        self.experiment_id = experiment_id  # empty if there is no such experiment

    @classmethod
    def open(cls, options: TrackingOptions, home: Path) -> Self:
        """Open the store for looking: nothing in it is changed or made, and its disk may be read-only.

        Raises:
            RequestError: there is no store, it does not answer or is damaged.
        """
        tell_what_is_ignored()
        place = database.place_of(options.uri, home)
        try:
            if place is None:
                uri, where = options.uri or "", address.shown(options.uri or "")
                address.check_answers(uri)
                if address.is_server(uri):
                    return cls._of(ServerRuns(uri, where, lambda: connect(uri, where)), where, options.experiment)
                with address.impatient():
                    return cls._of(ClientRuns(connect(uri, where), where), where, options.experiment)
            if not place.database.exists():
                raise RequestError(f"there are no runs in {place.database.parent} yet: run mia first, or set MIA_HOME")
            database.schema_of(place)
            return cls._of(SqliteRuns(place), str(place.database), options.experiment)
        except StorageError as error:
            raise RequestError(str(error)) from error

    @classmethod
    def _of(cls, source: Source, where: str, experiment: str) -> Self:
        named = [number for number, tags in source.experiments().items() if tags["name"] == experiment]
        return cls(source, where, named[0] if named else "")

    def finished(self, fingerprint: str) -> StoredRun | None:
        """Return the latest finished run with this fingerprint, whatever came of attempts since."""
        found = self.runs(kind="run", fingerprint=fingerprint, status="FINISHED", limit=1)
        return found[0] if found else None

    def all_finished(self, fingerprints: Collection[str]) -> dict[str, StoredRun]:
        """Return the latest finished run of each fingerprint that has one, without params and metrics."""
        found: dict[str, StoredRun] = {}
        for run in self._search({"mia.kind": "run"}, status="FINISHED", is_light=True):
            if (name := run.tags.get("mia.fingerprint", "")) in fingerprints:
                found.setdefault(name, run)
        return found

    def get(self, run_id: str) -> StoredRun:
        """Return a run by its id.

        Raises:
            StorageError: there is none.
        """
        found = self._source.get([run_id])
        if not found:
            raise StorageError(f"the runs in {self.where}: there is no run {run_id}")
        return found[0]

    def whole(self, runs: Sequence[StoredRun]) -> list[StoredRun]:
        """Return runs with all their params and metrics, in the same order."""
        found = {run.id: run for run in self._source.get([run.id for run in runs])} if runs else {}
        return [found[run.id] for run in runs if run.id in found]

    def find(self, wanted: str) -> list[StoredRun]:
        """Return the experiment's runs of any kind whose id begins with this, without params and metrics."""
        return [run for run in self._search({}, is_light=True) if run.id.startswith(wanted)]

    def children(self, sweep_id: str, *, is_light: bool = False, keys: Sequence[str] = ()) -> list[StoredRun]:
        """Return the runs that count in a sweep, those that other sweeps made included, oldest first.

        Of every configuration that is the latest finished one, or else the latest attempt. `is_light` and `keys` are
        those of `runs`.
        """
        return latest_attempts(self.members(sweep_id, is_light=is_light, keys=keys))

    def members(self, sweep_id: str, *, is_light: bool = False, keys: Sequence[str] = ()) -> list[StoredRun]:
        """Return all attempts of a sweep's runs, latest first; `is_light` and `keys` are those of `runs`."""
        sweep = self.get(sweep_id)
        found = self._search({mark(sweep_id): COUNTS}, is_light=is_light, keys=keys)
        if OPENED not in sweep.tags:
            found += [run for run in self._earlier_members(sweep) if mark(sweep_id) not in run.tags]
        return sorted(found, key=lambda run: -run.started)

    def _earlier_members(self, sweep: StoredRun) -> list[StoredRun]:
        """Return the runs of a sweep that an earlier version made."""
        own = self._search({"mlflow.parentRunId": sweep.id})
        linked = {name.removeprefix(LINK) for name in sweep.tags if name.startswith(LINK)} - {run.id for run in own}
        return own + (self._source.get(sorted(linked)) if linked else [])

    def expected(self, sweep: StoredRun | str) -> dict[str, str]:
        """Return what a sweep is to run: fingerprint -> name; empty for sweeps of earlier versions."""
        try:
            found = json.loads(self.artifact(sweep, CONFIGURATIONS).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return {str(key): str(name) for key, name in found.items()} if isinstance(found, dict) else {}

    def sketched(self, sweep: StoredRun) -> list[StoredRun]:
        """Return a sweep's members, latest first, in the place of finished ones what `stand_ins` knows of them.

        A server takes seconds to send a thousand runs, and milliseconds to send a point for each. Those of a sweep that
        is over must be complete; of one that goes on, a run that has just ended may still be missing.
        """
        expected = self.expected(sweep)
        points = self._source.points(sweep.id, done.SECONDS)
        if not points or not expected:
            return self.members(sweep.id)
        found = self._search({mark(sweep.id): COUNTS}, status="!FINISHED")
        found = sorted([*found, *done.stand_ins(points, expected)], key=lambda run: -run.started)
        if sweep.status == "RUNNING" or expected.keys() <= {run.tags.get("mia.fingerprint") for run in found}:
            return found
        return self.members(sweep.id)

    def has_running(self, sweep_id: str) -> bool:
        """Tell whether a run of a sweep has not been closed."""
        return bool(self._search({mark(sweep_id): COUNTS}, status="RUNNING", limit=1, is_light=True))

    def num_failed(self, sweep: StoredRun) -> int:
        """Return how many configurations have failed since the sweep's command was last given."""
        failed = self._search({mark(sweep.id): COUNTS}, status="FAILED", is_light=True)
        return len({run.tags.get("mia.fingerprint") or run.id for run in failed if run.started >= _opened(sweep)})

    def outcomes(self, sweep_id: str, members: Sequence[StoredRun] | None = None) -> dict[str, Outcome]:
        """Return what became of each configuration of a sweep, by fingerprint, in the sweep's order.

        Args:
            sweep_id: The id of the sweep's run.
            members: Its members, if they have been read, latest first.
        """
        sweep = self.get(sweep_id)
        attempts: dict[str, list[StoredRun]] = {name: [] for name in self.expected(sweep)}
        for run in self.members(sweep_id) if members is None else members:
            attempts.setdefault(run.tags.get("mia.fingerprint") or run.id, []).append(run)
        opened = _opened(sweep)
        return {name: _outcome(runs, opened, sweep.status == "RUNNING") for name, runs in attempts.items()}

    def sweeps(self, name: str | None = None) -> list[StoredRun]:
        """Return the runs of sweeps, of all or of one name, latest first."""
        return [run for run in self.runs(kind="sweep") if name in (None, run.tags.get("mia.sweep"))]

    def sweeps_of(self, run: StoredRun) -> list[StoredRun]:
        """Return the runs of the sweeps that count a run among theirs, latest first."""
        return [
            sweep
            for sweep in self.sweeps()
            if run.tags.get(mark(sweep.id)) == COUNTS
            or f"{LINK}{run.id}" in sweep.tags
            or run.tags.get("mlflow.parentRunId") == sweep.id
        ]

    def runs(
        self,
        *,
        kind: str | None = None,
        fingerprint: str | None = None,
        status: str | None = None,
        limit: int = 0,
        is_light: bool = False,
        keys: Sequence[str] = (),
    ) -> list[StoredRun]:
        """Return the experiment's runs that fit, latest first.

        Args:
            kind: run, sweep or audit.
            fingerprint: of the configuration.
            status: FINISHED, FAILED, KILLED or RUNNING.
            limit: at most so many, unless it is 0.
            is_light: params and metrics may be left out, which takes a quarter of the time.
            keys: all params and metrics but these may be left out, which takes half of it; a star stands for any
                letters; empty: none may.
        """
        wanted = {"mia.kind": kind, "mia.fingerprint": fingerprint}
        tags = {key: value for key, value in wanted.items() if value}
        return self._search(tags, status=status or "", limit=limit, is_light=is_light, keys=keys)

    def runs_with_pools(self) -> list[StoredRun]:
        """Return the finished and the running runs of every experiment that name their pools (tag `mia.pools`)."""
        found = self._source.search(list(self._source.experiments()), {"mia.pools": None}, is_light=True)
        return [run for run in found if run.status in ("FINISHED", "RUNNING")]

    def running(self) -> list[StoredRun]:
        """Return the runs of every experiment that have not been closed."""
        return self._source.search(list(self._source.experiments()), {}, status="RUNNING", is_light=True)

    def store_ids(self) -> set[str]:
        """Return the names by which pools know this store: one for each of its experiments that `mia` has written."""
        return {tags[STORE] for tags in self._source.experiments().values() if STORE in tags}

    def curve(self, run_id: str, name: str) -> list[float]:
        """Return all values of a metric, by step."""
        return self._source.history(run_id, name)

    def artifact(self, run: StoredRun | str, path: str) -> Path:
        """Return a file or folder of a run (or of the one with an id), fetched to a temporary folder from a server.

        Raises:
            FileNotFoundError: the run has no such file.
        """
        run = self.get(run) if isinstance(run, str) else run
        found = self._source.fetch(run, path)
        if found is None:
            raise FileNotFoundError(f"run {run.id} has no {path} in {run.artifacts}")
        return found

    def _search(
        self,
        tags: Mapping[str, str | None],
        *,
        status: str = "",
        limit: int = 0,
        is_light: bool = False,
        keys: Sequence[str] = (),
    ) -> list[StoredRun]:
        if not self.experiment_id:
            return []
        return self._source.search([self.experiment_id], tags, status=status, limit=limit, is_light=is_light, keys=keys)


def latest_attempts(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Return of every fingerprint the latest finished run, or else the latest attempt, in the order of their starts."""
    latest: dict[str, StoredRun] = {}
    for run in sorted(runs, key=lambda run: run.started):
        key = run.tags.get("mia.fingerprint") or run.id
        if key not in latest or run.status == "FINISHED" or latest[key].status != "FINISHED":
            latest[key] = run
    return sorted(latest.values(), key=lambda run: run.started)


def tell_what_is_ignored() -> None:
    """Say once, also for the processes that this one starts, that MLflow's own variable does not choose the store."""
    if os.environ.get(IGNORED) and not os.environ.get(TOLD):
        os.environ[TOLD] = "yes"
        print(f"mia: {IGNORED} is set and not used: tracking.uri=... chooses where runs are kept", file=sys.stderr)


def _opened(sweep: StoredRun) -> float:
    """Return when a sweep's command was last given."""
    return int(sweep.tags.get(OPENED) or sweep.started * 1000) / 1000


def _outcome(attempts: list[StoredRun], opened: float, goes_on: bool) -> Outcome:
    """Judge a configuration by its attempts, latest first."""
    if attempts and attempts[0].tags.get(PRUNED):
        return Outcome("pruned", attempts[0].id, attempts[0].tags[PRUNED], done.seconds_between(attempts[0]))
    since = [run for run in attempts if run.started >= opened or run.status == "RUNNING"]
    before = [run for run in attempts if run.status == "FINISHED"]
    if not since and before:
        return Outcome("reused", before[0].id, seconds=done.seconds_between(before[0]))
    if not attempts or (goes_on and not since):
        return Outcome("waiting")
    run = attempts[0]
    status = ENDINGS.get(run.status, "running")
    if run.status == "FINISHED":
        return Outcome(status, run.id, seconds=done.seconds_between(run))
    return Outcome(status, run.id, " ".join(run.tags.get("mia.error", "").split()))
