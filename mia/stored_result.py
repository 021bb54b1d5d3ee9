"""A stored run read back as a `Result`: what its artifacts hold, and nothing made up.

Takes a run and a callable that finds its files; never opens a pickle. Stores nothing itself.
"""

import dataclasses
import io
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from mia.checks import RequestError
from mia.records import CURVES, Curves, Result, Scores, StoredRun
from mia.tables import number, read_rows

DAMAGED = (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error)
"""What reading a file of arrays raises that is not one any more."""
Fetch = Callable[[StoredRun, str], Path | None]
"""Finds an artifact of a run; None where it has none."""
History = Callable[[str, str], list[float]]
"""Takes a run's id and a metric, gives all its values."""
LOSS_AUC = "curve/loss_auc"


def stored_result(run: StoredRun, fetch: Fetch, history: History | None = None) -> Result:
    """Return the result of a stored run, as far as its artifacts hold it.

    Args:
        run: The run.
        fetch: Finds its files.
        history: For runs whose files lack the leakage by epoch.

    Raises:
        FileNotFoundError: it has no scores.
        RequestError: a file of arrays is damaged.
    """
    path = fetch(run, "scores.npz")
    if path is None:
        raise FileNotFoundError(f"run {run.id} has no scores.npz")
    tables = {name: read_rows(fetch(run, f"{name}.csv")) for name in ("records", "per_class", "growth", "slices")}
    arrays, stored = _sound(path, ("index", "member")), fetch(run, "curves.npz")
    curves = Curves(**_sound(stored, CURVES)) if stored else None
    if history and curves and curves.loss_auc is None and LOSS_AUC in run.metrics:
        curves = dataclasses.replace(curves, loss_auc=np.array(history(run.id, LOSS_AUC)))
    index, member = arrays.pop("index"), arrays.pop("member").astype(bool)
    by_index = {row["index"]: row for row in tables["records"]}
    rows = [by_index.get(str(k), {}) for k in index]
    nobody = np.zeros(len(index), int)
    return Result(
        metrics=run.metrics, index=index, is_member=member,
        labels=np.array([int(row.get("label", 0)) for row in rows], int),
        confidence=np.array([number(row.get("confidence")) for row in rows]),
        scores={name: Scores(score, None, nobody, nobody) for name, score in arrays.items()},
        per_class=tables["per_class"], curves=curves, shadow_accuracy=None,
        class_names=(), warnings=tuple(filter(None, run.tags.get("mia.warnings", "").splitlines())),
        growth=[{key: value if key == "attack" else float(value) for key, value in row.items() if value}
                for row in tables["growth"]],
        slices=tables["slices"],
    )  # fmt: skip


def curves_file(curves: Curves) -> bytes:
    """Return the content of `curves.npz`, which `stored_result` reads."""
    buffer, kept = io.BytesIO(), {name: one for name, one in vars(curves).items() if one is not None}
    np.savez_compressed(buffer, allow_pickle=False, **kept)
    return buffer.getvalue()


def stored_scores(run: StoredRun, fetch: Fetch, attacks: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return `index`, `member` and the scores of attacks of a run; nothing where they are missing or damaged.

    Args:
        run: The run.
        fetch: Finds its files.
        attacks: Whose scores are read; by default all.
    """
    path = fetch(run, "scores.npz")
    try:
        arrays = _arrays(path, None if attacks is None else {"index", "member", *attacks}) if path else {}
    except DAMAGED:
        return {}
    return arrays if {"index", "member"} <= arrays.keys() else {}


def _sound(path: Path, needed: Collection[str]) -> dict[str, np.ndarray]:
    """Return all arrays of a file.

    Raises:
        RequestError: it is damaged.
    """
    try:
        arrays = _arrays(path)
    except DAMAGED as error:
        raise RequestError(f"{path} is damaged: it cannot be read as an .npz file of arrays; run the same again with "
                           "rerun=true") from error  # fmt: skip
    if missing := [name for name in needed if name not in arrays]:
        raise RequestError(f"{path} is damaged: it lacks {' and '.join(missing)}; run the same again with rerun=true")
    return arrays


def _arrays(path: Path, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    with path.open("rb") as content, np.load(content, allow_pickle=False) as file:  # numpy leaves damaged files open
        return {name: file[name] for name in file.files if wanted is None or name in wanted}
