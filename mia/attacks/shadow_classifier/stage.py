"""The stage: rows per class, a search where the classifier has something to choose, the final fits, the scores.

Takes signals and options; gives scores with what was chosen and a line for each thing a person should know. Neither
the order of records and shadows nor the number of cores changes what is chosen. Rows are gathered as workers ask for
them, so that those of all classes never lie in memory together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.shadow_classifier import ShadowClassifierOptions, ShadowSvmOptions
from mia.attacks.shadow_classifier.classifiers import Recipe, fit_and_decide, svm_library
from mia.attacks.shadow_classifier.plan import POOLED, Plan, Progress, make_plan
from mia.attacks.shadow_classifier.rows import RowSource, assign_folds, check_features
from mia.attacks.shadow_classifier.search import Choice, choose_pair
from mia.attacks.shadow_classifier.workers import Workers
from mia.records import Scores, Signals

NAMED = 12
"""Classes that a warning lists before it only counts."""


@dataclass(frozen=True)
class Fitted:
    """One model's scores, and what it was fitted on."""

    place: Int[np.ndarray, "q"]  # of the records it serves, among the candidates
    score: Float[np.ndarray, "q"]
    num_rows: int
    num_in: int  # shadows that gave member rows
    num_out: int
    has_converged: bool


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
    score, num_in, num_out = _collect(fitted, len(signals.candidates))
    return Scores(
        score=score,
        is_predicted=score > 0,
        num_in=num_in,
        num_out=num_out,
        warnings=list_warnings(name, plan, options, num_shadows=signals.num_shadows, choices=choices, fitted=fitted),
        details=describe(plan, choices, fitted),
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
    unknown = np.zeros(len(labels), bool)  # without an OUT shadow to calibrate a loss by

    def jobs() -> Iterator[tuple[Any, ...]]:
        for model, place in places.items():
            rows = source.gather(model, plan.num_folds)
            sizes.append((len(rows), rows.num_in, rows.num_out))
            pair = choices[model].pair if model in choices else None
            questions = source.questions(place, is_pooled=model is POOLED)
            unknown[place] = np.isnan(questions).any(axis=1)
            yield (
                Recipe(options, pair, _model_seed(seed, model)),
                rows.features,
                rows.is_member,
                np.nan_to_num(questions),
            )

    scored = []
    for one in workers.run(fit_and_decide, jobs(), len(places)):
        scored.append(one)
        progress()
    return {
        model: Fitted(place, np.where(unknown[place], np.nan, one.score), *size, one.has_converged)
        for (model, place), one, size in zip(places.items(), scored, sizes, strict=True)
    }


def _model_seed(seed: int, model: int | None) -> int:
    sequence = np.random.SeedSequence(seed, spawn_key=(0 if model is POOLED else model + 1,))
    return int(sequence.generate_state(1)[0])


def _collect(fitted: Mapping[int | None, Fitted], num_candidates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores and numbers of IN and OUT models in the candidates' order; NaN and 0 where no model serves."""
    score = np.full(num_candidates, np.nan)
    num_in, num_out = np.zeros(num_candidates, np.int64), np.zeros(num_candidates, np.int64)
    for one in fitted.values():
        score[one.place], num_in[one.place], num_out[one.place] = one.score, one.num_in, one.num_out
    return score, num_in, num_out


def list_warnings(
    name: str,
    plan: Plan,
    options: ShadowClassifierOptions,
    *,
    num_shadows: int,
    choices: Mapping[int | None, Choice],
    fitted: Mapping[int | None, Fitted],
) -> tuple[str, ...]:
    """Return a line for each thing that may mislead.

    Args:
        name: The attack.
        plan: Which models there are.
        options: The attack's options.
        num_shadows: All shadows there are.
        choices: By model, for a support vector machine.
        fitted: The models.
    """
    stopped_early = [model for model, one in fitted.items() if not one.has_converged]
    lines = [
        _of_few_rows(plan),
        _of_folds(plan, options, num_shadows) if choices else "",
        _of_edge(choices, options) if isinstance(options, ShadowSvmOptions) else "",
        _of_cut(name, plan, options, num_shadows, fitted),
        _of_imbalance(plan),
        f"the fit of {_models(stopped_early)} stopped before it had converged" if stopped_early else "",
    ]
    unscored = sum(int(np.isnan(one.score).sum()) for one in fitted.values())
    if unscored:
        lines.append(f"{unscored} records lack an OUT shadow to calibrate a loss by: left out, not filled in")
    return tuple(f"{name}: {line}" for line in lines if line)


def describe(
    plan: Plan, choices: Mapping[int | None, Choice], fitted: Mapping[int | None, Fitted]
) -> dict[str, str | float]:
    """Return what was chosen for each model, by `<what>/class_<number>` or `<what>/all_classes`."""
    found: dict[str, str | float] = {}
    if choices:
        found["library"] = svm_library()
        found["search"] = "halving" if plan.halving else "full"
    for model, one in fitted.items():
        of = "all_classes" if model is POOLED else f"class_{model}"
        found[f"rows/{of}"] = float(one.num_rows)
        if model in choices:
            choice = choices[model]
            found[f"C/{of}"], found[f"gamma/{of}"] = choice.pair.c, choice.pair.gamma
            found[f"cv_accuracy/{of}"], found[f"cv_rows/{of}"] = choice.accuracy, float(choice.num_rows)
    return found


def _of_few_rows(plan: Plan) -> str:
    if not plan.too_few:
        return ""
    records = ", ".join(
        f"class {label} has {plan.counts[label][1]} in and {plan.counts[label][0]} out"
        for label in plan.too_few[:NAMED]
    )
    fate = "their records are not scored" if plan.unserved else "a model of all classes scores their records"
    return f"too few records of shadows for a model of their own in {_models(plan.too_few)} ({records}): {fate}"


def _of_folds(plan: Plan, options: ShadowClassifierOptions, num_shadows: int) -> str:
    if num_shadows == 1:
        return (
            "with one shadow the folds split its records, so the accuracy that C and gamma were chosen by is optimistic"
        )
    if isinstance(options, ShadowSvmOptions) and num_shadows < options.folds:
        return f"{num_shadows} shadows make {plan.num_folds} folds instead of {options.folds}"
    return ""


def _of_edge(choices: Mapping[int | None, Choice], options: ShadowSvmOptions) -> str:
    on_edge = [model for model, choice in choices.items() if choice.is_on_edge]
    if not on_edge:
        return ""
    hint = ": attack.shadow_svm.grid=wide looks beyond" if options.grid == "study" else ""
    return f"C and gamma lie on the edge of grid={options.grid} in {_models(on_edge)}{hint}"


def _of_cut(
    name: str, plan: Plan, options: ShadowClassifierOptions, num_shadows: int, fitted: Mapping[int | None, Fitted]
) -> str:
    cut = [
        model
        for model in plan.served
        if 0 < options.max_rows < (plan.counts.sum() if model is POOLED else plan.counts[model].sum())
    ]
    if not cut:
        return ""
    least = min(max(fitted[model].num_in, fitted[model].num_out) for model in cut)
    limit = f"attack.{name}.max_rows={options.max_rows}"
    return f"{limit} cuts the rows of {_models(cut)}: {least} of {num_shadows} shadows are used"


def _of_imbalance(plan: Plan) -> str:
    rows = plan.counts.sum(axis=0)
    share = rows[1] / max(rows.sum(), 1)
    if 1 / 3 <= share <= 2 / 3:
        return ""
    return f"{share:.0%} of the shadows' rows are members: the boundary between the two leans to the more frequent"


def _models(models: Iterable[int | None]) -> str:
    listed = list(models)
    if listed == [POOLED]:
        return "the model of all classes"
    labels = [str(model) for model in listed if model is not POOLED]
    text = ("class " if len(labels) == 1 else "classes ") + ", ".join(labels[:NAMED])
    text += f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return text + (" and the model of all classes" if POOLED in listed else "")
