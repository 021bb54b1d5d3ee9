"""One fit, as a worker does it: on all rows but one fold to be judged by it, or on all rows to score candidates.

Takes arrays; gives plain values. Runs in worker processes, on one core each, and keeps nothing.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mia.attacks.options import ShadowClassifierOptions
from mia.attacks.shadow_classifier.classifiers import Pair, decide, make_classifier, make_svm_of_kernel

KERNEL_ROWS = 6_000
"""Rows up to which a search computes the kernel once for all C, 8 bytes for each pair of rows."""
BLOCK = 64
"""Rows of a kernel computed together, so that they stay in the cache."""


@dataclass(frozen=True)
class Recipe:
    """Which classifier to fit."""

    options: ShadowClassifierOptions
    pair: Pair | None
    seed: int


@dataclass(frozen=True)
class Scored:
    """What a final fit gave."""

    score: Float[np.ndarray, "Q"]
    has_converged: bool


def fit_and_decide(
    recipe: Recipe,
    features: Float[np.ndarray, "R F"],
    is_member: Bool[np.ndarray, "R"],
    questions: Float[np.ndarray, "Q F"],
) -> Scored:
    """Fit on the rows and return what the classifier says of the questions.

    Rows that are all of one kind give that kind's answer everywhere.
    """
    return _fit(make_classifier(recipe.options, recipe.pair, recipe.seed), features, is_member, questions)


def fold_accuracies(
    options: ShadowClassifierOptions,
    pairs: Sequence[Pair],
    features: Float[np.ndarray, "R F"],
    is_member: Bool[np.ndarray, "R"],
    is_held_out: Bool[np.ndarray, "R"],
) -> list[float]:
    """Return the accuracy on the rows held out of support vector machines fitted on the others.

    Up to `KERNEL_ROWS` rows the kernel is computed once for all C, which is several times as fast.

    Args:
        options: Of the attack.
        pairs: C and gamma of each machine; one gamma for all.
        features: All rows.
        is_member: Of all rows.
        is_held_out: Rows to judge by; NaN is returned where there are none.
    """
    if not is_held_out.any():
        return [float("nan")] * len(pairs)
    known, asked = features[~is_held_out], features[is_held_out]
    if len(features) <= KERNEL_ROWS:
        known, asked = rbf_kernel(known, known, pairs[0].gamma), rbf_kernel(asked, known, pairs[0].gamma)
        machines = [make_svm_of_kernel(pair) for pair in pairs]
    else:
        machines = [make_classifier(options, pair, seed=0) for pair in pairs]
    scored = [_fit(machine, known, is_member[~is_held_out], asked) for machine in machines]
    return [float(np.mean((one.score > 0) == is_member[is_held_out])) for one in scored]


def rbf_kernel(x: Float[np.ndarray, "R F"], y: Float[np.ndarray, "S F"], gamma: float) -> Float[np.ndarray, "R S"]:
    """Return exp(-gamma * squared distance) for every pair of rows."""
    x_part, y_part = gamma * np.sum(x * x, axis=1, keepdims=True), gamma * np.sum(y * y, axis=1)
    y_scaled = 2 * gamma * y.T
    kernel = np.empty((len(x), len(y)))
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK] @ y_scaled
        block -= x_part[start : start + BLOCK]
        block -= y_part
        np.exp(np.minimum(block, 0, out=block), out=kernel[start : start + BLOCK])
    return kernel


def _fit(
    classifier: Any, features: np.ndarray, is_member: Bool[np.ndarray, "R"], questions: Float[np.ndarray, "Q F"]
) -> Scored:
    from sklearn.exceptions import ConvergenceWarning

    if is_member.all() or not is_member.any():
        return Scored(np.full(len(questions), 1.0 if is_member.all() else -1.0), has_converged=True)
    with _thread_pools().limit(limits=1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(features, is_member.astype(np.int64))
        score = decide(classifier, questions) if len(questions) else np.empty(0)
    return Scored(score, has_converged=not caught)


@cache
def _thread_pools() -> Any:
    """Return a handle on the numerical libraries' threads; finding them takes longer than a small fit."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
