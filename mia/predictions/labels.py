"""The true classes of records and the names of classes, as people save them, into class numbers.

Takes anything `numpy.asarray` takes; gives checked arrays, and a note for everything that had to be read in some way.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from mia.checks import RequestError
from mia.predictions.tidy import as_array, as_texts


def tidy_names(given: Any, num_classes: int) -> tuple[str, ...]:
    """Return the names of the classes, in the order of the outputs' columns.

    Raises:
        RequestError: another number of them, a name twice, or one row per model.
    """
    array = as_array("class_names", given)
    if array.ndim > 1:
        raise RequestError(
            f"class_names has shape {array.shape}: all models must have their columns in one order, [{num_classes}]; "
            "reorder the columns of the others before saving"
        )
    texts = as_texts("class_names", array)
    if len(texts) != num_classes:
        raise RequestError(f"class_names has {len(texts)} names for {num_classes} classes")
    twice = [text for text in texts if texts.count(text) > 1]
    if twice:
        raise RequestError(f"class_names holds {twice[0]!r} twice")
    return tuple(texts)


def tidy_labels(
    name: str, given: Any, count: int, num_classes: int, names: Sequence[str], notes: list[str]
) -> tuple[Int[np.ndarray, "N"], tuple[str, ...]]:
    """Return labels as class numbers from 0, and the classes' names.

    Numbers that are all among `names` are names; others from 1 to C count from 1. One-hot rows count as the class they
    mark. Text, and other numbers, are names: those of `names`, or, where there are as many as columns, in sorted order,
    as scikit-learn has them.

    Raises:
        RequestError: another shape, or names whose columns cannot be known.
    """
    array = _one_per_record(name, as_array(name, given), count, num_classes, notes)
    if array.dtype.kind in "US":
        return _from_names(name, np.array(as_texts(name, array)), num_classes, names, notes)
    values = np.unique(array)
    if array.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise RequestError(f"{name} holds {_first_odd(values)!r}; labels are class numbers or names")
    low, high = (int(values[0]), int(values[-1])) if len(values) else (0, 0)
    whole = array if array.dtype.kind in "iu" else array.astype(np.int64)
    if _are_names(values, names):
        return _from_names(name, whole, num_classes, names, notes)
    if low >= 0 and high < num_classes:
        if low == 1 and high == num_classes - 1 and count >= 10 * num_classes:
            notes.append(f"{name} never holds 0, the first column: if they count from 1, subtract 1")
        return array.astype(np.int32), tuple(names)
    if low >= 1 and high == num_classes:
        notes.append(f"{name} runs to {high} for {num_classes} classes: taken as counted from 1")
        return (array - 1).astype(np.int32), tuple(names)
    if len(values) == num_classes or names:
        return _from_names(name, whole, num_classes, names, notes)
    raise RequestError(
        f"{name} holds {low if low < 0 else high}, which is none of the {num_classes} columns, counted from 0: "
        "give class_names in the order of the columns"
    )


def _one_per_record(name: str, array: np.ndarray, count: int, num_classes: int, notes: list[str]) -> np.ndarray:
    """Return labels that may be a column or one-hot rows as one value per record."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape == (count, num_classes) and array.dtype.kind in "iufb":
        array = _from_one_hot(name, array, notes)
    if array.shape != (count,):
        raise RequestError(f"{name} has shape {array.shape}, the other arrays ask for ({count},)")
    return array


def _are_names(values: np.ndarray, names: Sequence[str]) -> bool:
    """Tell whether numbers are all among the classes' names, and not just the columns that they would be anyway."""
    texts = [str(int(value)) for value in values]
    return bool(names) and set(texts) <= set(names) and any(names.index(text) != int(text) for text in texts)


def _first_odd(values: np.ndarray) -> float:
    return float(next(value for value in values if not np.isfinite(value) or value != round(value)))


def _from_one_hot(name: str, array: np.ndarray, notes: list[str]) -> np.ndarray:
    is_marked = array == 1
    if not (is_marked.sum(axis=1) == 1).all() or not (is_marked | (array == 0)).all():
        raise RequestError(
            f"{name} has shape {array.shape} but not one 1 among zeros in each row, as one-hot labels do"
        )
    notes.append(f"{name} is one-hot: taken for the class of each row's 1")
    return is_marked.argmax(axis=1)


def _from_names(
    name: str, array: np.ndarray, num_classes: int, names: Sequence[str], notes: list[str]
) -> tuple[Int[np.ndarray, "N"], tuple[str, ...]]:
    """Return the positions of names among the classes'."""
    found = np.unique(array)
    texts = [str(value) for value in found]
    if names:
        strange = [text for text in texts if text not in names]
        if strange:
            raise RequestError(f"{name} holds {strange[0]!r}, which is none of class_names ({_few(names)})")
        order = {text: position for position, text in enumerate(names)}
        return np.array([order[text] for text in texts], np.int32)[np.searchsorted(found, array)], tuple(names)
    if len(texts) != num_classes:
        raise RequestError(
            f"{name} holds {len(texts)} different names ({_few(texts)}) for {num_classes} columns: give class_names in "
            "the order of the columns"
        )
    notes.append(
        f"{name} holds names: the columns are taken to be in their sorted order, {_few(texts)}; class_names would say"
    )
    return np.searchsorted(found, array).astype(np.int32), tuple(texts)


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
