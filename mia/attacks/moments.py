"""Means, medians and standard deviations over some of the models: those in a mask of models by records.

Takes values and a mask; gives one float64 number per record, NaN where there are too few models for it. Goes through
the models one by one, so that nothing of the size of the values is made.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

CHUNK = 4096
"""Records whose values over all models are sorted at a time."""


def count_models(is_used: Bool[np.ndarray, "K N"]) -> Int[np.ndarray, "N"]:
    """Return the number of models used per record."""
    return np.count_nonzero(is_used, axis=0)


def masked_mean(values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
    """Return the mean over the models used; NaN where there is none."""
    total = np.zeros(values.shape[1])
    for row, used in zip(values, is_used, strict=True):
        np.add(total, row, out=total, where=used)
    return _divide(total, count_models(is_used))


def masked_median(values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
    """Return the median over the models used; NaN where there is none."""
    count = count_models(is_used)
    median = np.full(values.shape[1], np.nan)
    for start in range(0, len(median), CHUNK):
        part = slice(start, start + CHUNK)
        ordered = np.sort(np.where(is_used[:, part], values[:, part], np.inf).T, axis=1)  # those not used come last
        some = np.flatnonzero(count[part])
        number = count[part][some]
        median[part][some] = (ordered[some, (number - 1) // 2] + ordered[some, number // 2]) / 2
    return median


def masked_std(values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
    """Return the population standard deviation over the models used; NaN where there are fewer than two."""
    mean, total = masked_mean(values, is_used), np.zeros(values.shape[1])
    for row, used in zip(values, is_used, strict=True):
        np.add(total, (row - mean) ** 2, out=total, where=used)
    count = count_models(is_used)
    return np.sqrt(_divide(total, np.where(count > 1, count, 0)))


def pooled_std(
    values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"], location: Float[np.ndarray, "N"]
) -> float:
    """Return one population standard deviation of all distances from the records' `location`s.

    A record with one model counts with a distance of zero. NaN where no record has two.
    """
    if count_models(is_used).max(initial=0) < 2:
        return np.nan
    count = total = squares = 0.0
    for row, used in zip(values, is_used, strict=True):
        distances = (row - location)[used]
        count += len(distances)
        total += distances.sum()
        squares += (distances**2).sum()
    return float(np.sqrt(max(squares / count - (total / count) ** 2, 0)))


def _divide(total: Float[np.ndarray, "N"], count: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
