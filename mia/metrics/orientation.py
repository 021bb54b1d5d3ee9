"""Membership the wrong way round, noticed: a model is right on what it was trained on at least as often as on others.

Takes signals and the truth; gives one line for each kind of membership that contradicts the models. Changes nothing.
"""

from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.records import IN, OUT, Signals

CHANCE = 1e-4
"""Of a warning where membership tells nothing, over all models together."""
NAMED = 8


def orientation_warnings(signals: Signals, is_member: Bool[np.ndarray, "Q"]) -> tuple[str, ...]:
    """Return a line where models are right more often on non-members than on members, by more than chance.

    Args:
        signals: What the models say, and the shadows' membership.
        is_member: Whether each candidate was in the target's training set.
    """
    limit = NormalDist().inv_cdf(1 - CHANCE / (1 + signals.num_shadows))
    lines = []
    asked = signals.candidates
    right = _is_right(signals.target_outputs[asked], signals.labels[asked])
    if _excess(right, is_member) > limit:
        lines.append(
            f"target_member may be the wrong way round (1 is a member, 0 is not): the target is right on "
            f"{right[is_member].mean():.1%} of its members and {right[~is_member].mean():.1%} of its non-members, more "
            "of these than chance explains"
        )
    suspect = []
    for shadow, (outputs, membership) in enumerate(zip(signals.shadow_outputs, signals.shadow_membership, strict=True)):
        own = np.flatnonzero(signals.shadow_own[shadow] & ((membership == IN) | (membership == OUT)))
        if _excess(_is_right(outputs[own], signals.labels[own]), membership[own] == IN) > limit:
            suspect.append(shadow + 1)
    if suspect:
        named = ", ".join(map(str, suspect[:NAMED])) + (", ..." if len(suspect) > NAMED else "")
        lines.append(
            f"shadow_member may be the wrong way round (1 is a member, 0 is not) for {len(suspect)} of "
            f"{signals.num_shadows} shadows ({named}): they are right more often on their non-members than on their "
            "members, more than chance explains"
        )
    return tuple(lines)


def _is_right(outputs: Float[np.ndarray, "n C"], labels: Int[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """Return where the true class is the highest; of losses alone, where they are below the median."""
    if outputs.shape[-1] == 1:
        return outputs[:, 0] > np.median(outputs)
    return outputs.argmax(axis=-1) == labels


def _excess(right: Bool[np.ndarray, "n"], is_member: Bool[np.ndarray, "n"]) -> float:
    """Return by how many standard errors non-members are right more often than members; 0 where nothing can be said."""
    members, others = int(is_member.sum()), int((~is_member).sum())
    share = right.mean() if len(right) else 0.0
    if not members or not others or share in (0, 1):
        return 0.0
    error = np.sqrt(share * (1 - share) * (1 / members + 1 / others))
    return float((right[~is_member].mean() - right[is_member].mean()) / error)
