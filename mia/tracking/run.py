"""A run that is being written: numbers, notes and files of one experiment.

Takes plain values and arrays; everything is in the store when a method returns, files whole or not at all. Raises
`StorageError`, one line, when the store fails. Decides nothing.
"""

import csv
import io
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from mia.files import whole_file
from mia.tracking.calls import Calls
from mia.tracking.moved import local_path
from mia.tracking.names import (
    MAX_TAG,
    METRICS_PER_BATCH,
    PARAMS_PER_BATCH,
    as_params,
    as_tags,
    batches,
    clean_name,
    cut_lines,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking.client import MlflowClient


class Run:
    """One run in the store."""

    def __init__(self, client: "MlflowClient", calls: Calls, made: "MlflowRun") -> None:
        self._client = client
        self._call = calls
        self.id: str = made.info.run_id
        self.name: str = made.info.run_name
        self.folder = local_path(made.info.artifact_uri)  # of its files; None where a server keeps them

    def log_params(self, params: Mapping[str, object]) -> None:
        """Store what the run was asked to do; a param can be set once."""
        from mlflow.entities import Param

        for batch in batches((Param(name, value) for name, value in as_params(params).items()), PARAMS_PER_BATCH):
            self._call(self._client.log_batch, self.id, params=batch)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Store one value for each name, at a step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._log(Metric(clean_name(name), float(value), now, step) for name, value in metrics.items())

    def log_curves(self, curves: Mapping[str, Float[np.ndarray, "E"] | Sequence[float]]) -> None:
        """Store whole curves, whose steps are counted from 0. Their names must not be those of single values."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._log(
            Metric(clean_name(name), float(value), now, step)
            for name, curve in curves.items()
            for step, value in enumerate(curve)
        )

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Store tags; a tag can be set again."""
        from mlflow.entities import RunTag

        for batch in batches((RunTag(name, value) for name, value in as_tags(tags).items()), PARAMS_PER_BATCH):
            self._call(self._client.log_batch, self.id, tags=batch)

    def set_note(self, markdown: str) -> None:
        """Show a text on the run's page; lines that MLflow cannot hold are left out, and it says so."""
        self.set_tags({"mlflow.note.content": cut_lines(markdown, MAX_TAG, "_The rest is in the run's artifacts._")})

    def log_bytes(self, name: str, content: bytes) -> None:
        """Store bytes as a file."""
        with self._destination(name) as path:
            path.write_bytes(content)

    def log_text(self, text: str, name: str) -> None:
        """Store a text as a file."""
        self.log_bytes(name, text.encode())

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

    def _log(self, metrics: Iterator["Metric"]) -> None:
        for batch in batches(metrics, METRICS_PER_BATCH):
            self._call(self._client.log_batch, self.id, metrics=batch)

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
