"""Means, medians and standard deviations over some of the models: those in a mask of models by records.

Takes values and a mask; gives one float64 number per record, or per group of records, NaN where there are too few
models for it. Equal values have that very value as their mean, however many there are: sums are over distances from one
of them. Goes through the models one by one, or through a few records at a time, so that nothing of the size of the
values is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

CHUNK = 4096
"""Records whose values over all models are sorted at a time."""
BLOCK = 2**17
"""Values over all models that are worked on at a time: a megabyte, which stays in the processor's cache."""
NOT_USED = -1e308
"""What a value of a model that is not used counts as where the highest is sought."""


@dataclass(frozen=True)
class Moments:
    """Mean and spread over the models used."""

    count: Int[np.ndarray, "N"]
    mean: Float[np.ndarray, "N"]  # NaN where there is none
    std: Float[np.ndarray, "N"]  # population standard deviation; NaN where there are fewer than two
    pooled: float  # one of all distances from the means; NaN where no record has two


def count_models(is_used: Bool[np.ndarray, "K N"]) -> Int[np.ndarray, "N"]:
    """Return the number of models used per record."""
    return is_used.sum(axis=0, dtype=np.int32)


def masked_mean(values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
    """Return the mean over the models used; NaN where there is none."""
    one_of_them = values[is_used.argmax(axis=0), np.arange(values.shape[1])]
    return one_of_them + _divide(_masked_sum(values, is_used, one_of_them), count_models(is_used))


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


def masked_std(
    values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"], mean: Float[np.ndarray, "N"] | None = None
) -> Float[np.ndarray, "N"]:
    """Return the population standard deviation over the models used; NaN where there are fewer than two.

    `mean`: The mean over the models used, where it is known.
    """
    count = count_models(is_used)
    squares = _masked_sum(values, is_used, masked_mean(values, is_used) if mean is None else mean, power=2)
    return np.sqrt(_divide(squares, np.where(count > 1, count, 0)))


def masked_moments(values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"]) -> Moments:
    """Return what `masked_mean`, `masked_std` and `pooled_std` do, to the last bit, in one go over the values."""
    count = count_models(is_used)
    mean, total, squares = (np.empty(values.shape[1]) for _ in range(3))
    for part, used, distance in _blocks(is_used):
        one_of_them = values[is_used[:, part].argmax(axis=0), np.arange(part.start, part.stop)]
        np.multiply(np.subtract(values[:, part], one_of_them, out=distance), used, out=distance)
        mean[part] = one_of_them + _divide(distance.sum(axis=0), count[part])
        np.subtract(values[:, part], np.nan_to_num(mean[part]), out=distance)
        np.multiply(distance, used, out=distance)
        distance.sum(axis=0, out=total[part])
        np.multiply(distance, distance, out=distance).sum(axis=0, out=squares[part])
    std = np.sqrt(_divide(squares, np.where(count > 1, count, 0)))
    return Moments(count, mean, std, _pooled(count, total, squares))


def pooled_std(
    values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"], location: Float[np.ndarray, "N"]
) -> float:
    """Return one population standard deviation of all distances from the records' `location`s.

    A record with one model counts with a distance of zero. NaN where no record has two.
    """
    count = count_models(is_used)
    if count.max(initial=0) < 2:
        return np.nan
    known = np.nan_to_num(location)  # of records without models, which no sum holds
    total, squares = (_masked_sum(values, is_used, known, power=power) for power in (1, 2))
    return _pooled(count, total, squares)


def masked_log_mean_exp(values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"]) -> Float[np.ndarray, "N"]:
    """Return log of the mean of exp over the models used; NaN where there is none."""
    count = count_models(is_used)
    highest, total = (np.empty(values.shape[1]) for _ in range(2))
    for part, used, term in _blocks(is_used):
        np.multiply(np.subtract(used, 1, out=term), -NOT_USED, out=term)  # 0 where it is used
        np.add(values[:, part], term, out=term)
        highest[part] = np.where(count[part] > 0, term.max(axis=0, initial=NOT_USED), 0)
        np.subtract(values[:, part], highest[part], out=term)
        np.exp(np.minimum(term, 0, out=term), out=term)  # above 0 are models that are not used
        np.multiply(term, used, out=term).sum(axis=0, out=total[part])
    return highest + np.log(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))


def grouped_mean(
    values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"], group: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "G"]:
    """Return the mean over the models used and all records of a group, counted from 0; NaN where there is none."""
    some = np.flatnonzero(is_used.any(axis=0))
    one_of_them = np.zeros(group.max(initial=-1) + 1)
    one_of_them[group[some]] = values[is_used.argmax(axis=0)[some], some]
    total = np.bincount(group, _masked_sum(values, is_used, one_of_them[group]), minlength=len(one_of_them))
    return one_of_them + _divide(total, _count_grouped(is_used, group))


def grouped_std(
    values: Float[np.ndarray, "K N"],
    is_used: Bool[np.ndarray, "K N"],
    group: Int[np.ndarray, "N"],
    mean: Float[np.ndarray, "G"],
) -> Float[np.ndarray, "G"]:
    """Return the population standard deviation likewise; NaN where there are fewer than two values."""
    count = _count_grouped(is_used, group)
    squares = _masked_sum(values, is_used, np.nan_to_num(mean)[group], power=2)
    squares = np.bincount(group, squares, minlength=len(mean))
    return np.sqrt(_divide(squares, np.where(count > 1, count, 0)))


def grouped_median(
    values: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"], group: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "G"]:
    """Return the median likewise; NaN where there is none."""
    median = np.full(group.max(initial=-1) + 1, np.nan)
    for number in range(len(median)):
        mine = np.flatnonzero(group == number)
        chosen = values[:, mine][is_used[:, mine]]
        if len(chosen):
            median[number] = np.median(chosen)
    return median


def _count_grouped(is_used: Bool[np.ndarray, "K N"], group: Int[np.ndarray, "N"]) -> Int[np.ndarray, "G"]:
    return np.bincount(group, count_models(is_used), minlength=group.max(initial=-1) + 1).astype(np.int64)


def _masked_sum(
    values: Float[np.ndarray, "K N"],
    is_used: Bool[np.ndarray, "K N"],
    location: Float[np.ndarray, "N"],
    power: int = 1,
) -> Float[np.ndarray, "N"]:
    """Sum the first or second powers of the distances from `location`; products are five times faster than a mask."""
    total, term = np.zeros(values.shape[1]), np.empty(values.shape[1])
    for row, used in zip(values, is_used, strict=True):
        np.multiply(np.subtract(row, location, out=term), used, out=term)
        total += term if power == 1 else np.multiply(term, term, out=term)
    return total


def _blocks(
    is_used: Bool[np.ndarray, "K N"],
) -> Iterator[tuple[slice, Float[np.ndarray, "K n"], Float[np.ndarray, "K n"]]]:
    """Yield some records at a time: where they are, 1 for each model used and 0 for the others, and room to work in.

    Never one record alone, unless there are no others: NumPy adds a single column up in another order.
    """
    models, records = is_used.shape
    width = max(BLOCK // max(models, 1), 64)
    room = np.empty((2, models, min(width, records)))
    start = 0
    while start < records:
        stop = min(start + width, records)
        stop -= stop == records - 1
        used, free = room[:, :, : stop - start]
        used[:] = is_used[:, start:stop]
        yield slice(start, stop), used, free
        start = stop


def _pooled(count: Int[np.ndarray, "N"], total: Float[np.ndarray, "N"], squares: Float[np.ndarray, "N"]) -> float:
    if count.max(initial=0) < 2:
        return np.nan
    return float(np.sqrt(max(squares.sum() / count.sum() - (total.sum() / count.sum()) ** 2, 0)))


def _divide(total: Float[np.ndarray, "N"], count: Int[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
