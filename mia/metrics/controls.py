"""Controls: takes scores and a membership that they cannot know, gives what they achieve against it; near one half.

Three of them. The null control permutes the truth after scoring: it checks the evaluation. The placebo is the whole
attack on answers that cannot know the target's members: it checks the attack, its shadows and their places too. The
control of numbers asks whether how many shadows saw a record, or whether it could be scored, tells who is a member: it
checks the design, without a look at any answer.
Intervals are at 99%, and where several attacks of one run are asked, at 99% for all of them together: a sweep has
dozens of controls, and at 95% one in twenty would cry wolf.
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.metrics.auc import area
from mia.metrics.clusters import effective_trials, group_codes
from mia.metrics.rates import Estimate, difference, normal_quantile
from mia.metrics.words import FAILED

NULL_CONFIDENCE = 0.99
"""Of the controls' intervals, for all attacks of a run together."""
PERMUTATIONS = 20
"""Of the truth, per attack; the null control is their mean."""
_NULL_STREAM = 0x6E756C6C  # a stream of its own: a seed that also made the membership must not undo the permutation


def control_confidence(num_attacks: int) -> float:
    """Return the confidence of one attack's control, so that all together are at `NULL_CONFIDENCE` (Bonferroni)."""
    return 1 - (1 - NULL_CONFIDENCE) / max(num_attacks, 1)


def null_control(
    score: Float[np.ndarray, "Q"],
    predicted: Bool[np.ndarray, "Q"] | None,
    member: Bool[np.ndarray, "Q"],
    seed: int,
    *,
    num_attacks: int = 1,
    permutations: int = PERMUTATIONS,
) -> dict[str, float]:
    """Return what the same scores achieve against permuted membership, where there is nothing to find.

    `null_auc`, and `null_balanced_accuracy` where there is a rule: means over several permutations, with an interval
    from the exact variance over all permutations (Mann-Whitney with ties; hypergeometric), which has no width where
    every permutation says the same. One that leaves out 0.5, time and again, is a mistake in the evaluation.

    Args:
        score: high = member; no NaN.
        predicted: the records predicted members; None: there is no rule.
        member: the truth; both kinds must be there.
        seed: of the permutations. Give each attack its own (a stage named for it), lest all deviate together.
        num_attacks: how many attacks of the run are asked.
        permutations: how many are drawn.
    """
    generator = np.random.default_rng([seed, _NULL_STREAM])
    ranks, tie_sizes = _midranks(score)
    members = int(member.sum())
    nonmembers = len(member) - members
    areas, advantages = np.empty(permutations), np.empty(permutations)
    for draw in range(permutations):
        permuted = generator.permutation(member)
        areas[draw] = (ranks[permuted].sum() - members * (members + 1) / 2) / (members * nonmembers)
        if predicted is not None:
            hits = np.count_nonzero(predicted & permuted)
            advantages[draw] = hits / members - (np.count_nonzero(predicted) - hits) / nonmembers
    quantile = normal_quantile(control_confidence(num_attacks)) / np.sqrt(permutations)
    metrics = _around(float(areas.mean()), quantile * _area_deviation(tie_sizes, members, nonmembers)).named("null_auc")
    if predicted is not None:
        half = quantile * _advantage_deviation(int(predicted.sum()), members, nonmembers) / 2
        metrics |= _around(float(1 + advantages.mean()) / 2, half).named("null_balanced_accuracy")
    return metrics


def placebo_control(
    score: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    *,
    num_attacks: int = 1,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return `placebo_auc` with its interval, and a line if the interval leaves out one half; nothing if undefined.

    Args:
        score: of the same attack on answers that cannot know who the members are; NaN: could not be scored.
        is_member: the target's membership.
        num_attacks: how many attacks of the run are asked.
        groups: whose record each is: people's records are in or out together, and alike.
    """
    kept = ~np.isnan(score)
    member = is_member[kept]
    if not member.any() or member.all():
        return {}, ()
    whose = None if groups is None else groups[kept]
    found = area(score[kept], member, whose).estimate(control_confidence(num_attacks))
    if found.low <= 0.5 <= found.high:
        return found.named("placebo_auc"), ()
    line = (
        f"{FAILED}: on answers that cannot know the members its AUC is {found.value:.3f} "
        f"({found.low:.3f}-{found.high:.3f}), not .5: its metrics here are not leakage alone"
    )
    return found.named("placebo_auc"), (line,)


def null_line(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Return a line if the null control's interval leaves out one half: one in a hundred runs by chance, at most."""
    value, low, high = (metrics.get(f"null_auc{end}", math.nan) for end in ("", "_low", "_high"))
    if not (low > 0.5 or high < 0.5):
        return ()
    line = (
        f"{FAILED}: against permuted membership, where nothing is to be found, its AUC is {value:.3f} ({low:.3f}-"
        f"{high:.3f}), not .5: time and again, not once in a hundred runs, that is a mistake in the evaluation"
    )
    return (line,)


def numbers_control(
    num_in: Int[np.ndarray, "Q"],
    num_out: Int[np.ndarray, "Q"],
    is_scored: Bool[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    *,
    num_attacks: int = 1,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> tuple[str, ...]:
    """Return a line for each way in which the design alone tells who is a member; none where it tells nothing.

    Args:
        num_in: shadows trained with each record, as the attack used them.
        num_out: shadows trained without it.
        is_scored: whether the attack could score the record.
        is_member: the target's membership.
        num_attacks: how many attacks of the run are asked.
        groups: whose record each is: a person's records are in the same models.
    """
    confidence, lines = control_confidence(3 * num_attacks), []
    hits, misses = is_scored[is_member], is_scored[~is_member]
    codes = None if groups is None else group_codes(groups)
    if len(hits) and len(misses):
        sides = (
            effective_trials(is_scored[side], None if codes is None else codes[side], confidence)
            for side in (is_member, ~is_member)
        )
        found = difference(*next(sides), *next(sides), confidence)
        if not found.low <= 0 <= found.high:
            lines.append(
                f"{FAILED}: {hits.mean():.1%} of the members could be scored and {misses.mean():.1%} of the others: "
                "whether a record has the shadows it needs tells who is a member"
            )
    member, total = is_member[is_scored], (num_in + num_out)[is_scored]
    whose = None if codes is None else codes[is_scored]
    if member.any() and not member.all():
        share = num_in[is_scored] / np.maximum(total, 1)
        for what, values in (("the share of its shadows that saw a record", share), ("their number", total)):
            if values.min() == values.max():  # tells nothing, and need not be estimated
                continue
            found = area(values.astype(np.float64), member, whose).estimate(confidence)
            if not found.low <= 0.5 <= found.high:
                lines.append(
                    f"{FAILED}: {what} tells who is a member (AUC {found.value:.3f}, {found.low:.3f}-{found.high:.3f}) "
                    "whatever models say: its metrics are not leakage alone; mia plan draws models that do not"
                )
    return tuple(lines)


def _around(value: float, half: float) -> Estimate:
    rounding = 1e-12  # means of equal areas differ from one half in the last digits
    return Estimate(value, max(value - half - rounding, 0.0), min(value + half + rounding, 1.0))


def _midranks(score: np.ndarray) -> tuple[Float[np.ndarray, "Q"], Float[np.ndarray, "T"]]:
    """Ranks from 1, ties sharing their mean; and the number of records in each tie."""
    _, tie, sizes = np.unique(score, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[tie.reshape(-1)], sizes.astype(np.float64)


def _area_deviation(tie_sizes: np.ndarray, members: int, nonmembers: int) -> float:
    """Standard deviation of the area over all permutations of the membership."""
    number = members + nonmembers
    ties = float(np.sum(tie_sizes**3 - tie_sizes)) / (number * (number - 1))
    return float(np.sqrt(max(number + 1 - ties, 0.0) / (12 * members * nonmembers)))


def _advantage_deviation(num_predicted: int, members: int, nonmembers: int) -> float:
    """Standard deviation of a rule's advantage over all permutations of the membership."""
    number = members + nonmembers
    share = num_predicted / number
    hits = members * share * (1 - share) * nonmembers / (number - 1)
    return float(np.sqrt(hits) * (1 / members + 1 / nonmembers))
