"""The last check of every loader: a `Dataset` that holds together, or one line that says what is wrong with it."""

import numpy as np

from mia.checks import RequestError
from mia.records import Dataset

SMALLEST = 4
"""Records of the smallest possible experiment: target in and out, shadow in and out, one each."""


def validate(dataset: Dataset, where: str) -> Dataset:
    """Return `dataset`, checked.

    Args:
        dataset: what a loader made.
        where: the config key and value that the messages begin with, such as `data.path='x.npz'`.

    Raises:
        RequestError: lengths differ, records are too few, values are not finite, or labels are not 0 .. C-1 with
            every class present and at least two classes.
    """
    x, y = dataset.x, dataset.y
    assert x.dtype in (np.uint8, np.float32), x.dtype
    assert y.dtype == np.int32, y.dtype
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


def one_line(error: BaseException) -> str:
    """Return an error's text on one line, cut where it is long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
