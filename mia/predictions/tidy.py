"""One array at a time: outputs, labels and membership, as people save them, into what attacks take.

Takes anything `numpy.asarray` takes; gives checked arrays, and a note for everything that had to be read in some way.
Refuses, in one line that names the array and its value, what cannot be meant.
"""

import re
from typing import Any

import numpy as np
from jaxtyping import Float, Int8, Shaped

from mia.checks import RequestError
from mia.predictions.reading import widen_bfloat16
from mia.records import IN, OUT, UNUSED

SUM_TOLERANCE = 1e-3  # from which a sum of probabilities is worth a note
MOST = 1e100
"""The largest logit or loss: squares of larger ones are infinite."""
_ROUNDING = 1e-6  # below 0 by so little is an error of rounding
_NAME = re.compile(r"[\w .+()-]+")
KINDS = ("logits", "probabilities", "losses")


def as_array(name: str, given: Any) -> Shaped[np.ndarray, "..."]:
    """Return what is given as an array; bfloat16 and objects that are text or numbers become plain.

    Raises:
        RequestError: it cannot be an array of numbers or text.
    """
    if hasattr(given, "detach"):  # a torch tensor, perhaps with gradients, on another device or in bfloat16
        given = given.detach().cpu()
        given = given.float() if str(given.dtype) == "torch.bfloat16" else given
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(f"{name} cannot be read as an array: {' '.join(str(error).split())}") from error
    is_untyped = array.dtype.kind == "V" and array.dtype.itemsize == 2 and array.dtype.names is None
    if array.dtype.name == "bfloat16" or is_untyped:  # as which .npy files hold it
        return widen_bfloat16(np.ascontiguousarray(array).view(np.uint16))
    if array.dtype == object:
        return _plain(name, array)
    if array.dtype.kind not in "fiubUS":
        raise RequestError(f"{name} has type {array.dtype}; it must hold numbers (or text, for labels and names)")
    return array


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array of Python objects as numbers or as text."""
    values = array.ravel().tolist()
    if all(isinstance(value, str) for value in values):
        return array.astype(str)
    try:
        plain = np.array([float(value) for value in values])
    except (TypeError, ValueError) as error:
        strange = next((value for value in values if not isinstance(value, int | float)), None)
        raise RequestError(
            f"{name} holds Python objects, such as {strange!r} of type {type(strange).__name__}: give numbers, or text"
        ) from error
    return plain.reshape(array.shape)


def tidy_outputs(name: str, given: Any, kind: str, num_axes: int, notes: list[str]) -> Float[np.ndarray, "*R C"]:
    """Return outputs as float32 or float64, with an axis of at least two classes (losses: of one, with minus the loss).

    Args:
        name: What to call them.
        given: [N C], or [K N C] where `num_axes` is 3; of two classes, the class axis may be left out or have length 1:
            then it is the second class's logit or probability. Losses: one axis less.
        kind: Of `KINDS`.
        num_axes: Of what is returned.
        notes: Gets a line for what was read in some way.

    Raises:
        RequestError: other shapes or types, values that cannot be.
    """
    array = as_array(name, given)
    axes = num_axes - 1 if kind == "losses" else num_axes
    if array.dtype.kind not in "fiu" or array.ndim not in ({axes} if kind == "losses" else {axes, axes - 1}):
        what = " ".join("KNC"[3 - num_axes :][:axes])
        raise RequestError(f"{name} has shape {array.shape} and type {array.dtype}, not numbers [{what}]")
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        is_small = array.dtype.itemsize <= (2 if array.dtype.kind in "iu" else 4)  # so that float32 holds it all
        array = array.astype(np.float32 if is_small else np.float64)
    if not np.isfinite(array).all():
        raise RequestError(f"{name} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
    if kind == "losses":
        _check_size(name, array)
        return -array[..., None]
    if array.ndim < num_axes:
        array = array[..., None]
    if not array.shape[-1]:
        raise RequestError(f"{name} has shape {array.shape}: no class at all")
    if kind == "probabilities":
        _check_range(name, array)
        array = array if array.min(initial=0) >= 0 else np.maximum(array, 0)
    else:
        _check_size(name, array)
        _refuse_probabilities(name, array)
    if array.shape[-1] == 1:
        other = 1 - array if kind == "probabilities" else np.zeros_like(array)
        array = np.concatenate([other, array], axis=-1)
        notes.append(f"{name} has one column: taken for the {kind} of the second of two classes")
    elif kind == "probabilities":
        notes += _sums(name, array)
    return array


def _check_size(name: str, array: np.ndarray) -> None:
    largest = max(float(array.max(initial=0)), -float(array.min(initial=0)))
    if largest > MOST:
        raise RequestError(
            f"{name} holds values as large as {largest:.3g}; {MOST:g} is the most that can be computed with"
        )


def _refuse_probabilities(name: str, array: np.ndarray) -> None:
    """Refuse logits that are probabilities: all attacks would run, and find something else."""
    if array.shape[-1] == 1 or not array.size or array.min() < 0 or array.max() > 1:
        return
    if (np.abs(array.sum(axis=-1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all():
        other = name.replace("logits", "probabilities") if "logits" in name else "kind=probabilities"
        raise RequestError(f"{name} lie between 0 and 1 and sum to 1: these are probabilities; call them {other}")


def _check_range(name: str, array: np.ndarray) -> None:
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if low < -_ROUNDING or high > 1 + 1e-2:
        worst = low if low < 0 else high
        is_percent = low >= 0 and array.shape[-1] > 1 and np.allclose(array.sum(axis=-1), 100, atol=1)
        doubt = "are they per cent? divide by 100" if is_percent else "are they logits?"
        raise RequestError(f"{name} must lie between 0 and 1; it holds {worst:.4g}: {doubt}")


def _sums(name: str, array: np.ndarray) -> list[str]:
    sums = array.sum(axis=-1, dtype=np.float64)
    off = np.abs(sums - 1)
    if off.max(initial=0) <= SUM_TOLERANCE:
        return []
    worst, count = float(sums.flat[off.argmax()]), int((off > SUM_TOLERANCE).sum())
    share = f"{count:,} of {sums.size:,}"
    return [f"{name}: {share} answers do not sum to 1 (the worst to {worst:.4g}): taken as they are"]


def tidy_member(name: str, given: Any, shape: tuple[int | None, ...]) -> Int8[np.ndarray, "..."]:
    """Return membership: 1, 0, or -1 for what is not to be used.

    Raises:
        RequestError: another shape, or other values.
    """
    array = as_array(name, given)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise RequestError(f"{name} has shape {array.shape}, the other arrays ask for ({wanted})")
    if array.dtype.kind not in "iufb":
        raise RequestError(f"{name} has type {array.dtype}, it must hold 1, 0 or -1")
    wrong = [value for value in np.unique(array).tolist() if value not in (UNUSED, OUT, IN)]
    if wrong:
        raise RequestError(f"{name} holds {wrong[0]!r}, it must hold 1, 0 or -1")
    return array.astype(np.int8)


def tidy_column(name: str, given: Any, count: int) -> Shaped[np.ndarray, "N"]:
    """Return one value per record: whose it is, what it is called, which slice it belongs to.

    Raises:
        RequestError: another shape.
    """
    array = as_array(name, given)
    if array.shape != (count,):
        raise RequestError(f"{name} has shape {array.shape}, the other arrays ask for ({count},)")
    if array.dtype.kind in "US":
        return np.array(as_texts(name, array))
    if array.dtype.kind == "f" and name in ("groups", "index") and np.isnan(array).any():
        raise RequestError(f"{name} has no value in {int(np.isnan(array).sum()):,} of {count:,} records")
    return array


def as_texts(name: str, array: np.ndarray) -> list[str]:
    """Return the values of an array [*] as text that can be shown.

    Raises:
        RequestError: text that is empty, not printable, or bytes that are no UTF-8.
    """
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in array.ravel()]
    odd = next((text for text in set(texts) if not text.strip() or not text.isprintable() or "\ufffd" in text), None)
    if odd is not None:
        raise RequestError(f"{name} holds text that is empty or not printable: {odd[:80]!r}")
    return texts


def check_name(name: str, what: str) -> str:
    """Return a name of an array that is to be shown and stored.

    Raises:
        RequestError: it has other letters than names of metrics and files may.
    """
    if not _NAME.fullmatch(name) or not name.strip():
        raise RequestError(f"{what} {name[:80]!r} must be a name of letters, digits, spaces and _ . + ( ) -")
    return name
