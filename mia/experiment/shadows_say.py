"""What shadows in the target's place say of an attack: its rates where members are known, and what it finds in nothing.

Takes scores that attacks made beside the target's (`Scores.stand_in`, `Scores.placebo`) and the truth; gives metrics,
and a line for each thing a person should know.
"""

import numpy as np
from jaxtyping import Bool, Int8

from mia.attacks.placebo import placebo_model
from mia.attacks.ties import settle
from mia.metrics.controls import placebo_control
from mia.metrics.decision import confusion
from mia.metrics.duci import share_used
from mia.metrics.learnt_rates import LEARNT_RATES, learn_rate_threshold, learnt_rate_metrics
from mia.metrics.words import FAILED
from mia.records import AttackTask, Scores

GIVEN_AWAY = (
    f"{FAILED}: who was in a shadow tells who was in the target, so shadows give members away whatever the models "
    "say: its metrics are not leakage alone"
)
NO_SHADOW = "no placebo_auc: there is no shadow to answer in the target's place"
NO_PLACEBO = (
    "no placebo_auc: it is not run a second time on a shadow's answers, since it takes its time, asks the models "
    "themselves or sees the truth"
)
NONE_UNRELATED = (
    "no placebo_auc: of the records that it scores on a shadow's answers, that shadow's membership tells the target's"
)

FEWEST = 20
"""Records with fewer of which two models may agree on all by chance."""

Found = tuple[dict[str, float], list[str]]


def judge_by_shadows(scores: Scores, task: AttackTask, *, num_attacks: int, seed: int) -> Found:
    """Return metrics at thresholds learnt on stand-ins, the share of the data that was used, and the placebo's.

    Args:
        scores: Of one attack.
        task: The target.
        num_attacks: How many attacks of the run are asked: the placebo's interval holds for all of them together.
        seed: For the choice of records where the placebo's model and the target have members in common.
    """
    metrics, lines = at_learnt_thresholds(scores, task)
    found, said = placebo(scores, task, num_attacks=num_attacks, seed=seed)
    return metrics | found, [*lines, *said]


def at_learnt_thresholds(scores: Scores, task: AttackTask) -> Found:
    """Return what thresholds learnt on stand-ins for 1% and 0.1% of false positives achieve, and `share_used`."""
    known = scores.stand_in
    if known is None:
        return {}, []
    together = settle(np.concatenate([scores.score, known.score]))  # what is equal on both sides is equal to the digit
    score, stand_in = np.split(together, [len(scores.score)])
    metrics, lines = learnt_rate_metrics(score, task.is_member, stand_in, known.is_member, groups=task.groups)
    kept = ~np.isnan(scores.score)
    if scores.is_predicted is not None and known.is_predicted is not None:
        told = ~np.isnan(known.score)
        rule = confusion(known.is_predicted[told], known.is_member[told])
        share = share_used(int(scores.is_predicted[kept].sum()), int(kept.sum()), rule)
        metrics |= {} if share is None else share.named("share_used")
    return metrics, list(lines)


def learnt_threshold(scores: Scores) -> float | None:
    """Return the score from which the threshold that stand-ins teach for 1% of false positives predicts a member.

    None where there are no stand-ins, or too few non-members of theirs; infinite where nobody reaches it.
    """
    known = scores.stand_in
    if known is None:
        return None
    score, stand_in = np.split(settle(np.concatenate([scores.score, known.score])), [len(scores.score)])
    threshold = learn_rate_threshold(stand_in, known.is_member, LEARNT_RATES["1pct"])
    if threshold is None:
        return None
    return float(np.min(scores.score[score >= threshold], initial=np.inf))


def placebo(scores: Scores, task: AttackTask, *, num_attacks: int, seed: int) -> Found:
    """Return `placebo_auc` with its interval, and a line if it shows that the attack finds members in nothing."""
    model = placebo_model(task.signals)
    if scores.placebo is None or model is None:
        has_answers = task.signals.num_classes > 0  # scores made elsewhere come without
        return {}, [NO_SHADOW if model is None else NO_PLACEBO] if has_answers else []
    membership = task.signals.shadow_membership[model, task.signals.candidates]
    kept = unrelated_records(task.is_member, membership, np.random.default_rng(seed))
    is_scored = ~np.isnan(scores.placebo)
    if not kept.any() and len(kept) >= FEWEST and task.is_member.any() and not task.is_member.all():
        return {}, [GIVEN_AWAY]
    if is_scored.any() and not is_scored.all():
        # Whether a record in few models can be scored depends on both memberships: of those that were, one must say
        # nothing of the other.
        among = unrelated_records(task.is_member[is_scored], membership[is_scored], np.random.default_rng(seed))
        kept = np.zeros_like(kept)
        kept[is_scored] = among
        if not kept.any():
            return {}, [NONE_UNRELATED]
    metrics, lines = placebo_control(
        scores.placebo[kept],
        task.is_member[kept],
        num_attacks=num_attacks,
        groups=None if task.groups is None else task.groups[kept],
    )
    return metrics, list(lines)


def unrelated_records(
    is_member: Bool[np.ndarray, "Q"], membership: Int8[np.ndarray, "Q"], generator: np.random.Generator
) -> Bool[np.ndarray, "Q"]:
    """Return records among which another model's membership says nothing of the target's.

    Its members are as often the target's as its non-members are, as nearly as whole records go: what is too many is
    left out at random. Of halves drawn independently that is next to nothing; where each record is in a fixed number of
    models, one model's members are the less often another's, and a placebo that tells its own model's members would
    seem to tell the target's.
    """
    groups = [membership == kind for kind in np.unique(membership)]
    share = is_member.mean()
    kept = np.zeros(len(is_member), bool)
    for mine in groups:
        inside, outside = np.flatnonzero(mine & is_member), np.flatnonzero(mine & ~is_member)
        if len(groups) == 1 or not len(inside) or not len(outside):
            kept[mine] = len(groups) == 1
            continue
        wanted = min(len(inside), round(len(outside) * share / (1 - share)))
        kept[generator.permutation(inside)[:wanted]] = True
        kept[generator.permutation(outside)[: min(len(outside), round(wanted * (1 - share) / share))]] = True
    return kept
