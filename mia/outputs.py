"""What a result leaves in a folder, to be handed on: numbers, scores, tables, a page and a fragment for a model card.

Takes a `Result`; gives files, and writes them whole. Decides nothing.
"""

import io
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mia.checks import RequestError
from mia.files import StorageError, whole_file
from mia.model_card import About, model_card, verdict
from mia.records import Result
from mia.tables import result_tables

ALWAYS = {"metrics.json", "model-card.md", "audit.html"}
"""Files that every result has: where they lie together, a result was written before."""
SOMETIMES = {"growth.csv", "slices.csv", "overlap.csv", "run.html"}
"""Files that not every result has."""


def folder_files(result: Result, about: About, made: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Return the files of `out=DIR` by name; `made`: those that were made before, its tables among them.

    `metrics.json` (flat names), `scores.npz` (one array per attack over the candidates, and their `index`),
    `records.csv`, `per_class.csv`, `model-card.md`, `audit.html`, and `growth.csv`, `slices.csv`, `overlap.csv` if any.
    """
    metrics = {name: value for name, value in result.metrics.items() if not math.isnan(value)}
    texts = {
        "metrics.json": json.dumps(metrics, indent=1, sort_keys=True) + "\n",
        "model-card.md": model_card(result, about),
        **({} if made else result_tables(result)),
        "audit.html": audit_page(result, about),
    }
    buffer = io.BytesIO()
    scores = {name: one.score for name, one in result.scores.items()}
    np.savez(buffer, allow_pickle=False, **{"index": result.index, **scores})
    kept = {name: content for name, content in (made or {}).items() if name != "run.html"}  # audit.html says the same
    return {**kept, "scores.npz": buffer.getvalue(), **{name: text.encode() for name, text in texts.items()}}


def audit_page(result: Result, about: About) -> str:
    """Return the page of one audit: what was asked, the verdict with its interval, then what a run's page shows."""
    from mia.report.run import run_page

    asked = ", ".join(filter(None, [about.model, about.data and f"trained on {about.data}"]))
    question = "\n".join(filter(None, [asked, verdict(result)]))
    return run_page(result, title=f"Audit of {about.model or 'a model'}", command=about.command, question=question)


def check_given(key: str, path: str) -> Path:
    """Return the path that was typed.

    Raises:
        RequestError: nothing was (an empty path would be the current folder), or what no file can be called.
    """
    if not path.strip():
        raise RequestError(f"{key}={path} is empty: give the path to write to")
    try:
        Path(path).exists()
    except OSError as error:
        raise RequestError(f"{key}={path} cannot be written: {error.strerror}") from error
    return Path(path)


def check_file(path: Path, key: str = "out") -> Path:
    """Return the path of a file that can be made and written to; nothing is left there yet.

    Raises:
        RequestError: it is a folder, or lies where nothing can be made.
    """
    if path.is_dir():
        raise RequestError(f"{key}={path} is a folder: give the path of a file")
    check_writable(path.parent, key)
    return path


def check_writable(folder: Path, key: str = "out") -> Path:
    """Return a folder that can be made and written to; nothing is left there yet.

    Raises:
        RequestError: it is a file, or lies where nothing can be made.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists() or path.is_symlink())
    if not there.is_dir():
        raise RequestError(f"{key}={folder} cannot be made: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RequestError(f"{key}={folder} cannot be written: no permission in {there}")
    try:  # some file systems say that they can be written, and cannot
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise RequestError(f"{key}={folder} cannot be written: {there}: {error.strerror}") from error
    return folder


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, each whole or not at all; what an earlier result left there goes.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    try:
        is_ours = all((folder / name).exists() for name in files if name in ALWAYS)
        for name in SOMETIMES - files.keys() if is_ours else ():
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            with whole_file(folder / name) as path:
                path.write_bytes(content)
    except StorageError as error:
        reason = error.__cause__.strerror if isinstance(error.__cause__, OSError) else str(error)
        raise StorageError(
            f"{folder} cannot be written: {reason}; free space there, or choose another folder"
        ) from error
