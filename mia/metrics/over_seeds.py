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


def agreement(is_found: Mapping[str, Bool[np.ndarray, "Q"]]) -> list[dict[str, str | float]]:
    """Return one table row per pair of attacks: `attack`, `other`, how many each and both find, and their `jaccard`.

    Jaccard: found by both over found by either; absent where neither finds anybody. Give the members only, so that
    shared false alarms do not count as agreement.
    """
    rows: list[dict[str, str | float]] = []
    for (name, found), (other, others) in combinations(is_found.items(), 2):
        both, either = int((found & others).sum()), int((found | others).sum())
        row: dict[str, str | float] = {
            "attack": name,
            "other": other,
            "found": float(found.sum()),
            "found_by_other": float(others.sum()),
            "found_by_both": float(both),
        }
        rows.append(row | ({"jaccard": both / either} if either else {}))
    return rows
