"""The choice of C and gamma: jointly, by the mean accuracy over folds that never split a shadow.

Takes rows and their folds; gives the pair. `full` fits every pair on all rows; `halving` begins with every pair on few
rows and keeps the best third for three times as many, up to a stated number. On m of n rows C stands for C n / m, so
that the penalty weighs against the mean loss of a row as it does on all rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.shadow_classifier import ShadowSvmOptions
from mia.attacks.shadow_classifier.classifiers import Pair, fold_accuracies
from mia.attacks.shadow_classifier.rows import Rows
from mia.attacks.shadow_classifier.workers import Workers

GRIDS = {
    "study": ((0.1, 1.0, 10.0), (0.001, 0.01, 0.1)),
    "wide": ((0.1, 1.0, 10.0, 100.0, 1000.0), (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)),
}
"""Values of C and of gamma; the study's are those of its appendix, the wide ones contain them."""
HALVING_ABOVE = 6_000
"""Rows of a class above which search=auto halves."""
FIRST_ROWS, LAST_ROWS = 2_000, 6_000
"""Rows of halving's first round, and at most of its last."""
KEPT = 3
"""Halving keeps one pair in so many, and gives it so many times the rows."""


@dataclass(frozen=True)
class Choice:
    """The chosen pair."""

    pair: Pair
    accuracy: float  # mean over folds
    num_rows: int  # that the accuracy was measured on
    is_on_edge: bool  # of the grid


def grid_pairs(options: ShadowSvmOptions) -> list[Pair]:
    """Return all pairs of the grid, smoother ones first."""
    every_c, every_gamma = GRIDS[options.grid]
    return [Pair(c, gamma) for c in every_c for gamma in every_gamma]


def plan_rungs(options: ShadowSvmOptions, num_rows: int, *, is_halving: bool) -> list[tuple[int, int]]:
    """Return the number of pairs and of rows of each round of the search."""
    pairs, rows = len(grid_pairs(options)), FIRST_ROWS
    if not is_halving:
        return [(pairs, num_rows)]
    most = min(num_rows, LAST_ROWS)
    rungs = [(pairs, min(rows, most))]
    while rungs[-1][1] < most and pairs > KEPT:
        pairs, rows = -(-pairs // KEPT), rows * KEPT
        rungs.append((pairs, min(rows, most)))
    return rungs


def choose_pair(
    rows: Rows,
    fold: Int[np.ndarray, "R"],
    options: ShadowSvmOptions,
    *,
    is_halving: bool,
    workers: Workers,
    progress: Callable[[], None],
) -> Choice:
    """Return the pair with the highest mean accuracy over folds.

    Of equal ones the smaller C wins, then the smaller gamma.

    Args:
        rows: The rows, in pseudo-random order: rounds on fewer rows take the first.
        fold: The fold of each row.
        options: Grid.
        is_halving: Whether to halve.
        workers: They fit.
        progress: Called after each fit.
    """
    pairs, accuracy, num_rows = grid_pairs(options), np.zeros(0), 0
    for count, num_rows in plan_rungs(options, len(rows), is_halving=is_halving):
        pairs = pairs[:count]
        accuracy = measure(pairs, rows, fold, num_rows, options, workers=workers, progress=progress)
        order = rank(pairs, accuracy)
        pairs, accuracy = [pairs[one] for one in order], accuracy[order]
    return Choice(pairs[0], float(accuracy[0]), num_rows, _is_on_edge(pairs[0], options))


def rank(pairs: Sequence[Pair], accuracy: Sequence[float] | np.ndarray) -> list[int]:
    """Return positions from the best pair to the worst; of equal accuracies the smoother pair comes first."""
    return sorted(range(len(pairs)), key=lambda one: (-round(float(accuracy[one]), 12), pairs[one]))


def measure(
    pairs: Sequence[Pair],
    rows: Rows,
    fold: Int[np.ndarray, "R"],
    num_rows: int,
    options: ShadowSvmOptions,
    *,
    workers: Workers,
    progress: Callable[[], None],
) -> Float[np.ndarray, "P"]:
    """Return each pair's mean accuracy over folds, on the first rows; pairs of one gamma are fitted together."""
    features, is_member, fold_of_row = rows.features[:num_rows], rows.is_member[:num_rows], fold[:num_rows]
    together = [[one for one, pair in enumerate(pairs) if pair.gamma == gamma] for gamma in {p.gamma: 0 for p in pairs}]
    cells = [(group, number) for group in together for number in range(int(fold.max()) + 1)]
    jobs = (
        (
            options,
            [_scale(pairs[one], len(rows) / num_rows) for one in group],
            features,
            is_member,
            fold_of_row == number,
        )
        for group, number in cells
    )
    accuracy = np.empty((len(pairs), int(fold.max()) + 1))
    for (group, number), accuracies in zip(cells, workers.run(fold_accuracies, jobs, len(cells)), strict=True):
        accuracy[group, number] = accuracies
        for _ in group:
            progress()
    return np.nanmean(accuracy, axis=1)


def _scale(pair: Pair, factor: float) -> Pair:
    return Pair(pair.c * factor, pair.gamma)


def _is_on_edge(pair: Pair, options: ShadowSvmOptions) -> bool:
    every_c, every_gamma = GRIDS[options.grid]
    return pair.c in {every_c[0], every_c[-1]} or pair.gamma in {every_gamma[0], every_gamma[-1]}
