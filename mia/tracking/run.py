"""A run that is being written: numbers, notes and files of one experiment.

Takes plain values and arrays; everything is in the store when a method returns, files whole or not at all. Raises
`StorageError`, one line, when the store fails. Decides nothing.
"""

import csv
import io
import json
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from jaxtyping import Float, Shaped

from mia.files import StorageError, whole_file
from mia.records import Dataset
from mia.tracking import process
from mia.tracking.address import without_secrets
from mia.tracking.mlflow_errors import Calls, is_raced
from mia.tracking.moved import local_path
from mia.tracking.names import (
    MAX_TAG,
    METRICS_PER_BATCH,
    PARAMS_PER_BATCH,
    as_params,
    as_tags,
    batches,
    clean_name,
    cut,
    cut_lines,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking.client import MlflowClient

Entity: TypeAlias = Union["Metric", "Param", "RunTag"]
ERROR = "mia.error"  # a tag: why a run failed, in one line
DOING = "mia.doing"  # a tag: what a run was doing when it last said that it lives, for people
KINDS = {"Metric": "metrics", "Param": "params", "RunTag": "tags"}
MAX_DATASET, MAX_DIGEST = 500, 36


class StoppedError(Exception):
    """Whoever makes a run has ended it early and on purpose: nothing is broken."""


INTERRUPTS = (KeyboardInterrupt, SystemExit, GeneratorExit, StoppedError)
"""What ends a run that is not broken."""


class Run:
    """One run in the store."""

    def __init__(
        self, client: "MlflowClient", calls: Calls, run_id: str, name: str, uri: str, started: float = 0.0
    ) -> None:
        self._client = client
        self._call = calls
        self._held: list[Entity] | None = None
        self.id = run_id
        self.name = name
        self.started = started  # in seconds since 1970; 0 for one that was resumed
        self.doing: Callable[[], str] | None = None  # asked every minute of `alive`
        self.folder = local_path(uri)  # of its files; None where a server keeps them

    @property
    def where(self) -> str:
        """The store that keeps the run, for people, without secrets."""
        return self._call.where

    @contextmanager
    def together(self) -> Iterator[None]:
        """Store the numbers and tags of the block at its end, in as few calls as can be: each costs as much as 500."""
        if self._held is not None:
            yield
            return
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            self._write(held)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Store what the run was asked to do; a param can be set once."""
        from mlflow.entities import Param

        self._write([Param(name, value) for name, value in as_params(params).items()])

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Store one value for each name, at a step."""
        self.log_curves({name: [float(value)] for name, value in metrics.items()}, step)

    def log_curves(self, curves: Mapping[str, Float[np.ndarray, "E"] | Sequence[float | int]], first: int = 0) -> None:
        """Store whole curves, whose steps are counted from `first`. Their names must not be those of single values."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._write(
            [
                Metric(clean_name(name), float(value), now, step)
                for name, curve in curves.items()
                for step, value in enumerate(curve, start=first)
            ]
        )

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Store tags; a tag can be set again."""
        from mlflow.entities import RunTag

        self._write([RunTag(name, value) for name, value in as_tags(tags).items()])

    def log_dataset(self, data: Dataset) -> None:
        """Store what the run was trained on as MLflow's input: its name, fingerprint, records, features and classes."""
        from mlflow.entities import Dataset as MlflowDataset
        from mlflow.entities import DatasetInput, InputTag

        shapes = {"features": data.x, "targets": data.y}
        schema = {
            name: json.dumps(
                [{"type": "tensor", "tensor-spec": {"dtype": array.dtype.name, "shape": [-1, *array.shape[1:]]}}]
            )
            for name, array in shapes.items()
        }
        profile = {
            "num_rows": len(data.x),
            "num_classes": data.num_classes,
            "features_shape": list(data.x.shape),
            "features_nbytes": data.x.nbytes,
            "kind": "images" if data.is_image else "table",
        }
        described = MlflowDataset(
            name=cut(data.name or "unnamed", MAX_DATASET),
            digest=data.fingerprint[:MAX_DIGEST],
            source_type="code",
            source=json.dumps({"tags": {"mlflow.source.name": "mia"}}),
            schema=json.dumps({"mlflow_tensorspec": schema}),
            profile=json.dumps(profile),
        )
        inputs = [DatasetInput(described, [InputTag("mlflow.data.context", "training")])]
        try:
            self._call(self._client.log_inputs, self.id, datasets=inputs)
        except StorageError as error:
            if not is_raced(error):
                raise
            self._call(self._client.log_inputs, self.id, datasets=inputs)  # it is found now

    def set_note(self, markdown: str) -> None:
        """Show a text on the run's page; lines that MLflow cannot hold are left out, and it says so."""
        self.set_tags({"mlflow.note.content": cut_lines(markdown, MAX_TAG, "_The rest is in the run's artifacts._")})

    def log_bytes(self, name: str, content: bytes) -> None:
        """Store bytes as a file."""
        with self._destination(name) as path:
            path.write_bytes(content)

    def log_text(self, text: str, name: str) -> None:
        """Store a text as a file; the addresses in a config (.yaml) without their secrets."""
        self.log_bytes(name, (without_secrets(text) if name.endswith(".yaml") else text).encode())

    def log_arrays(self, name: str, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> None:
        """Store arrays in one compressed .npz file."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        self.log_bytes(name, buffer.getvalue())

    def log_table(self, rows: Sequence[Mapping[str, object]], name: str) -> None:
        """Store rows as a CSV file, with every column that some row has."""
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, list(dict.fromkeys(column for row in rows for column in row)))
        writer.writeheader()
        writer.writerows(rows)
        self.log_bytes(name, buffer.getvalue().encode())

    def finish(self, status: str = "FINISHED") -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self._call(self._client.set_terminated, self.id, status)

    def end_after(self, error: BaseException) -> None:
        """Close a run that did not get to its end: FAILED with its traceback, or KILLED; the error is its tag."""
        is_interrupt = isinstance(error, INTERRUPTS)
        first_line = (str(error).splitlines() or [""])[0]
        if is_interrupt:
            with self._call.hurry():
                self._end_after(error, first_line)
        else:
            self._end_after(error, first_line)
            self.log_text(without_secrets("".join(traceback.format_exception(error))), "traceback.txt")

    def _end_after(self, error: BaseException, first_line: str) -> None:
        is_interrupt = isinstance(error, INTERRUPTS)
        self.finish("KILLED" if is_interrupt else "FAILED")
        kind = [] if isinstance(error, StoppedError) else [type(error).__name__]
        self.set_tags({ERROR: ": ".join([*kind, *([first_line] if first_line else [])])})

    @contextmanager
    def alive(self, *, was_said: bool = False) -> Iterator[None]:
        """Say in the store that this process lives, for those who cannot see it: every minute, and sooner at the start.

        A run that has once said so counts as dead when it has been silent for `process.LEASE_SECONDS`.
        """
        ended = threading.Event()
        if not was_said:
            self.set_tags(process.heartbeat())

        def beat() -> None:
            pause = min(process.FIRST_BEAT_SECONDS, process.BEAT_SECONDS)
            while not ended.wait(pause):
                pause = min(2 * pause, process.BEAT_SECONDS)
                doing = {DOING: self.doing()} if self.doing else {}
                for name, value in {**process.heartbeat(), **as_tags(doing)}.items():
                    with suppress(Exception):  # the next one may get through; whoever works with the run will be told
                        self._client.set_tag(self.id, name, value)

        thread = threading.Thread(target=beat, name=f"heartbeat of {self.id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(timeout=5)  # it may be waiting for a server

    def _write(self, entities: Sequence[Entity]) -> None:
        if self._held is not None:
            self._held += entities
            return
        kinds = {"metrics": METRICS_PER_BATCH, "params": PARAMS_PER_BATCH, "tags": PARAMS_PER_BATCH}
        of_kind: dict[str, list[Entity]] = {kind: [] for kind in kinds}
        for one in entities:
            of_kind[KINDS[type(one).__name__]].append(one)
        for some in zip_longest(*(batches(of_kind[kind], size) for kind, size in kinds.items()), fillvalue=()):
            chosen: dict[str, Any] = dict(zip(kinds, map(list, some), strict=True))
            self._call(self._client.log_batch, self.id, **chosen)

    @contextmanager
    def _destination(self, name: str) -> Iterator[Path]:
        """Yield a path to write to; what is there at the end becomes the artifact."""
        if self.folder is not None:
            with whole_file(self.folder / name) as path:
                yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            yield path
            parent = Path(name).parent.as_posix()
            self._call(self._client.log_artifact, self.id, str(path), None if parent == "." else parent)
