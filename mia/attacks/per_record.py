"""Attacks that compare the target's answer with the shadows', record by record: what they have in common.

Takes a function that scores every record as if one model were the target and the others its shadows; gives the scores
of the candidate records. Thresholds come from a few shadows, each standing in for the target with the other shadows
behind it: their membership is known, the target's never is. Behind a stand-in is no shadow that determines its
membership, and every record has equally many where numbers would tell.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from mia.attacks.design import equal_counts, partners
from mia.attacks.memory import remembered
from mia.attacks.placebo import left_behind, placebo_model
from mia.attacks.thresholds import Thresholds, area_under_curve, learn_thresholds
from mia.attacks.ties import settle
from mia.records import IN, OUT, UNUSED, Scores, Signals, StandIn
from mia.seeds import stage_generator

STAND_INS = 4
"""Shadows that stand in for the target; each costs as much as the attack itself."""
JUDGES = 8
"""Shadows that stand in where an option is chosen by them."""

Score = Callable[[int, Int8[np.ndarray, "K N"]], Float[np.ndarray, "N"]]
"""From the row of the model attacked (0: the target) and the membership to use, to a score for every record."""


@dataclass(frozen=True)
class Needs:
    """How many shadows a record needs behind its score."""

    models_in: int
    models_out: int

    def __str__(self) -> str:
        parts = [f"{number} {kind}" for number, kind in ((self.models_in, "IN"), (self.models_out, "OUT")) if number]
        return " and ".join(parts) + " shadows"


def compare(signals: Signals, score: Score, needs: Needs, seed: int, fallback: float | None = None) -> Scores:
    """Return the scores of the candidate records, with a threshold learnt from stand-ins.

    Args:
        signals: What the models say.
        score: Scores every record of the signals.
        needs: Records with fewer shadows are NaN in the answer.
        seed: For the choice of shadows behind a stand-in, where some must be left out.
        fallback: The threshold where no shadow can stand in for the target; None: nothing is predicted then.
    """
    asked, membership = signals.candidates, signals.shadow_membership
    num_in, num_out = remembered(
        signals,
        "numbers of shadows",
        membership,
        lambda: [np.count_nonzero(membership == kind, axis=0)[asked] for kind in (IN, OUT)],
    )
    answer = score(0, membership)[asked]
    model = placebo_model(signals)
    placebo = None
    if model is not None and left_behind(signals).any():
        placebo = score(model + 1, membership_behind(signals, model + 1, asked, seed))[asked]
    thresholds, stand_ins, known = learn_from_stand_ins(signals, score, seed)
    warnings = list(count_unscored(answer, needs))
    details: dict[str, str | float] = {"stand_ins": float(stand_ins)}
    is_predicted = None
    if thresholds is None:
        instead = "no accuracy, precision or recall" if fallback is None else f"the threshold is {fallback:g}"
        warnings.append(f"{signals.num_shadows} shadows are too few to learn a threshold from one of them: {instead}")
        thresholds = None if fallback is None else Thresholds(np.full(signals.num_classes, fallback))
    if thresholds is not None:
        is_predicted = thresholds.predict(answer, signals.labels[asked])
        details |= thresholds.details()
        if known is not None:
            known = replace(known, is_predicted=thresholds.predict(known.score, known.labels))
    unused = np.zeros_like(num_in)
    return Scores(
        answer, is_predicted, num_in if needs.models_in else unused, num_out, tuple(warnings), details, known, placebo
    )


def count_unscored(score: Float[np.ndarray, "Q"], needs: Needs) -> tuple[str, ...]:
    """Return a warning that counts the records without a score, if there are any."""
    unscored = np.count_nonzero(np.isnan(score))
    if not unscored:
        return ()
    return (f"{unscored} of {len(score)} records lack the {needs} they need: left out, not filled in",)


def learn_from_stand_ins(signals: Signals, score: Score, seed: int) -> tuple[Thresholds | None, int, StandIn | None]:
    """Return the threshold with the best mean balanced accuracy over stand-ins, how many there were, and their scores.

    Records behind which are too few shadows have no score, and are left out.
    """
    found = list(score_stand_ins(signals, score, seed))
    if not found:
        return None, 0, None
    scores, is_member, records, models = (np.concatenate(parts) for parts in zip(*found, strict=True))
    weights = np.concatenate([np.where(member, 1 / member.sum(), 1 / (~member).sum()) for _, member, *_ in found])
    known = StandIn(settle(scores), is_member, signals.labels[records], model=models, record=records)
    return learn_thresholds(known.score, is_member, None, signals.num_classes, weights), len(found), known


def areas_of_stand_ins(
    signals: Signals, scores: Sequence[Score], seed: int, level: Float[np.ndarray, "K"]
) -> Float[np.ndarray, "S"] | None:
    """Return the mean AUC over stand-ins of each of several ways to score; None where no shadow can stand in.

    Since what is chosen by it changes scores, who stands in does not depend on the order of the shadows.

    Args:
        signals: What the models say.
        scores: The ways to score.
        seed: As for `compare`.
        level: A number per shadow: those that stand in are spread over all values of it.
    """
    place = np.linspace(0, len(level) - 1, min(JUDGES, len(level))).round().astype(int)
    chosen = [int(shadow) + 1 for shadow in np.argsort(level, kind="stable")[place]]
    areas = [
        [area_under_curve(settle(found), member) for found, member, *_ in score_stand_ins(signals, score, seed, chosen)]
        for score in scores
    ]
    return np.mean(areas, axis=1) if areas and areas[0] else None


def score_stand_ins(
    signals: Signals, score: Score, seed: int, chosen: Sequence[int] = range(1, STAND_INS + 1)
) -> Iterator[tuple[Float[np.ndarray, "n"], Bool[np.ndarray, "n"], Int[np.ndarray, "n"], Int[np.ndarray, "n"]]]:
    """Yield scores, membership and positions of a stand-in's own records, if there are both kinds, and its number."""
    if signals.num_shadows < 2:
        return
    for shadow in chosen:
        if shadow > signals.num_shadows:
            break
        membership = signals.shadow_membership[shadow - 1]
        own = np.flatnonzero(signals.shadow_own[shadow - 1] & (membership != UNUSED))
        found = score(shadow, membership_behind(signals, shadow, own, seed))
        use = own[~np.isnan(found[own])]
        member = membership[use] == IN
        if member.any() and not member.all():
            yield found[use], member, use, np.full(len(use), shadow)


def records_in_question(signals: Signals) -> Int[np.ndarray, "R"]:
    """Return the positions of the records that are scored: the candidates, and the stand-ins' own."""
    own = signals.shadow_own[:STAND_INS] & (signals.shadow_membership[:STAND_INS] != UNUSED)
    return np.flatnonzero(signals.is_candidate | own.any(axis=0))


def membership_behind(signals: Signals, shadow: int, own: Int[np.ndarray, "n"], seed: int) -> Int8[np.ndarray, "K N"]:
    """Return the membership of the shadows behind a stand-in (counted from 1): neither it nor a partner of it.

    Of its `own` records each has equally many, where the numbers would tell which of them it was trained on.
    """
    others, key = partners(signals), f"membership behind {shadow}"
    known = signals.shared.get(key)
    if known is not None and known[0] is signals.shadow_membership and np.array_equal(known[1], own):
        return known[2]
    left = signals.shadow_membership.copy()
    left[shadow - 1] = left[others[shadow - 1]] = UNUSED
    if not len(own):
        return left
    equal = equal_counts(left, own, others, stage_generator(seed, "equal_counts", shadow))
    if equal is left:  # whatever the seed
        left.setflags(write=False)
        signals.shared[key] = signals.shadow_membership, own, left
    return equal
