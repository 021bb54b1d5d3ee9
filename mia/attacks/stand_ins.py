"""Shadows in the target's place: their own records, whose membership is known.

Takes signals; gives, for attacks that look at one answer alone, the shadows' own records to learn from.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.ties import settle
from mia.records import IN, UNUSED, Signals, StandIn

ROWS = 2**19
"""Shadow answers that thresholds are learnt from: more than enough, and 256 shadows need not be sorted."""

Own = tuple[int, Int[np.ndarray, "n"], Bool[np.ndarray, "n"]]
Score = Callable[[Float[np.ndarray, "n C"], Int[np.ndarray, "n"]], Float[np.ndarray, "n"]]
"""From answers and true classes to scores."""


def own_records(signals: Signals) -> Iterator[Own]:
    """Yield shadows, counted from 0, with the positions of their own records and which of these are members."""
    for shadow, membership in enumerate(signals.shadow_membership):
        own = np.flatnonzero(signals.shadow_own[shadow] & (membership != UNUSED))
        if shadow and (shadow + 1) * len(own) > ROWS:
            return
        yield shadow, own, membership[own] == IN


def score_stand_ins(signals: Signals, score: Score) -> tuple[StandIn | None, int]:
    """Return what the score says of the shadows' own records, and how many shadows those are; None without shadows."""
    scores, membership, records, models = [], [], [], []
    for shadow, own, is_member in own_records(signals):
        records.append(own)
        models.append(np.full(len(own), shadow + 1))
        membership.append(is_member)
        scores.append(score(signals.shadow_outputs[shadow, own], signals.labels[own]))
    if not scores:
        return None, 0
    all_scores, is_member, record, model = (np.concatenate(one) for one in (scores, membership, records, models))
    return StandIn(settle(all_scores), is_member, signals.labels[record], model=model, record=record), len(scores)
