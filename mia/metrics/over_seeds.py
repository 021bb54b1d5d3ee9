"""What repeats over seeds: takes who was found in each run, gives coverage, stability and agreement.

One run's list of found members is partly luck: another seed, with the same data, finds others.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int, Int8, Shaped

from mia.metrics.rates import CONFIDENCE, clopper_pearson
from mia.metrics.roc import roc
from mia.records import IN, OUT

Judged = tuple[Int[np.ndarray, "Q"], Bool[np.ndarray, "Q"], Float[np.ndarray, "Q"]]
"""One attack on one run: which records were asked about, whether they were members, and their scores."""


def found_at_fpr(score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], rate: float) -> Bool[np.ndarray, "Q"]:
    """Return the records at or above the lowest threshold whose false-positive rate does not exceed `rate`.

    The threshold is the one of `tpr_at_*_fpr`. A record of NaN is not found; without non-members nobody is.
    """
    kept = ~np.isnan(score)
    curve = roc(score[kept], is_member[kept])
    allowed = np.floor(curve.num_nonmembers * rate * (1 + 1e-12))
    if not curve.num_nonmembers:
        return np.zeros(len(score), bool)
    point = int(np.searchsorted(curve.false_positives, allowed, side="right")) - 1
    return np.nan_to_num(score, nan=-np.inf) >= curve.thresholds[point] if point else np.zeros(len(score), bool)


def align(
    indices: Sequence[Int[np.ndarray, "_"]], values: Sequence[Shaped[np.ndarray, "_"]], fill: float | bool
) -> tuple[Int[np.ndarray, "N"], Shaped[np.ndarray, "S N"]]:
    """Return the records that any run asked about, and each run's values of them; `fill` where it did not ask.

    Fill memberships with -1 and findings with False.
    """
    records = np.unique(np.concatenate(indices))
    aligned = np.full((len(indices), len(records)), fill, dtype=np.result_type(*values, np.asarray(fill).dtype))
    for row, (index, value) in enumerate(zip(indices, values, strict=True)):
        aligned[row, np.searchsorted(records, index)] = value
    return records, aligned


def repeats(
    is_found: Bool[np.ndarray, "S N"], membership: Int8[np.ndarray, "S N"], confidence: float = CONFIDENCE
) -> dict[str, float]:
    """Return how many members are found in any seed, in all of them, and on average.

    `coverage`: found at least once; `stability`: found every time; `found_per_seed`: the mean share found by one seed;
    `false_coverage`: non-members found at least once, what luck gives. All are over the records that were members
    (non-members) in at least two seeds - with one split for all seeds these are all - and count only those seeds, with
    exact intervals over records. `num_seeds`, `num_members`: on which this rests. What has no such record is absent.

    Args:
        is_found: by seed and record.
        membership: 1 in, 0 out, -1 not asked, by seed and record.
        confidence: of the intervals.
    """
    metrics = {"num_seeds": float(len(is_found))}
    for kind, prefix in ((IN, ""), (OUT, "false_")):
        asked = membership == kind
        again = asked.sum(0) >= 2
        if kind == IN:
            metrics["num_members"] = float(again.sum())
        if not again.any():
            continue
        asked, found = asked[:, again], (is_found & asked)[:, again]
        times, number = asked.sum(0), int(again.sum())
        metrics |= clopper_pearson(int(found.any(0).sum()), number, confidence).named(f"{prefix}coverage")
        if kind == IN:
            metrics |= clopper_pearson(int((found.sum(0) == times).sum()), number, confidence).named("stability")
            metrics["found_per_seed"] = float(np.mean(found.sum(0) / times))
    return metrics


def repeats_at_fpr(runs: Sequence[Judged], rate: float) -> dict[str, float]:
    """Return `repeats` of runs that differ in their seed, each finding whom its own threshold for `rate` finds."""
    index, member, score = zip(*runs, strict=True)
    found = [found_at_fpr(one, truth, rate) for one, truth in zip(score, member, strict=True)]
    membership = align(index, [truth.astype(np.int8) for truth in member], -1)[1].astype(np.int8)
    return repeats(align(index, found, fill=False)[1], membership)


def overlap_rows(
    scores: Mapping[str, Float[np.ndarray, "Q"]], is_member: Bool[np.ndarray, "Q"], rate: float = 0.01
) -> list[dict[str, str | float]]:
    """Return which attack finds whom at a false-positive rate: one table row per attack, a matrix with two counts.

    Columns `attack`, `found` (how many members), `found_alone` (those that no other of these attacks finds) and one per
    attack, the Jaccard index of the two lists of found members: found by both over found by either. It is absent where
    neither finds anybody.

    Args:
        scores: by attack, of the candidate records.
        is_member: the target's membership.
        rate: the false-positive rate, each attack's threshold being its own.
    """
    found = {name: found_at_fpr(score, is_member, rate)[is_member] for name, score in scores.items()}
    times = np.sum(list(found.values()), axis=0)
    rows: list[dict[str, str | float]] = []
    for name, mine in found.items():
        row: dict[str, str | float] = {
            "attack": name,
            "found": float(mine.sum()),
            "found_alone": float((mine & (times == 1)).sum()),
        }
        for other, others in found.items():
            if either := int((mine | others).sum()):
                row[other] = int((mine & others).sum()) / either
        rows.append(row)
    return rows


def agreement(is_found: Mapping[str, Bool[np.ndarray, "Q"]]) -> list[tuple[str, str, float, int]]:
    """Return `(attack, other, jaccard, both)` for each pair of attacks that find anybody, in both orders.

    Jaccard: found by both over found by either. Each is paired with itself, too, which says how many it finds; one
    attack alone has nobody to agree with. Give the members only: shared false alarms are no agreement.
    """
    known = {name: found for name, found in is_found.items() if found.any()}
    pairs = [(name, name) for name in known]
    pairs += [ordered for pair in combinations(known, 2) for ordered in (pair, pair[::-1])]
    rows = []
    for name, other in pairs if len(known) > 1 else ():
        both, either = int((known[name] & known[other]).sum()), int((known[name] | known[other]).sum())
        rows.append((name, other, both / either, both))
    return rows
