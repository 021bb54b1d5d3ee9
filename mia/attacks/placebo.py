"""The placebo: the same attack on answers that cannot know the target's members, to be judged by these.

A shadow answers in the target's place; it and the models that determine its membership (its complement) are no shadows
then. Under `disjoint` it never saw a record of the target's, under `pool` it trained on a half of its own: what finds
the target's members in its answers found them elsewhere, in the models' places or in the evaluation. Takes signals, and
never the target's membership.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from mia.attacks.design import partners
from mia.records import Signals


def placebo_model(signals: Signals) -> int | None:
    """Return the shadow that answers, counted from 0: the first that has no partner, else the last; None without."""
    if not signals.num_shadows:
        return None
    alone = np.flatnonzero(~partners(signals).any(axis=1))
    return int(alone[0]) if len(alone) else signals.num_shadows - 1


def placebo_answers(signals: Signals) -> Float[np.ndarray, "Q C"] | None:
    """Return what that shadow says of the candidate records; None where there is no shadow."""
    model = placebo_model(signals)
    return None if model is None else signals.shadow_outputs[model, signals.candidates]


def left_behind(signals: Signals) -> Bool[np.ndarray, "K"]:
    """Return which shadows are left when one answers in the target's place: neither it nor a partner of it."""
    model = placebo_model(signals)
    if model is None:
        return np.zeros(0, bool)
    left = ~partners(signals)[model]
    left[model] = False
    return left


def placebo_signals(signals: Signals) -> Signals | None:
    """Return the signals of the placebo, for an attack that is to be run as a whole; None where there is no shadow.

    Copies what the shadows say: attacks of ours score the placebo where it lies.
    """
    model, left = placebo_model(signals), left_behind(signals)
    if model is None:
        return None
    kept, population = np.flatnonzero(left), signals.population_outputs
    return replace(
        signals,
        target_outputs=signals.shadow_outputs[model],
        shadow_outputs=signals.shadow_outputs[kept],
        shadow_membership=signals.shadow_membership[kept],
        shadow_own=signals.shadow_own[kept],
        population_outputs=None if population is None else population[[*kept, model]],
        oracle=None,
        trace=None,  # it is the target's
        features=None,
        models=None,
    )
