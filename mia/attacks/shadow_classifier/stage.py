"""The stage: rows per class, a search where the classifier has something to choose, the final fits, the scores.

Takes signals and options; gives scores with what was chosen and a line for each thing a person should know. Neither
the order of records and shadows nor the number of cores changes what is chosen. Rows are gathered as workers ask for
them, so that those of all classes never lie in memory together.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.placebo import placebo_model
from mia.attacks.shadow_classifier import ShadowClassifierOptions, ShadowSvmOptions
from mia.attacks.shadow_classifier.classifiers import Recipe, fit_and_decide
from mia.attacks.shadow_classifier.plan import POOLED, Plan, Progress, make_plan
from mia.attacks.shadow_classifier.rows import RowSource, assign_folds, check_features
from mia.attacks.shadow_classifier.search import Choice, choose_pair
from mia.attacks.shadow_classifier.words import Fitted, describe, list_warnings
from mia.attacks.shadow_classifier.workers import Workers
from mia.records import Scores, Signals, StandIn

STAND_IN_FOLDS = 3
"""Parts of the shadows, each of which is scored by a classifier fitted on the others: for thresholds at low rates."""
PARTS = ("score", "is_member", "labels")


def fit_and_score(
    name: str,
    signals: Signals,
    options: ShadowClassifierOptions,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Fit a classifier per class on the shadows' records and score the candidates with it.

    Args:
        name: The attack, for what is said.
        signals: What models say about the records; `shadow_own` marks the rows to fit on.
        options: They decide which classifier.
        seed: For the order of rows, the choice among too many, and classifiers that draw at random.
        progress: Called with the fits done and their total.

    Returns:
        Scores; a record is predicted a member where its score is above 0. `details` holds what was chosen.

    Raises:
        RequestError: an option does not suit the signals.
    """
    check_features(name, options, signals.num_classes, signals.num_shadows)
    plan = make_plan(signals, options)
    source = RowSource(signals, options, seed)
    count = Progress(plan.num_fits, progress)
    with Workers(plan.seconds) as workers:
        choices = _choose(plan, source, options, workers, count) if isinstance(options, ShadowSvmOptions) else {}
        fitted = fit_models(
            signals, options, plan, seed=seed, source=source, choices=choices, workers=workers, progress=count
        )
    score, placebo, num_in, num_out = _collect(fitted, len(signals.candidates))
    return Scores(
        score=score,
        is_predicted=score > 0,
        num_in=num_in,
        num_out=num_out,
        warnings=list_warnings(name, plan, options, num_shadows=signals.num_shadows, choices=choices, fitted=fitted),
        details=describe(plan, choices, fitted),
        stand_in=_stand_in(fitted),
        placebo=placebo,
    )


def _choose(
    plan: Plan, source: RowSource, options: ShadowSvmOptions, workers: Workers, progress: Callable[[], None]
) -> dict[int | None, Choice]:
    choices = {}
    for model in plan.served:
        rows = source.gather(model, plan.num_folds)
        fold = assign_folds(rows, plan.num_folds)
        is_halving = model in plan.halving
        choices[model] = choose_pair(rows, fold, options, is_halving=is_halving, workers=workers, progress=progress)
    return choices


def fit_models(
    signals: Signals,
    options: ShadowClassifierOptions,
    plan: Plan,
    *,
    seed: int,
    source: RowSource,
    choices: Mapping[int | None, Choice],
    workers: Workers,
    progress: Callable[[], None],
) -> dict[int | None, Fitted]:
    """Return every model of the plan, fitted on all its rows, by its class or POOLED."""
    labels = signals.labels[signals.candidates]
    places = {model: np.flatnonzero(np.isin(labels, classes)) for model, classes in plan.served.items()}
    sizes: list[tuple[int, int, int]] = []
    known: list[StandIn] = []  # without the scores, which come later
    model_of_placebo = placebo_model(signals)
    unknown = np.zeros((2, len(labels)), bool)  # without an OUT shadow to calibrate a loss by: questions, placebo

    def questions(model: int | None, place: Int[np.ndarray, "q"], row: int) -> Float[np.ndarray, "q F"]:
        found = source.questions(place, is_pooled=model is POOLED, row=row)
        unknown[min(row, 1), place] = np.isnan(found).any(axis=1)
        return np.nan_to_num(found)

    def jobs() -> Iterator[tuple[Any, ...]]:
        for model, place in places.items():
            rows = source.gather(model, plan.num_folds)
            sizes.append((len(rows), rows.num_in, rows.num_out))
            pair = choices[model].pair if model in choices else None
            known.append(StandIn(np.full(len(rows), np.nan), rows.is_member, rows.labels))
            fold = assign_folds(rows, min(STAND_IN_FOLDS, plan.num_folds))
            yield (
                Recipe(options, pair, _model_seed(seed, model)),
                rows.features,
                rows.is_member,
                questions(model, place, 0),
                None if model_of_placebo is None else questions(model, place, model_of_placebo + 1),
                fold,
            )

    scored = []
    for one in workers.run(fit_and_decide, jobs(), len(places)):
        scored.append(one)
        progress()
    return {
        model: Fitted(
            place,
            np.where(unknown[0, place], np.nan, one.score),
            np.where(unknown[1, place[: len(one.placebo)]], np.nan, one.placebo),
            _of_classes(replace(rows, score=one.held_out), plan.served[model]),
            *size,
            one.has_converged,
        )
        for (model, place), one, size, rows in zip(places.items(), scored, sizes, known, strict=True)
    }


def _of_classes(rows: StandIn, classes: tuple[int, ...]) -> StandIn:
    """Return the rows of the classes that a model serves: one of all classes may serve but a few."""
    mine = np.isin(rows.labels, classes)
    return StandIn(rows.score[mine], rows.is_member[mine], rows.labels[mine], rows.score[mine] > 0)


def _stand_in(fitted: Mapping[int | None, Fitted]) -> StandIn | None:
    """Return all models' own rows together."""
    known = [one.stand_in for one in fitted.values()]
    if not known:
        return None
    score, is_member, labels = (np.concatenate([getattr(one, part) for one in known]) for part in PARTS)
    return StandIn(score, is_member, labels, score > 0)


def _model_seed(seed: int, model: int | None) -> int:
    sequence = np.random.SeedSequence(seed, spawn_key=(0 if model is POOLED else model + 1,))
    return int(sequence.generate_state(1)[0])


def _collect(
    fitted: Mapping[int | None, Fitted], num_candidates: int
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray]:
    """Return scores, the placebo's, and numbers of IN and OUT models in the candidates' order.

    NaN and 0 where no model serves; no placebo where there is no shadow for it.
    """
    score, placebo = np.full(num_candidates, np.nan), np.full(num_candidates, np.nan)
    num_in, num_out = np.zeros(num_candidates, np.int64), np.zeros(num_candidates, np.int64)
    for one in fitted.values():
        score[one.place], num_in[one.place], num_out[one.place] = one.score, one.num_in, one.num_out
        if len(one.placebo):
            placebo[one.place] = one.placebo
    return score, None if np.isnan(placebo).all() else placebo, num_in, num_out
