"""Which models to fit, for which classes, by which search: decided from counts alone, before any fit.

Takes signals and options; gives a plan. A class whose own rows are too few is served by one model of all classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mia.attacks.shadow_classifier import ShadowClassifierOptions, ShadowSvmOptions
from mia.attacks.shadow_classifier.classifiers import estimate_seconds
from mia.attacks.shadow_classifier.search import HALVING_ABOVE, plan_rungs
from mia.records import IN, OUT, Signals

POOLED = None
"""Stands for all classes where a class's number could stand."""
FEWEST = 5
"""Member rows, and non-member rows, that a model needs where no number of folds says more."""


@dataclass(frozen=True)
class Plan:
    """The models to fit and the classes each serves."""

    served: dict[int | None, tuple[int, ...]]  # by the model's class, or POOLED
    halving: frozenset[int | None]  # models whose search halves
    too_few: tuple[int, ...]  # classes that have not enough rows for a model of their own
    unserved: tuple[int, ...]  # of them, those that no model can serve
    counts: Int[np.ndarray, "C 2"]  # the shadows' non-member and member rows of each class
    num_folds: int
    num_fits: int
    seconds: float  # roughly, on one core


class Progress:
    """Counts fits for the caller's bar."""

    def __init__(self, total: int, report: Callable[[int, int], None] | None) -> None:
        self._done, self._total, self._report = 0, total, report

    def __call__(self) -> None:
        """Say that one more is done."""
        self._done = min(self._done + 1, self._total)
        if self._report is not None:
            self._report(self._done, self._total)


def make_plan(signals: Signals, options: ShadowClassifierOptions) -> Plan:
    """Return which models the candidates' classes need."""
    counts = _count_rows(signals)
    folds = options.folds if isinstance(options, ShadowSvmOptions) else FEWEST
    wanted = [int(label) for label in np.unique(signals.labels[signals.candidates])]
    own = [label for label in wanted if options.per_class and counts[label].min() >= folds]
    others = tuple(label for label in wanted if label not in own)
    can_pool = counts.sum(axis=0).min() >= folds
    served: dict[int | None, tuple[int, ...]] = {label: (label,) for label in own}
    if others and can_pool:
        served[POOLED] = others
    num_folds = min(folds, signals.num_shadows) if signals.num_shadows > 1 else folds
    halving = _halving(served, counts, options)
    fits = [
        rows
        for model in served
        for rows in _fits_of(model, model_rows(model, counts, options), options, halving, num_folds)
    ]
    return Plan(
        served=served,
        halving=halving,
        too_few=others if options.per_class else (),
        unserved=() if can_pool else others,
        counts=counts,
        num_folds=num_folds,
        num_fits=len(fits),
        seconds=sum(estimate_seconds(options, rows) for rows in fits),
    )


def model_rows(model: int | None, counts: Int[np.ndarray, "C 2"], options: ShadowClassifierOptions) -> int:
    """Return roughly how many rows a model is fitted on."""
    rows = int(counts.sum() if model is POOLED else counts[model].sum())
    return min(rows, options.max_rows or rows)


def _count_rows(signals: Signals) -> Int[np.ndarray, "C 2"]:
    counts = np.zeros((signals.num_classes, 2), np.int64)
    for own, membership in zip(signals.shadow_own, signals.shadow_membership, strict=True):
        for column, kind in enumerate((OUT, IN)):
            counts[:, column] += np.bincount(signals.labels[own & (membership == kind)], minlength=len(counts))
    return counts


def _halving(
    served: dict[int | None, tuple[int, ...]], counts: Int[np.ndarray, "C 2"], options: ShadowClassifierOptions
) -> frozenset[int | None]:
    """Return the models whose search halves: all classes' or none's, so that classes are treated alike."""
    if not isinstance(options, ShadowSvmOptions) or options.search == "full":
        return frozenset()
    if options.search == "halving":
        return frozenset(served)
    large = {model for model in served if model_rows(model, counts, options) > HALVING_ABOVE}
    classes = {model for model in served if model is not POOLED}
    return frozenset(large | classes if large & classes else large)


def _fits_of(
    model: int | None, rows: int, options: ShadowClassifierOptions, halving: frozenset[int | None], num_folds: int
) -> list[int]:
    """Return the number of rows of every fit that a model takes, the final one included."""
    if not isinstance(options, ShadowSvmOptions):
        return [rows]
    rungs = plan_rungs(options, rows, is_halving=model in halving)
    return [few for pairs, few in rungs for _ in range(pairs * num_folds)] + [rows]
