"""Columns of a table become features: one-hot categories, standardised numbers, bits as they are.

Means and deviations are taken over all records, members and non-members alike. That tells a model nothing about who is
a member: the map from raw to encoded values is the same fixed affine function for every model, it is fitted before
anybody is drawn, and it treats all records alike, so membership stays independent of the encoded data. (Fitting it on
the target's training half would hand its mean to the attacker.) The same holds for the list of a category's values.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from mia.records import FeatureGroup

MISSING = "?"
"""The value that stands for a missing category; it is a category of its own."""


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
    for column in columns:
        for name, kind, block in _encode(column):
            stop = start + block.shape[1]
            groups.append(FeatureGroup(name, kind, start, stop))
            blocks.append(block)
            start = stop
    return np.concatenate(blocks, axis=1), tuple(groups)


def _encode(column: Column) -> list[tuple[str, str, np.ndarray]]:
    if column.kind == "bit":
        return [(column.name, "bit", column.values.astype(np.uint8)[:, None])]
    if column.kind == "category":
        known, codes = np.unique(column.values, return_inverse=True)
        one_hot = np.zeros((len(codes), len(known)), np.uint8)
        one_hot[np.arange(len(codes)), codes] = 1
        return [(column.name, "category", one_hot)]
    is_missing = np.isnan(column.values)
    parts = [(column.name, "number", _standardise(column.values)[:, None])]
    if is_missing.any():
        parts.append((f"{column.name} is missing", "bit", is_missing.astype(np.uint8)[:, None]))
    return parts


def _standardise(values: np.ndarray) -> np.ndarray:
    """Return mean 0 and deviation 1 (0 where all are equal), missing values at the mean."""
    if np.nanmin(values) == np.nanmax(values):  # rounding would give a deviation that is not quite 0
        return np.zeros(len(values), np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        deviation = np.nanstd(values)
    if not 1e-150 < deviation < np.inf:  # the squares are out of range, as those of 1e200 and 1e-200 are
        values = values / np.nanmax(np.abs(values))
        deviation = np.nanstd(values)
    return np.nan_to_num((values - np.nanmean(values)) / deviation).astype(np.float32)
