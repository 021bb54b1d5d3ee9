"""The store of runs: opens it, finds runs, starts them, closes those whose process has died.

Takes options and the `mlruns` folder; gives `Run`s to write to and `StoredRun`s to read. What is wrong with the store
is said when it is opened (`RequestError`), before anything is trained; what goes wrong later is a `StorageError`.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mia.checks import RequestError
from mia.files import StorageError
from mia.records import StoredRun
from mia.tracking import address, database, done, moved, process, slurm, ui_views
from mia.tracking.client import STORE, connect, get_or_create, needed_tags, store_view
from mia.tracking.client_runs import ClientRuns
from mia.tracking.mlflow_errors import Patience
from mia.tracking.names import MAX_NAME, MAX_TAG, as_tags, cut
from mia.tracking.options import TrackingOptions
from mia.tracking.reading import CONFIGURATIONS, OPENED, Reader, latest_attempts, tell_what_is_ignored
from mia.tracking.run import ERROR, Run
from mia.tracking.server_runs import ServerRuns
from mia.tracking.sources import Source, SqliteRuns

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking.client import MlflowClient

ATTEMPT = "mia.attempt"  # a tag of a run: by which one is found that a server made without being able to say so
REUSED = "mia.reused_by_commit"  # a tag of a finished run that was not repeated, though the code has changed since


class Tracker(Reader):
    """One MLflow experiment in one store, to be written to as well."""

    def __init__(
        self,
        source: Source,
        where: str,
        experiment_id: str,
        get_client: Callable[[], "MlflowClient"] | None = None,
        patience: float = 0.0,
    ) -> None:
        super().__init__(source, where, experiment_id)
        self._call.patience = patience
        self._tried = ""
        self._get_client = get_client

    @cached_property
    def _client(self) -> "MlflowClient":
        """MLflow's client, made when something is to be written: its import takes two seconds."""
        if self._get_client is None:
            raise StorageError(f"the runs in {self.where}: opened for reading only")
        return self._get_client()

    @classmethod
    def open(cls, options: TrackingOptions, home: Path, *, waits: bool = False) -> Self:
        """Open the store, and make it and the experiment if they are not there.

        Args:
            options: Which.
            home: The folder of a local one.
            waits: Whether to wait for a server that is away, as long as `tracking.patience` says; once it is open,
                every call does.

        Raises:
            RequestError: the store does not answer, cannot be written, is damaged or of another version of MLflow.
        """
        tell_what_is_ignored()
        place = database.place_of(options.uri, home)
        try:
            if place is None:
                return cls._open_server(options, waits=waits)
            database.prepare(place)
            moved.follow_move(place)
            source, where = SqliteRuns(place), str(place.database)
            for number, tags in source.experiments().items():
                if tags["name"] == options.experiment and needed_tags().keys() <= tags.keys():
                    return cls(source, where, number, lambda: connect(place.uri, where))
            client = connect(place.uri, where)
            return cls(source, where, get_or_create(client, where, options.experiment, place), lambda: client)
        except StorageError as error:
            raise RequestError(str(error)) from error

    @classmethod
    def _open_server(cls, options: TrackingOptions, *, waits: bool) -> Self:
        uri, where = options.uri or "", address.shown(options.uri or "")
        now = options.patience if waits else 0.0
        away = Patience(now, where)
        while True:
            try:
                address.check_answers(uri)
                break
            except address.AwayError as error:
                if not away.wait():
                    raise RequestError(f"{error}{away.waited}") from error
        address.retry_seldom()
        with address.impatient():
            client = connect(uri, where, now)
            experiment_id = get_or_create(client, where, options.experiment, None, now)
        runs: Source = ClientRuns(client, where, options.patience)
        if address.is_server(uri):
            runs = ServerRuns(uri, where, lambda: client, options.patience)
        return cls(runs, where, experiment_id, lambda: client, options.patience)

    @property
    def store_id(self) -> str:
        """The name by which pools know that runs of this experiment use them."""
        return self._source.experiments()[self.experiment_id][STORE]

    @contextmanager
    def run(
        self,
        *,
        name: str,
        fingerprint: str = "",
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, object] | None = None,
        parent_id: str | None = None,
    ) -> Iterator[Run]:
        """Yield a new run, closed at the end of the block with the status that fits how the block ended.

        An error makes it FAILED, with the traceback as artifact and the error as tag `mia.error`; Ctrl-C and SIGTERM
        (which becomes a KeyboardInterrupt here) make it KILLED; the error goes on to the caller.
        """
        with process.terminate_as_interrupt():
            identity = {"mia.fingerprint": fingerprint} if fingerprint else {}
            kind = {"mia.kind": "run", **process.heartbeat()}
            run = self.start(name, {**kind, **identity, **(tags or {})}, parent_id)
            try:
                with run.alive(was_said=True):
                    run.log_params(params or {})
                    yield run
                run.finish()
            except BaseException as error:
                with suppress(StorageError):  # the first error is the one to report
                    run.end_after(error)
                raise

    def start(self, name: str, tags: Mapping[str, object], parent_id: str | None = None) -> Run:
        """Return a new run that stays RUNNING until `finish` is called on it; tags about its origin are added.

        It counts in the sweep whose run's id is given.
        """
        sweep = {ui_views.mark(parent_id): ui_views.COUNTS} if parent_id else {}
        everything = as_tags({**process.describe(), **sweep, **tags})
        now = int(time.time() * 1000)
        made = self._call(self._make, now, {**everything, ATTEMPT: secrets.token_hex(8)}, cut(name, MAX_NAME)).info
        return Run(self._client, self._call, made.run_id, made.run_name, made.artifact_uri, now / 1000)

    def _make(self, now: int, tags: Mapping[str, str], name: str) -> "MlflowRun":
        """Make a run; one that a server made though its answer was lost is taken, not made again."""
        if self._tried == tags[ATTEMPT]:
            condition = f"tags.`{ATTEMPT}` = '{tags[ATTEMPT]}'"
            if found := self._client.search_runs([self.experiment_id], condition, max_results=1):
                return found[0]
        self._tried = tags[ATTEMPT]
        return self._client.create_run(self.experiment_id, now, dict(tags), name)

    def fail(self, name: str, fingerprint: str, reason: str, sweep_id: str | None = None) -> str:
        """Store that a configuration failed before it had a run of its own; return the id of the run that says so."""
        tags = {"mia.kind": "run", "mia.fingerprint": fingerprint, ERROR: " ".join(reason.split())}
        run = self.start(name, tags, sweep_id)
        run.finish("FAILED")
        return run.id

    def open_sweep(
        self,
        name: str,
        fingerprint: str,
        tags: Mapping[str, object] | None = None,
        expected: Mapping[str, str] | None = None,
    ) -> Run:
        """Return the RUNNING run of a sweep: the latest one with this fingerprint, opened again, or a new one.

        Args:
            name: the sweep's.
            fingerprint: of the sweep.
            tags: its command, its question ...
            expected: what it is to run: fingerprint -> name of each configuration.
        """
        opened = {OPENED: int(time.time() * 1000)}
        found = self.runs(kind="sweep", fingerprint=fingerprint, limit=1)
        if not found:
            kind = {"mia.kind": "sweep", "mia.sweep": name, "mia.fingerprint": fingerprint, **opened}
            run = self.start(name, {**kind, **(tags or {})})
        else:
            run = self.resume(found[0])
            if OPENED not in found[0].tags:
                for earlier in self._earlier_members(found[0]):
                    self.link(earlier.id, run.id)
            run.set_tags({**process.describe(), **opened, **(tags or {})})
            for stale in {ERROR, process.HEARTBEAT} & found[0].tags.keys():
                self._call(self._client.delete_tag, run.id, stale)
            self._call(self._client.update_run, run.id, "RUNNING")
        if expected is not None:
            run.log_text(json.dumps(dict(expected), ensure_ascii=False), CONFIGURATIONS)
        return run

    def goes_on_since(self, run: Run, when: float) -> None:
        """Let a sweep's command count as given at an earlier time (seconds since 1970): what it began goes on."""
        run.set_tags({OPENED: int(when * 1000)})

    def resume(self, run: StoredRun | str) -> Run:
        """Return a run that is there, to write to; its status stays as it is."""
        found = self.get(run) if isinstance(run, str) else run
        return Run(self._client, self._call, found.id, found.name, found.artifacts)

    def link(self, run_id: str, sweep_id: str) -> None:
        """Count a finished run among a sweep's runs, though another sweep made it."""
        self._call(self._client.set_tag, run_id, ui_views.mark(sweep_id), ui_views.COUNTS)

    def count(self, sweep_id: str, fingerprint: str, started: float, seconds: float) -> None:
        """Let a sweep's run say that a configuration is finished, where that saves those who look a long read.

        Args:
            sweep_id: The id of the sweep's run.
            fingerprint: Of the configuration.
            started: When its run was, in seconds since 1970.
            seconds: That it took.
        """
        if not isinstance(self._source, SqliteRuns):
            with suppress(StorageError):  # the run is there, and says the same
                step, at = done.step_of(fingerprint), round(started * 1000)
                self._call(self._client.log_metric, sweep_id, done.SECONDS, seconds, at, step)

    @property
    def tags_of_config(self) -> int:
        """How many characters of a config a run should have as a tag: none where its file is as near."""
        return 0 if isinstance(self._source, SqliteRuns) else MAX_TAG

    def reuse(self, found: StoredRun, sweep_id: str | None = None) -> str:
        """Count a finished run among a sweep's; return a warning, and tag the run, if other code made it."""
        if sweep_id and found.tags.get(ui_views.mark(sweep_id)) != ui_views.COUNTS:
            self.link(found.id, sweep_id)
            self.count(sweep_id, found.tags.get("mia.fingerprint", ""), found.started, done.seconds_between(found))
        made, now = (tags.get("mia.git_commit", "") for tags in (found.tags, process.code()))
        if not made or not now or made == now:
            return ""
        if found.tags.get(REUSED) != now:
            self._call(self._client.set_tag, found.id, REUSED, now)
        return f"run {found.id} was made by commit {made[:10]}, not {now[:10]}; rerun=true makes it again"

    def remove(self, run_id: str) -> None:
        """Put a run into MLflow's bin: nothing finds it any more, and MLflow can bring it back."""
        self._call(self._client.delete_run, run_id)

    def close_dead_runs(self) -> list[StoredRun]:
        """Close the runs of every experiment whose process is known to have ended as KILLED, and return them."""
        running = self.running()
        slurm.look_up(run.tags for run in running)
        dead = [run for run in running if process.is_gone(run.tags)]
        for run in dead:
            reason = f"process {run.tags.get('mia.pid')} on {run.tags.get('mia.host')} ended without closing this run"
            if job := slurm.job_here(run.tags.get(slurm.JOB, "")):
                reason += f": SLURM job {job} {slurm.states([job])[job].said}"
            self._call(self._client.set_tag, run.id, ERROR, reason)
            self._call(self._client.set_terminated, run.id, "KILLED")
        return dead

    def prepare_view(
        self,
        title: str,
        axes: Sequence[str],
        leakage: Sequence[str],
        sweep_id: str = "",
        members: Sequence[StoredRun] | None = None,
    ) -> str | None:
        """Store a view that compares a sweep's runs (or all runs); return its link, to follow the UI's address.

        Returns None where that did not work. The sweep's members are read if they are not given.
        """
        if sweep_id:
            self._mark(sweep_id, self.members(sweep_id) if members is None else members)
        tag, value = ui_views.saved_view(title, axes, leakage, sweep_id)
        is_stored = store_view(self._client, self._call, self.experiment_id, tag, value)
        return ui_views.link(self.experiment_id, sweep_id) if is_stored else None

    def _mark(self, sweep_id: str, attempts: Sequence[StoredRun]) -> None:
        """Let one search find the runs that count in a sweep, and no attempts that others have superseded."""
        counted = {run.id for run in latest_attempts(attempts)}
        for run in attempts:
            wanted = ui_views.COUNTS if run.id in counted else ui_views.SUPERSEDED
            if run.tags.get(ui_views.mark(sweep_id)) != wanted:
                self._call(self._client.set_tag, run.id, ui_views.mark(sweep_id), wanted)
