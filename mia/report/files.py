"""The files of stored runs that figures need.

Takes a callable that finds a run's file, gives arrays and rows; never opens pickles. A file that is missing or damaged
is None: its run is left out of the figure.
"""

import csv
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mia.records import StoredRun
from mia.report.classes import Row

Fetch = Callable[[StoredRun, str], Path | None]
"""Finds an artifact of a run; None where it has none."""


def no_files(run: StoredRun, name: str) -> None:
    """Find nothing: for summaries of numbers alone."""


class Files:
    """Reads the artifacts of runs, each once; what is missing or cannot be read is None."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._scores: dict[str, Mapping[str, np.ndarray] | None] = {}
        self._tables: dict[str, Sequence[Row] | None] = {}

    def scores(self, run: StoredRun) -> Mapping[str, np.ndarray] | None:
        """Return the arrays of a run's scores.npz."""
        if run.id not in self._scores:
            path = self._fetch(run, "scores.npz")
            self._scores[run.id] = None if path is None else _read_arrays(path)
        return self._scores[run.id]

    def per_class(self, run: StoredRun) -> Sequence[Row] | None:
        """Return the rows of a run's per_class.csv."""
        if run.id not in self._tables:
            path = self._fetch(run, "per_class.csv")
            self._tables[run.id] = None if path is None else _read_rows(path)
        return self._tables[run.id]


def _read_arrays(path: Path) -> Mapping[str, np.ndarray] | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
    return arrays if "member" in arrays else None


def _read_rows(path: Path) -> Sequence[Row] | None:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        return None
