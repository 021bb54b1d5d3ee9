"""The store of runs: opens it, finds runs, starts them, closes those whose process has died.

Takes options and the `mlruns` folder; gives `Run`s to write to and `StoredRun`s to read. What is wrong with the store
is said when it is opened (`RequestError`), before anything is trained; what goes wrong later is a `StorageError`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from mia.checks import RequestError
from mia.files import StorageError
from mia.records import StoredRun
from mia.tracking import context, database, moved, server, view
from mia.tracking.calls import connect
from mia.tracking.ending import close_after, terminate_as_interrupt
from mia.tracking.experiment import get_or_create, store_view
from mia.tracking.names import MAX_NAME, as_tags, cut
from mia.tracking.options import TrackingOptions
from mia.tracking.reading import LINK, Reader
from mia.tracking.run import Run

REUSED = "mia.reused_by_commit"  # a tag of a finished run that was not repeated, though the code has changed since


class Tracker(Reader):
    """One MLflow experiment in one store, to be written to as well."""

    @classmethod
    def open(cls, options: TrackingOptions, home: Path) -> Self:
        """Open the store, and make it and the experiment if they are not there.

        Raises:
            RequestError: the store does not answer, cannot be written, is damaged or of another version of MLflow.
        """
        place = database.place_of(options.uri, home)
        try:
            if place is None:
                uri = options.uri or ""
                server.check_answers(uri)
                with server.impatient():
                    client = connect(uri, uri)
                    return cls(client, uri, get_or_create(client, uri, options.experiment, None))
            database.prepare(place)
            moved.follow_move(place)
            where = str(place.database)
            client = connect(place.uri, where)
            return cls(client, where, get_or_create(client, where, options.experiment, place))
        except StorageError as error:
            raise RequestError(str(error)) from error

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
        with terminate_as_interrupt():
            identity = {"mia.fingerprint": fingerprint} if fingerprint else {}
            run = self.start(name, {"mia.kind": "run", **identity, **(tags or {})}, parent_id)
            try:
                run.log_params(params or {})
                yield run
                run.finish()
            except BaseException as error:
                with suppress(StorageError):  # the first error is the one to report
                    close_after(run, error)
                raise

    def start(self, name: str, tags: Mapping[str, object], parent_id: str | None = None) -> Run:
        """Return a new run that stays RUNNING until `finish` is called on it; tags about its origin are added."""
        parent = {"mlflow.parentRunId": parent_id} if parent_id else {}
        everything = as_tags({**context.describe(), **parent, **tags})
        made = self._call(
            self._client.create_run, self.experiment_id, int(time.time() * 1000), everything, cut(name, MAX_NAME)
        )
        return Run(self._client, self._call, made)

    def fail(self, name: str, fingerprint: str, reason: str, sweep_id: str | None = None) -> str:
        """Store that a configuration failed before it had a run of its own; return the id of the run that says so."""
        run = self.start(name, {"mia.kind": "run", "mia.fingerprint": fingerprint, "mia.error": reason}, sweep_id)
        run.finish("FAILED")
        return run.id

    def open_sweep(
        self,
        name: str,
        fingerprint: str,
        tags: Mapping[str, object] | None = None,
        expected: Mapping[str, str] | None = None,
    ) -> Run:
        """Return the RUNNING run of a sweep: the latest one with this fingerprint, opened again, or a new one."""
        tags = {"mia.opened": int(time.time() * 1000), **(tags or {})}
        if expected is not None:
            tags["mia.expected"] = ",".join(expected)
        found = self.runs(kind="sweep", fingerprint=fingerprint, limit=1)
        if not found:
            kind = {"mia.kind": "sweep", "mia.sweep": name, "mia.fingerprint": fingerprint}
            return self.start(name, {**kind, **(tags or {})})
        run = self.resume(found[0].id)
        run.set_tags({**context.describe(), **(tags or {})})
        self._call(self._client.update_run, run.id, "RUNNING")
        return run

    def resume(self, run_id: str) -> Run:
        """Return a run that is there, to write to; its status stays as it is."""
        return Run(self._client, self._call, self._call(self._client.get_run, run_id))

    def link(self, run_id: str, sweep_id: str) -> None:
        """Count a finished run among a sweep's runs, though another sweep made it."""
        self._call(self._client.set_tag, sweep_id, f"{LINK}{run_id}", "true")

    def reuse(self, found: StoredRun, sweep_id: str | None = None) -> str:
        """Count a finished run among a sweep's; return a warning, and tag the run, if other code made it."""
        if sweep_id and found.tags.get("mlflow.parentRunId") != sweep_id:
            self.link(found.id, sweep_id)
        made, now = (tags.get("mia.git_commit", "") for tags in (found.tags, context.code()))
        if not made or not now or made == now:
            return ""
        if found.tags.get(REUSED) != now:
            self._call(self._client.set_tag, found.id, REUSED, now)
        return f"run {found.id} was made by commit {made[:10]}, not {now[:10]}; rerun=true makes it again"

    def close_dead_runs(self) -> list[StoredRun]:
        """Close the runs of every experiment whose process on this machine has gone as KILLED, and return them."""
        dead = [run for run in self.running() if context.is_gone(run.tags)]
        for run in dead:
            reason = f"process {run.tags['mia.pid']} on {run.tags['mia.host']} ended without closing this run"
            self._call(self._client.set_tag, run.id, "mia.error", reason)
            self._call(self._client.set_terminated, run.id, "KILLED")
        return dead

    def _mark(self, sweep_id: str) -> None:
        """Tag the runs that count in a sweep, linked ones too, and no others, so that one search finds them."""
        tag, counted = view.mark(sweep_id), self.children(sweep_id)
        for run in counted:
            if tag not in run.tags:
                self._call(self._client.set_tag, run.id, tag, "true")
        for run_id in {run.id for run in self._search(view.condition(sweep_id))} - {run.id for run in counted}:
            self._call(self._client.delete_tag, run_id, tag)  # it was tried again

    def prepare_view(self, title: str, axes: Sequence[str], leakage: Sequence[str], sweep_id: str = "") -> str | None:
        """Store a view that compares a sweep's runs (or all runs); return its link, to follow the UI's address.

        Returns None where that did not work.
        """
        if sweep_id:
            self._mark(sweep_id)
        tag, value = view.saved_view(title, axes, leakage, sweep_id)
        is_stored = store_view(self._client, self._call, self.experiment_id, tag, value)
        return view.link(self.experiment_id, sweep_id) if is_stored else None
