"""What may lie beside a model of a pool: its answers, the target's losses while it trained, all that going on takes.

`<pool>/<kind>/<k>.npz` holds the arrays, `<k>.json`, written last, their checksum and what they are. What is missing or
damaged is as good as not there: the model itself is whole without it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mia.files import IrregularFileError, StorageError, explain, file_digest, whole_file
from mia.store.content import DamagedError, describe, read_answers, read_json, write_json


def write_beside(pool: Path, kind: str, model: int, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays beside a model; they are there when this returns.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    path = _path(pool, kind, model)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    write_json(path.with_suffix(".json"), {"model": model, "sha256": file_digest(path), "holds": describe(arrays)})


def read_beside(pool: Path, kind: str, model: int) -> dict[str, np.ndarray] | None:
    """Return what lies beside a model; None if it is not there, or is not what it was."""
    path = _path(pool, kind, model)
    manifest = read_json(path.with_suffix(".json"))
    holds = manifest.get("holds")
    if manifest.get("model") != model or not isinstance(holds, dict):
        return None
    try:
        if file_digest(path) != manifest.get("sha256"):
            return None
        arrays = read_answers(path, list(holds))
    except (OSError, IrregularFileError, DamagedError):
        return None
    return arrays if describe(arrays) == holds else None


def remove_beside(pool: Path, kind: str, model: int) -> None:
    """Remove what lies beside a model, if anything does.

    Raises:
        StorageError: it cannot be removed.
    """
    path = _path(pool, kind, model)
    try:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return
    except OSError as error:
        raise StorageError(explain(path, error)) from error


def _path(pool: Path, kind: str, model: int) -> Path:
    return pool / kind / f"{model:04d}.npz"
