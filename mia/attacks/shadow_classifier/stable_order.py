"""An order of shadows and of their rows that depends on what they hold, never on where they stand.

Takes signals and a seed; gives keys to sort by. Keys are pseudo-random numbers made of the answers' own bits, so the
first rows of an order are a random sample of them, and a file with its records or shadows shuffled gives the same fits.
"""

import numpy as np
from jaxtyping import Int, Shaped, UInt64

from mia.records import Signals


class Hasher:
    """Turns rows of numbers into pseudo-random 64-bit keys, by coefficients drawn from a seed."""

    def __init__(self, seed: int, num_columns: int) -> None:
        generator = np.random.default_rng(seed)
        self._coefficients = generator.integers(0, 2**64, num_columns + 2, dtype=np.uint64) | np.uint64(1)

    def rows(
        self,
        outputs: Shaped[np.ndarray, "R C"],
        labels: Int[np.ndarray, "R"],
        membership: Shaped[np.ndarray, "R"],
    ) -> UInt64[np.ndarray, "R"]:
        """Return a key per row; rows that are alike in everything get the same."""
        is_single = outputs.dtype == np.float32
        outputs = np.ascontiguousarray(outputs, np.float32 if is_single else np.float64)
        bits = outputs.view(np.uint32 if is_single else np.uint64)
        keys = labels.astype(np.uint64) * self._coefficients[-2] + membership.astype(np.uint64) * self._coefficients[-1]
        for column, coefficient in zip(bits.T, self._coefficients, strict=False):
            keys += _mix(column.astype(np.uint64) + coefficient)
        return _mix(keys)


def sort_shadows(signals: Signals, hasher: Hasher) -> Int[np.ndarray, "K"]:
    """Return the shadows' positions in an order made of what they say about their own records."""
    keys = np.zeros(signals.num_shadows, np.uint64)
    for shadow, own in enumerate(signals.shadow_own):
        records = np.flatnonzero(own)
        outputs = signals.shadow_outputs[shadow][records]
        membership = signals.shadow_membership[shadow][records]
        keys[shadow] = hasher.rows(
            outputs, signals.labels[records], membership
        ).sum()  # wraps; any order gives the same
    return np.argsort(keys, kind="stable")


def tell_apart(keys: UInt64[np.ndarray, "R"]) -> UInt64[np.ndarray, "R"]:
    """Return keys of which equal ones were made different, by their count.

    A defended model gives many records the same answer: were their keys the same, a sample by key would hold all of
    them or none.
    """
    order = np.argsort(keys, kind="stable")
    is_first = np.ones(len(keys), bool)
    is_first[1:] = keys[order][1:] != keys[order][:-1]
    start = np.maximum.accumulate(np.where(is_first, np.arange(len(keys)), 0))
    count = np.empty(len(keys), np.uint64)
    count[order] = np.arange(len(keys)) - start
    return _mix(keys + count * np.uint64(0x9E3779B97F4A7C15))


def _mix(keys: UInt64[np.ndarray, "R"]) -> UInt64[np.ndarray, "R"]:
    """Spread the bits (the finaliser of SplitMix64; Steele, Lea, Flood 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))
