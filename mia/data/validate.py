"""The last check of every loader: a `Dataset` that holds together, or one line that says what is wrong with it."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mia.checks import RequestError
from mia.data.words import is_plain
from mia.records import Dataset

_LOOK_ALIKE = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0430\u0435\u043e\u0440\u0441\u0443\u0445"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "ABEKMHOPCTXaeopcyx" + "ABEZHIKMNOPTYX",
)
"""Cyrillic and Greek letters, and the Latin ones that they look like."""
SMALLEST = 4
"""Records of the smallest possible experiment: target in and out, shadow in and out, one each."""


def validate(dataset: Dataset, where: str) -> Dataset:
    """Return `dataset`, checked.

    Args:
        dataset: what a loader made.
        where: the config key and value that the messages begin with, such as `data.path='x.npz'`.

    Raises:
        RequestError: lengths differ, records are too few, values are not finite, labels are not 0 .. C-1 with
            every class present and at least two classes, or groups or slices are not one value per record.
    """
    if not isinstance(dataset, Dataset):
        raise RequestError(f"{where} must become a Dataset; its loader returned {type(dataset).__name__}")
    x, y = dataset.x, dataset.y
    if x.dtype not in (np.uint8, np.float32) or y.dtype != np.int32:
        raise RequestError(
            f"{where} holds x of type {x.dtype} and y of {y.dtype}; they must be uint8 or float32, int32"
        )
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise RequestError(f"{where} holds x of shape {x.shape}; it must be [records, features] or more, none empty")
    if y.ndim != 1:
        raise RequestError(f"{where} holds y of shape {y.shape}; it must be [records]")
    if len(x) != len(y):
        raise RequestError(f"{where} holds {len(x):,} records in x but {len(y):,} labels in y; they must be as many")
    if len(x) < SMALLEST:
        raise RequestError(f"{where} holds {len(x)} records; the smallest experiment needs {SMALLEST}")
    _check_finite(x, where)
    _check_labels(dataset, where)
    _check_beside(dataset, where)
    return dataset


def _check_finite(x: np.ndarray, where: str) -> None:
    if x.dtype == np.uint8:
        return
    is_bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if is_bad.any():
        raise RequestError(
            f"{where} holds NaN or infinite values in {is_bad.sum():,} of {len(x):,} records, first in record "
            f"{is_bad.argmax()}; every value must be a finite number"
        )


def _check_labels(dataset: Dataset, where: str) -> None:
    y, num_classes = dataset.y, dataset.num_classes
    if y.min() < 0 or y.max() >= num_classes:
        raise RequestError(
            f"{where} holds labels from {y.min()} to {y.max()}; they must be the integers 0 to {num_classes - 1}"
        )
    if num_classes < 2:
        raise RequestError(f"{where} holds one class only; there must be two or more")
    present = np.unique(y)
    if len(present) < num_classes:
        absent = np.flatnonzero(present != np.arange(len(present)))
        gap = absent[0] if len(absent) else len(present)
        raise RequestError(
            f"{where} holds no record of class {gap}; labels must be 0 .. {num_classes - 1} without gaps"
        )
    if dataset.class_names and len(dataset.class_names) != num_classes:
        raise RequestError(
            f"{where} holds {len(dataset.class_names)} class names for {num_classes} classes; they must be as many"
        )


def _check_beside(dataset: Dataset, where: str) -> None:
    """Refuse groups and slices that do not stand beside the records."""
    groups = {} if dataset.groups is None else {"groups": dataset.groups}
    for name, values in {**groups, **{f"slice {one}": values for one, values in dataset.slices.items()}}.items():
        if np.shape(values) != dataset.y.shape:
            raise RequestError(f"{where} holds {name} of shape {np.shape(values)}; they must be {dataset.y.shape}")
    if groups and (dataset.groups.dtype.kind not in "iu" or dataset.groups.min() < 0):  # type: ignore[union-attr]
        raise RequestError(f"{where} holds groups that are not integers from 0; they say whose each record is")


def finish(dataset: Dataset, where: str, duplicates: str = "keep") -> Dataset:
    """Return somebody's own data set, checked, without copies if they are not wanted, and with notes.

    Args:
        dataset: what a loader made.
        where: what messages begin with.
        duplicates: "keep", or "drop" records that are exact copies of an earlier one.

    Raises:
        RequestError: as `validate` does.
    """
    validate(dataset, where)
    notes = [*dataset.notes]
    count = dataset.duplicates()
    if count and duplicates == "drop":
        dataset = take(dataset, dataset.first_copy == np.arange(len(dataset.x)))
        notes.append(f"{count:,} records, exact copies of earlier ones, were left out (data.duplicates=drop)")
        validate(dataset, f"{where} without copies")
    elif count:
        notes.append(
            f"{count:,} of {len(dataset.x):,} records ({count / len(dataset.x):.1%}) are exact copies of earlier ones: "
            "of a member, those among the non-members count as non-members; data.duplicates=drop leaves them out"
        )
    notes += _identical_classes(dataset)
    notes += [
        f"there are classes that differ by a dot, a space or case: {alike}" for alike in variants(dataset.class_names)
    ]
    return replace(dataset, notes=tuple(notes))


def take(dataset: Dataset, which: np.ndarray) -> Dataset:
    """Return the records that `which` [N] says."""
    groups = (
        None if dataset.groups is None else np.unique(dataset.groups[which], return_inverse=True)[1].astype(np.int32)
    )
    slices = {name: values[which] for name, values in dataset.slices.items()}
    return replace(dataset, x=dataset.x[which], y=dataset.y[which], groups=groups, slices=slices)


def _identical_classes(dataset: Dataset) -> list[str]:
    """Return a line for the classes all of whose records are one."""
    firsts = np.unique(np.stack([dataset.y, dataset.first_copy]), axis=1)[0]
    alike = [
        dataset.class_names[label] if dataset.class_names else str(label)
        for label in np.flatnonzero((np.bincount(firsts) == 1) & (np.bincount(dataset.y) > 1))
    ]
    return [f"all records are identical in {len(alike)} classes: {some(alike)}"] if alike else []


def variants(names: Iterable[str]) -> list[str]:
    """Return the names that are the same but for dots, spaces, case and the like, each lot as one text."""
    alike = defaultdict(list)
    for name in names:
        alike[str(float(name)) if is_plain(name) and abs(float(name)) < np.inf else _bare(name) or name].append(name)
    return [" and ".join(map(repr, lot)) for lot in alike.values() if len(lot) > 1]


def _bare(name: str) -> str:
    """Return what of a name tells it apart: not accents' spelling, alphabets that look alike, quotes, blanks, ends."""
    text = unicodedata.normalize("NFKC", name).translate(_LOOK_ALIKE).casefold()
    text = "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Cc"))
    text = re.sub(r"[\s_\"'`\u2018\u2019\u201c\u201d]+|(?<!\d)\.|\.(?!\d)|(?<=[^\W\d])-(?=[^\W\d])|[;,!:]+$", "", text)
    return str(float(text)) if is_plain(text) and abs(float(text)) < np.inf else text


def some(names: Iterable[str], most: int = 5) -> str:
    """Return the first names as one text."""
    listed = [repr(name) for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most:,} more" if len(listed) > most else "")


def locate(path: str, where: str, what: str) -> Path:
    """Return the path of a file or folder that is there.

    Raises:
        RequestError: there is none, or no path can be so.
    """
    try:
        location = Path(path).expanduser()
        if location.is_file() or location.is_dir():
            return location
        problem = "is neither a file nor a folder" if location.exists() else "does not exist"
    except (OSError, RuntimeError, ValueError) as error:
        problem = f"cannot be looked for ({one_line(error)})"
    raise RequestError(f"{where} {problem}; it must be {what}")


def one_line(error: BaseException) -> str:
    """Return an error's text on one line, cut where it is long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
