"""The form of records, which an attacker knows without knowing any: features, their kinds and the values they can take.

Takes the feature groups and the attacker's reference records; gives draws of whole records or of chosen features.
Features are drawn as wholes: a one-hot category with all its columns, a pixel with all its channels. Never sees labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int, Shaped

from mia.records import FeatureGroup

Columns = slice | Int[np.ndarray, "_"]
Table = Shaped[np.ndarray, "B F"]


@dataclass(frozen=True)
class FeatureSpace:
    """G features over F columns of flattened records."""

    dtype: np.dtype
    feature_of_column: Int[np.ndarray, "F"]
    bits: Columns
    numbers: Columns  # and pixels
    low: Shaped[np.ndarray, "c"]  # of the numbers
    high: Shaped[np.ndarray, "c"]
    categories: tuple[tuple[int, int], ...]  # columns [start, stop) of each
    num_features: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "num_features", int(self.feature_of_column.max()) + 1)

    @property
    def num_columns(self) -> int:
        """F."""
        return len(self.feature_of_column)

    def draw_uniform(self, count: int, generator: np.random.Generator) -> Table:
        """Return records whose features are drawn on their own, every value as likely as any other."""
        x = np.zeros((count, self.num_columns), self.dtype)
        if width := _count(self.bits):
            packed = np.frombuffer(generator.bytes(count * -(-width // 8)), np.uint8).reshape(count, -1)
            x[:, self.bits] = np.unpackbits(packed, axis=1)[:, :width]
        if width := _count(self.numbers):
            share = generator.random((count, width), np.float32)
            if self.dtype.kind == "f":
                x[:, self.numbers] = self.low + share * (self.high - self.low)
            else:  # whole numbers: truncated, low and high among them
                x[:, self.numbers] = np.minimum(self.low + share * (self.high - self.low + 1), self.high)
        for start, stop in self.categories:
            x[np.arange(count), start + generator.integers(stop - start, size=count)] = 1
        return x

    def draw_marginal(self, reference: Shaped[np.ndarray, "R F"], count: int, generator: np.random.Generator) -> Table:
        """Return records whose features are drawn on their own, each as it is distributed in the `reference`."""
        chosen = generator.integers(len(reference), size=(count, self.num_features), dtype=np.int32)
        return reference[chosen[:, self.feature_of_column], np.arange(self.num_columns)]

    def choose(self, counts: Int[np.ndarray, "B"], generator: np.random.Generator) -> Bool[np.ndarray, "B F"]:
        """Return the columns of `counts[b]` features of record b, chosen at random without repeats."""
        keys = generator.random((len(counts), self.num_features), np.float32)
        is_chosen = np.zeros(keys.shape, bool)
        for count in np.unique(counts):
            rows = np.flatnonzero(counts == count)
            if count >= self.num_features:
                is_chosen[rows] = True
            elif count:
                is_chosen[rows[:, None], np.argpartition(keys[rows], count - 1, axis=1)[:, :count]] = True
        return is_chosen if self.num_features == self.num_columns else is_chosen[:, self.feature_of_column]


def describe_features(features: Sequence[FeatureGroup], reference: Shaped[np.ndarray, "R *features"]) -> FeatureSpace:
    """Return the space of the records' features.

    Numbers reach from their smallest to their largest value among the `reference` records, pixels from the smallest to
    the largest of all pixels: the attacker knows these ranges. A table without feature groups is one of numbers.
    """
    shape = reference.shape[1:]
    num_columns = int(np.prod(shape))
    flat = reference.reshape(-1, num_columns)
    if len(shape) == 3:
        channels = shape[2]
        of_column = np.arange(num_columns) // channels
        low, high = (np.full(num_columns, value) for value in _range(flat.ravel()))
        return FeatureSpace(reference.dtype, of_column, slice(0, 0), slice(0, num_columns), low, high, ())
    groups = features or [FeatureGroup(f"x{i}", "number", i, i + 1) for i in range(num_columns)]
    of_column = np.repeat(np.arange(len(groups)), [group.stop - group.start for group in groups])
    assert len(of_column) == num_columns, "the feature groups cover all columns, in order"
    bits, numbers = (_columns(groups, kind) for kind in ("bit", "number"))
    low, high = _range(flat[:, numbers])
    categories = tuple((group.start, group.stop) for group in groups if group.kind == "category")
    return FeatureSpace(reference.dtype, of_column, bits, numbers, low, high, categories)


def _range(values: Shaped[np.ndarray, "R *c"]) -> tuple[np.ndarray, np.ndarray]:
    if not values.size:
        return np.zeros(values.shape[1:], np.float32), np.zeros(values.shape[1:], np.float32)
    return values.min(axis=0).astype(np.float32), values.max(axis=0).astype(np.float32)


def _columns(groups: Sequence[FeatureGroup], kind: str) -> Columns:
    """Return the columns of a kind, as a slice where they lie side by side (much faster to write to)."""
    columns = np.array([c for group in groups if group.kind == kind for c in range(group.start, group.stop)], np.int64)
    if len(columns) and columns[-1] - columns[0] + 1 == len(columns):
        return slice(int(columns[0]), int(columns[-1]) + 1)
    return columns


def _count(columns: Columns) -> int:
    return columns.stop - columns.start if isinstance(columns, slice) else len(columns)
