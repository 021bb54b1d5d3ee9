"""Columns of a table become features: one-hot categories, standardised numbers, bits as they are.

Means and deviations are taken over all records, members and non-members alike. That tells a model nothing about who is
a member: the map from raw to encoded values is the same fixed affine function for every model, it is fitted before
anybody is drawn, and it treats all records alike, so membership stays independent of the encoded data. (Fitting it on
the target's training half would hand its mean to the attacker.) The same holds for the list of a category's values.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Shaped

from mia.records import FeatureGroup

MISSING = "?"
"""The value that stands for a missing category; it is a category of its own."""
_BLOCK = 1 << 22  # numbers that are standardised at once


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: str  # "number" (NaN is missing), "category" or "bit"
    values: Shaped[np.ndarray, "N"]  # float64, text, or 0 and 1


def encode(columns: list[Column]) -> tuple[np.ndarray, tuple[FeatureGroup, ...]]:
    """Return the features [N F] and what each of their columns means.

    float32 where there are numbers, else uint8. A number that is missing becomes the mean (0), and a bit beside it says
    so.
    """
    blocks: list[np.ndarray] = []
    groups: list[FeatureGroup] = []
    start = 0
    for name, kind, block in _parts(columns):
        stop = start + (block.shape[1] if block.ndim == 2 else 1)
        groups.append(FeatureGroup(name, kind, start, stop))
        blocks.append(block)
        start = stop
    x = np.empty((len(columns[0].values), start), np.result_type(*{block.dtype for block in blocks}))
    for group, block in zip(groups, blocks, strict=True):
        x[:, group.start : group.stop] = block if block.ndim == 2 else block[:, None]
    return x, tuple(groups)


def _parts(columns: list[Column]) -> Iterator[tuple[str, str, np.ndarray]]:
    for column, standardised in zip(columns, _standardised(columns), strict=True):
        if column.kind == "bit":
            yield column.name, "bit", column.values.astype(np.uint8)
        elif column.kind == "category":
            known, codes = np.unique(column.values, return_inverse=True)
            one_hot = np.zeros((len(codes), len(known)), np.uint8)
            one_hot[np.arange(len(codes)), codes] = 1
            yield column.name, "category", one_hot
        else:
            assert standardised is not None
            yield column.name, "number", standardised
            is_missing = np.isnan(column.values)
            if is_missing.any():
                yield f"{column.name} is missing", "bit", is_missing.astype(np.uint8)


def _standardised(columns: list[Column]) -> Iterator[Float32[np.ndarray, "N"] | None]:
    """Yield every number standardised and None for the rest; numbers side by side are done at once."""
    at_once = max(1, _BLOCK // max(1, len(columns[0].values)))
    for start in range(0, len(columns), at_once):
        some = columns[start : start + at_once]
        numbers = [column.values for column in some if column.kind == "number"]
        done = iter(standardise(np.stack(numbers)) if numbers else [])
        for column in some:
            yield next(done) if column.kind == "number" else None


def standardise(values: Float[np.ndarray, "F N"]) -> Float32[np.ndarray, "F N"]:
    """Return rows of mean 0 and deviation 1 (0 where all are equal), missing values (NaN) at the mean."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        deviation = np.nanstd(values, axis=1)
        is_odd = ~((deviation > 1e-150) & (deviation < np.inf))  # the squares are out of range, as those of 1e200 are
        if is_odd.any():
            values = values.copy()
            largest = np.nanmax(np.abs(values[is_odd]), axis=1, keepdims=True)
            values[is_odd] /= np.where(largest == 0, 1, largest)
            deviation[is_odd] = np.nanstd(values[is_odd], axis=1)
        is_constant = np.nanmin(values, axis=1) == np.nanmax(values, axis=1)
        deviation[is_constant] = 1  # rounding would give one that is not quite 0
        result = (values - np.nanmean(values, axis=1, keepdims=True)) / deviation[:, None]
    result[is_constant] = 0
    return np.nan_to_num(result).astype(np.float32)
