"""One fit, as a worker does it: on all rows but one fold to be judged by it, or on all rows to score candidates.

Takes arrays; gives plain values. Runs in worker processes, on one core each, and keeps nothing.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.options import ShadowClassifierOptions
from mia.attacks.shadow_classifier.classifiers import Pair, decide, make_classifier


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


def fold_accuracy(
    recipe: Recipe,
    features: Float[np.ndarray, "R F"],
    is_member: Bool[np.ndarray, "R"],
    fold: Int[np.ndarray, "R"],
    number: int,
) -> float:
    """Return the accuracy on the rows of one fold of a classifier fitted on the others; NaN for an empty fold."""
    is_held_out = fold == number
    if not is_held_out.any():
        return float("nan")
    scored = fit_and_decide(recipe, features[~is_held_out], is_member[~is_held_out], features[is_held_out])
    return float(np.mean((scored.score > 0) == is_member[is_held_out]))


def fit_and_decide(
    recipe: Recipe,
    features: Float[np.ndarray, "R F"],
    is_member: Bool[np.ndarray, "R"],
    questions: Float[np.ndarray, "Q F"],
) -> Scored:
    """Fit on the rows and return what the classifier says of the questions.

    Rows that are all of one kind give that kind's answer everywhere.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    if is_member.all() or not is_member.any():
        return Scored(np.full(len(questions), 1.0 if is_member.all() else -1.0), has_converged=True)
    classifier = make_classifier(recipe.options, recipe.pair, recipe.seed)
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(features, is_member.astype(np.int64))
        score = decide(classifier, features=questions) if len(questions) else np.empty(0)
    return Scored(score, has_converged=not caught)
