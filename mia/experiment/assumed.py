"""Whether what attacks take for granted holds in this task: LiRA's normal answers, RMIA's scores that still rank.

Takes an attack's name, its scores and the task; gives metrics, and a line for each thing a person should know. It
rests on what shadows say: the target's membership has no part in it.
"""

import numpy as np

from mia.metrics.assumptions import normality, saturation
from mia.records import OUT, AttackTask, Scores, Signals

MOST_TESTED = 2000
"""Records whose answers are tested: by then the share is known to a hundredth."""

Found = tuple[dict[str, float], tuple[str, ...]]


def doubts(name: str, scores: Scores, task: AttackTask) -> Found:
    """Return how far an attack's assumptions hold; nothing for attacks that make none."""
    if name.startswith("lira_") and task.signals.num_shadows:
        return _normality(task.signals)
    if name.startswith("rmia_"):
        return saturation(scores.score)
    return {}, ()


def _normality(signals: Signals) -> Found:
    """Return how normal OUT answers are; worked out once for all attacks of a task."""
    from mia.attacks.shared_statistics import shared_statistics

    if "normality" not in signals.shared:
        asked = signals.candidates
        asked = asked[:: max(1, -(-len(asked) // MOST_TESTED))]
        phi = shared_statistics(signals).phi[1:, asked]
        signals.shared["normality"] = normality(phi, np.asarray(signals.shadow_membership[:, asked] == OUT))
    found: Found = signals.shared["normality"]
    return found
