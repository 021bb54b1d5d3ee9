"""The stage: rows per class, a search where the classifier has something to choose, the final fits, the scores.

Takes signals and options; gives scores with what was chosen and a line for each thing a person should know. Neither
the order of records and shadows nor the number of cores changes what is chosen.
"""

from collections.abc import Callable, Mapping

import numpy as np

from mia.attacks.options import ShadowClassifierOptions, ShadowSvmOptions
from mia.attacks.shadow_classifier.features import check_features
from mia.attacks.shadow_classifier.final import Fitted, fit_models
from mia.attacks.shadow_classifier.findings import describe, list_warnings
from mia.attacks.shadow_classifier.plan import Plan, Progress, make_plan
from mia.attacks.shadow_classifier.rows import RowSource, assign_folds
from mia.attacks.shadow_classifier.search import Choice, choose_pair
from mia.attacks.shadow_classifier.workers import Workers
from mia.checks import RequestError
from mia.records import Scores, Signals

NAMES = {
    "ShadowSvmOptions": "shadow_svm",
    "ShadowMlpOptions": "shadow_mlp",
    "ShadowForestOptions": "shadow_forest",
    "ShadowLogisticOptions": "shadow_logistic",
    "ShadowBoostingOptions": "shadow_boosting",
}


def fit_and_score(
    signals: Signals,
    options: ShadowClassifierOptions,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Return the scores; see `mia.attacks.shadow_classifier.attack`."""
    name = NAMES[type(options).__name__]
    if signals.num_shadows == 0:
        raise RequestError(f"attack={name} needs shadow models, there are none: set split.num_shadows")
    check_features(name, options, signals.num_classes)
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


def _collect(fitted: Mapping[int | None, Fitted], num_candidates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores and numbers of IN and OUT models in the candidates' order; NaN and 0 where no model serves."""
    score = np.full(num_candidates, np.nan)
    num_in, num_out = np.zeros(num_candidates, np.int64), np.zeros(num_candidates, np.int64)
    for one in fitted.values():
        score[one.place], num_in[one.place], num_out[one.place] = one.score, one.num_in, one.num_out
    return score, num_in, num_out
