"""Membership the wrong way round: models that are better on the records said to be out than on those said to be in.

Takes a task; gives a line for each array that looks reversed. A model may be no better on its own records, but worse by
more than chance only where 0 means member.
"""

import math

import numpy as np
from jaxtyping import Bool, Float

from mia.attacks.shared_statistics import shared_statistics
from mia.records import IN, OUT, AttackTask

DEVIATIONS = 4.0
"""By how many standard errors the answers must be worse on members, so that chance hardly ever says so."""


def warn_reversed(task: AttackTask) -> list[str]:
    """Return a line where the target's membership looks reversed, and one where shadows' does."""
    signals, lines = task.signals, []
    if not signals.num_classes:
        return []
    asked = signals.candidates
    said = shared_statistics(signals).log_confidence  # which most attacks need as well
    if _is_worse(said[0, asked], task.is_member):
        lines.append(
            "the target answers worse on its members than on the others, by more than chance: is target_member the "
            "wrong way round (1 = member)?"
        )
    wrong = []
    for shadow, membership in enumerate(signals.shadow_membership):
        used = np.flatnonzero(membership >= OUT)
        if _is_worse(said[shadow + 1, used], membership[used] == IN):
            wrong.append(str(shadow))
    if wrong:
        lines.append(
            f"{len(wrong)} of {signals.num_shadows} shadows answer worse on their members than on the others, by more "
            f"than chance: is shadow_member the wrong way round ({', '.join(wrong[:5])}{', ...' if wrong[5:] else ''})?"
        )
    return lines


def _is_worse(log_confidence: Float[np.ndarray, "n"], is_member: Bool[np.ndarray, "n"]) -> bool:
    """Whether the ranks of members' answers are lower by more than chance (Mann-Whitney, normal approximation)."""
    members, others = int(is_member.sum()), int((~is_member).sum())
    if not members or not others:
        return False
    rising, inside = np.sort(log_confidence), np.sort(log_confidence[is_member])
    sizes = np.diff(np.flatnonzero(np.append(np.append(True, rising[1:] != rising[:-1]), True)))
    ranks = (np.searchsorted(rising, inside, "left") + np.searchsorted(rising, inside, "right") + 1) / 2
    number = members + others
    spread = math.sqrt(
        members * others * (number + 1 - float((sizes**3.0 - sizes).sum()) / (number * (number - 1))) / 12
    )
    return spread > 0 and ranks.sum() - members * (number + 1) / 2 < -DEVIATIONS * spread
