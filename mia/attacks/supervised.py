"""The owner's upper bound without shadows: a classifier taught who the target's members are, asked about the others.

Takes signals and, as the owner's attacks alone do, the target's membership; gives per record what a classifier says
that was fitted on the other folds. An attacker has no such answers to learn from: this bounds what a threshold, or any
other rule on these features, could find out. Folds are made of what records hold, not of where they stand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.attacks.placebo import placebo_model
from mia.attacks.shadow_classifier import ShadowClassifierOptions
from mia.attacks.spec import attack
from mia.checks import RequestError, at_least, one_of
from mia.records import Scores, Signals

MODELS = ("logistic", "forest", "boosting")


@dataclass
class SupervisedOptions:
    """The owner's view: a classifier cross-fitted on the target's own membership."""

    model: str = "logistic"  # logistic, forest or boosting
    features: Any = "probabilities"  # as of shadow_svm: one, or a list of several
    top_k: int = 3  # of features=top_k
    folds: int = 5

    def __post_init__(self) -> None:
        one_of("attack.supervised.model", self.model, MODELS)
        at_least("attack.supervised.folds", self.folds, 2)
        ShadowClassifierOptions(self.features, self.top_k).check("supervised")

    def as_shadow_options(self) -> ShadowClassifierOptions:
        """Return the options of the classifier fitted on shadows that sees the same."""
        from mia.attacks import shadow_classifier as classifiers

        kind = {
            "logistic": classifiers.ShadowLogisticOptions,
            "forest": classifiers.ShadowForestOptions,
            "boosting": classifiers.ShadowBoostingOptions,
        }[self.model]
        return kind(features=self.features, top_k=self.top_k, per_class=False)


@attack(
    "supervised",
    options=SupervisedOptions,
    needs=("membership", "classes"),
    citation="Kumar, Shokri: ML Privacy Meter, HotPETs 2020",
    label="supervised",
    view="owner",
)
def supervised(
    signals: Signals,
    options: SupervisedOptions,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    is_member: Bool[np.ndarray, "Q"],
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> Scores:
    """Score by the place of a record among those of its fold, in what a classifier of the other folds says.

    A person's records are in one fold: they are in or out together, and each would give the others away.
    """
    from mia.attacks.shadow_classifier.classifiers import Recipe, fit_and_decide
    from mia.attacks.shadow_classifier.rows import RowSource, check_features

    like = options.as_shadow_options()
    check_features("supervised", like, signals.num_classes, signals.num_shadows)
    whose, what = (np.arange(len(is_member)), "") if groups is None else (groups, "groups of ")
    fewest = min(len(np.unique(whose[side])) for side in (is_member, ~is_member))
    if fewest < options.folds:
        raise RequestError(
            f"attack.supervised.folds={options.folds} must be at most {fewest}, the number of {what}members or of "
            f"{what}non-members"
        )
    source, recipe = RowSource(signals, like, seed), Recipe(like, None, seed % 2**32)
    other = placebo_model(signals)  # taught the same of a shadow's answers, it must find nothing; it doubles the cost
    models = [0] if other is None else [0, other + 1]
    scores, is_predicted = np.full((len(models), len(is_member)), np.nan), np.zeros(len(is_member), bool)
    for turn, model in enumerate(models):
        features = source.questions(np.arange(len(is_member)), is_pooled=True, row=model)
        known = ~np.isnan(features).any(axis=1)
        outputs = signals.shadow_outputs[model - 1] if model else signals.target_outputs
        order, fold = _folds(signals, outputs, is_member, options.folds, seed)
        if groups is not None:
            fold = _together(order, groups, is_member, options.folds)
        for number in range(options.folds):
            asked = order[(fold[order] == number) & known[order]]
            taught = order[(fold[order] != number) & known[order]]
            said = fit_and_decide(recipe, features[taught], is_member[taught], features[asked]).score
            scores[turn, asked] = _places(said)
            if not model:
                is_predicted[asked] = said > 0
            if progress is not None:
                progress(turn * options.folds + number + 1, len(models) * options.folds)
    none = np.zeros(len(is_member), np.int64)
    line = "the owner's view: it learns from the target's own membership, which no attacker has"
    details: dict[str, str | float] = {"model": options.model, "features": " ".join(like.kinds)}
    placebo = None if other is None else scores[1]
    return Scores(scores[0], is_predicted, none, none, (line,), details, placebo=placebo)


def _folds(
    signals: Signals, outputs: Float[np.ndarray, "N C"], is_member: Bool[np.ndarray, "Q"], count: int, seed: int
) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
    """Return a pseudo-random order of the candidates made of what they hold, and folds alike in members and others."""
    from mia.attacks.shadow_classifier.stable_order import Hasher, tell_apart

    asked = signals.candidates
    hasher = Hasher(seed, signals.num_classes)
    keys = hasher.rows(outputs[asked], signals.labels[asked], np.zeros(len(asked), np.int64))
    order = np.argsort(tell_apart(keys), kind="stable")
    fold = np.empty(len(asked), np.int64)
    for kind in (True, False):
        mine = order[is_member[order] == kind]
        fold[mine] = np.arange(len(mine)) % count
    return order, fold


def _together(
    order: Int[np.ndarray, "Q"], groups: Shaped[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], count: int
) -> Int[np.ndarray, "Q"]:
    """Return folds of whole groups, dealt out in the order of the candidates, those with members apart from others."""
    _, first, codes = np.unique(groups[order], return_index=True, return_inverse=True)
    has_members = np.bincount(codes.reshape(-1), is_member[order]) > 0
    of_group = np.empty(len(first), np.int64)
    for kind in (True, False):
        mine = np.flatnonzero(has_members == kind)
        of_group[mine[np.argsort(first[mine])]] = np.arange(len(mine)) % count
    fold = np.empty(len(order), np.int64)
    fold[order] = of_group[codes.reshape(-1)]
    return fold


def _places(score: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Return the share of a fold's scores below each, ties counted half: what makes folds comparable."""
    ordered = np.sort(score)
    below, up_to = (np.searchsorted(ordered, score, side) for side in ("left", "right"))
    return (below + up_to) / 2 / max(len(score), 1)
