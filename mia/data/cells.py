"""The cells of one column: Arrow arrays become texts and codes, or numbers, without a thought about what they mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int

from mia.checks import RequestError
from mia.data.words import is_plain

if TYPE_CHECKING:
    import pyarrow as pa

_CELLS_AT_ONCE = 1 << 16  # of columns side by side: short ones are many, and each call costs


@dataclass(frozen=True)
class Cells:
    """The cells of one column of text."""

    texts: list[str]  # different ones
    codes: Int[np.ndarray, "N"]  # the text of each record; -1: missing

    def tidy(self, missing: frozenset[str], strip: Callable[[str], str] = str.strip) -> "Cells":
        """Return the same without blanks around texts; what is empty then, or listed, is missing."""
        places: dict[str, int] = {}
        moved = [
            -1 if not (bare := text.strip()) or bare in missing else places.setdefault(strip(text), len(places))
            for text in self.texts
        ]
        return Cells(list(places), np.array([*moved, -1])[self.codes])

    @property
    def counts(self) -> Int[np.ndarray, "U"]:
        """How many records hold each text."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    def spread(self, values: np.ndarray) -> Float64[np.ndarray, "N"]:
        """Return each record's value, of one value per text."""
        return np.append(values, np.nan)[self.codes]


def is_text(array: "pa.Array") -> bool:
    """Tell whether a column holds text."""
    return str(array.type) in ("string", "large_string", "string_view")


def as_text(array: "pa.Array", what: str) -> "pa.Array":
    """Return values as text, True and False with a capital; a NaN is missing.

    Raises:
        RequestError: `what` holds lists or other things that are no text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if str(array.type) == "bool":
        return pc.if_else(array, "True", "False")
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    try:
        return array.cast(pa.string())
    except pa.ArrowException as error:
        raise RequestError(f"{what} holds values of type {array.type}, which are no text; convert it") from error


def cells_of(array: "pa.Array", what: str, missing: frozenset[str] = frozenset()) -> Cells:
    """Return the different texts of a column and which record holds which."""
    encoded = as_text(array, what).dictionary_encode()
    codes = encoded.indices.fill_null(-1) if encoded.null_count else encoded.indices
    return Cells(encoded.dictionary.to_pylist(), codes.to_numpy(zero_copy_only=False)).tidy(missing, str.lstrip)


def plain_numbers(arrays: Sequence["pa.Array"], missing: frozenset[str]) -> list[Float64[np.ndarray, "N"] | None]:
    """Return the numbers of columns of text that are written as programs write them; None for all others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not arrays:
        return []
    length = len(arrays[0])
    at_once = max(1, _CELLS_AT_ONCE // max(1, length))
    if len(arrays) > at_once:
        return [
            one
            for start in range(0, len(arrays), at_once)
            for one in plain_numbers(arrays[start : start + at_once], missing)
        ]
    flat = pc.utf8_trim_whitespace(pa.concat_arrays([array.cast(pa.string()) for array in arrays]))
    is_missing = pc.is_in(flat, value_set=pa.array(["", *missing], pa.string()))
    return _cast(pc.if_else(is_missing, None, flat), len(arrays))


def _cast(flat: "pa.Array", count: int) -> list[Float64[np.ndarray, "N"] | None]:
    import pyarrow as pa

    length = len(flat) // count
    try:
        values = flat.cast(pa.float64())
    except pa.ArrowInvalid:
        if count == 1:
            return [None]
        half = count // 2
        return _cast(flat.slice(0, half * length), half) + _cast(flat.slice(half * length), count - half)
    block = values.to_numpy(zero_copy_only=False).reshape(count, length)
    is_empty = values.is_null().to_numpy(zero_copy_only=False).reshape(count, length)
    is_good = (np.isfinite(block) | is_empty).all(axis=1) & ~is_empty.all(axis=1)  # "nan" and "inf" are words
    return [block[i] if is_good[i] else None for i in range(count)]


def quantities(array: "pa.Array", what: str, advice: str, missing: frozenset[str]) -> Float64[np.ndarray, "N"]:
    """Return the values of a column of numbers, or the days since 1970 of one of dates; NaN is missing."""
    import pyarrow as pa
    import pyarrow.types as kinds

    if kinds.is_date(array.type) or kinds.is_timestamp(array.type):
        moments = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
        return moments.to_numpy(zero_copy_only=False) / 86_400e6
    if not (kinds.is_integer(array.type) or kinds.is_floating(array.type) or kinds.is_decimal(array.type)):
        raise RequestError(f"{what} holds values of type {array.type}; convert it, or leave it out: {advice}")
    values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    for text in missing:
        if is_plain(text):
            values = np.where(values == float(text), np.nan, values)
    return values
