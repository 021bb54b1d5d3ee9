"""What a person should know of a stage: which classes had too few rows, what was cut, what was chosen.

Takes a plan, choices and fitted models; gives lines and plain values. Decides nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.shadow_classifier import ShadowClassifierOptions, ShadowSvmOptions
from mia.attacks.shadow_classifier.classifiers import svm_library
from mia.attacks.shadow_classifier.plan import POOLED, Plan
from mia.attacks.shadow_classifier.search import Choice
from mia.records import StandIn

NAMED = 12
"""Classes that a warning lists before it only counts."""


@dataclass(frozen=True)
class Fitted:
    """One model's scores, and what it was fitted on."""

    place: Int[np.ndarray, "q"]  # of the records it serves, among the candidates
    score: Float[np.ndarray, "q"]
    placebo: Float[np.ndarray, "q"]  # by the same model, of a shadow's answers in the target's place; or empty
    stand_in: StandIn  # its own rows of the classes that it serves, scored by fits without their shadows
    num_rows: int
    num_in: int  # shadows that gave member rows
    num_out: int
    has_converged: bool


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
    if not on_edge or options.grid == "study":  # three values of each, by its authors' choice: two are edges
        return ""
    return f"C and gamma lie on the edge of grid={options.grid} in {_models(on_edge)}"


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
