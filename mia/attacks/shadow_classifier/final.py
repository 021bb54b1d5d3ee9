"""The final fits: each model on all its rows, and what it says of the candidates it serves.

Takes the plan and the chosen pairs; gives the scores by model. Rows are gathered as workers ask for them, so that
those of all classes never lie in memory together.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.options import ShadowClassifierOptions
from mia.attacks.shadow_classifier.features import make_features
from mia.attacks.shadow_classifier.fits import Recipe, fit_and_decide
from mia.attacks.shadow_classifier.plan import POOLED, Plan
from mia.attacks.shadow_classifier.rows import RowSource
from mia.attacks.shadow_classifier.search import Choice
from mia.attacks.shadow_classifier.workers import Workers
from mia.records import Signals


@dataclass(frozen=True)
class Fitted:
    """One model's scores, and what it was fitted on."""

    place: Int[np.ndarray, "q"]  # of the records it serves, among the candidates
    score: Float[np.ndarray, "q"]
    num_rows: int
    num_in: int  # shadows that gave member rows
    num_out: int
    has_converged: bool


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

    def jobs() -> Iterator[tuple[Any, ...]]:
        for model, place in places.items():
            rows = source.gather(model, plan.num_folds)
            sizes.append((len(rows), rows.num_in, rows.num_out))
            pair = choices[model].pair if model in choices else None
            questions = make_features(
                signals.target_outputs[signals.candidates[place]],
                labels[place],
                options,
                is_probability=signals.is_probability,
                is_pooled=model is POOLED,
            )
            yield Recipe(options, pair, _model_seed(seed, model)), rows.features, rows.is_member, questions

    scored = []
    for one in workers.run(fit_and_decide, jobs(), len(places)):
        scored.append(one)
        progress()
    return {
        model: Fitted(place, one.score, *size, one.has_converged)
        for (model, place), one, size in zip(places.items(), scored, sizes, strict=True)
    }


def _model_seed(seed: int, model: int | None) -> int:
    sequence = np.random.SeedSequence(seed, spawn_key=(0 if model is POOLED else model + 1,))
    return int(sequence.generate_state(1)[0])
