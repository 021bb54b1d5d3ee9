"""People in place of records: takes records' scores and whose they are, gives leakage over groups.

A group's records are in or out of the training set together, and are judged together by one score. Groups with records
on both sides have no membership of their own: counted and left out.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from mia.checks import one_of
from mia.metrics.auc import auc
from mia.metrics.clusters import group_codes
from mia.metrics.rates import CONFIDENCE
from mia.metrics.roc import roc, tpr_at_low_fpr

GROUP_SCORES = ("mean", "sum", "max")
"""How the scores of a group's records become one."""


@dataclass(frozen=True)
class GroupScores:
    """One score per group whose records are all in or all out, in the order of the groups' names."""

    name: Shaped[np.ndarray, "G"]
    score: Float[np.ndarray, "G"]
    is_member: Bool[np.ndarray, "G"]
    num_records: Shaped[np.ndarray, "G"]  # that were scored
    num_mixed: int  # groups left out since some of their records are in and some out


def group_scores(
    score: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    groups: Shaped[np.ndarray, "Q"],
    how: str = "mean",
) -> GroupScores:
    """Return one score per group; records of NaN are left out, but count when it is asked whether a group is mixed.

    A group whose scores hold both infinities has no sum, and is left out.

    Args:
        score: of the records, high = member.
        is_member: of the records.
        groups: whose record each is, numbers or text.
        how: `mean`, `sum` (favours those with many records) or `max`.

    Raises:
        RequestError: `how` is none of these.
    """
    one_of("audit.group_score", how, GROUP_SCORES)
    names, codes = np.unique(groups), group_codes(groups)
    members = np.bincount(codes, is_member, len(names))
    is_mixed = (members > 0) & (members < np.bincount(codes, minlength=len(names)))
    kept = ~np.isnan(score)
    sizes = np.bincount(codes[kept], minlength=len(names))
    if how == "max":
        found = np.full(len(names), -np.inf)
        np.maximum.at(found, codes[kept], score[kept])
    else:
        found = _sums(score[kept], codes[kept], len(names))
        found = found / np.maximum(sizes, 1) if how == "mean" else found
    use = ~is_mixed & (sizes > 0) & ~np.isnan(found)
    return GroupScores(names[use], found[use], members[use] > 0, sizes[use], int(is_mixed.sum()))


def _sums(score: Float[np.ndarray, "S"], codes: Shaped[np.ndarray, "S"], count: int) -> Float[np.ndarray, "G"]:
    """Return the sum of each group's scores, rounded once: the same in any order; NaN where both infinities are."""
    parts = np.split(score[np.argsort(codes, kind="stable")], np.cumsum(np.bincount(codes, minlength=count))[:-1])
    return np.array([math.fsum(part) if np.isfinite(part).all() else np.sum(part) for part in parts], np.float64)


def group_metrics(
    score: Float[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    groups: Shaped[np.ndarray, "Q"],
    how: str = "mean",
    confidence: float = CONFIDENCE,
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return leakage over groups, each of them one trial, and a line for each thing a person should know.

    `group_auc`, `group_tpr_at_1pct_fpr` (and lower) with intervals, `group_fpr_reached_at_1pct`; `num_groups` judged,
    `num_groups_mixed` left out. What the groups cannot say is absent. Arguments as for `group_scores`.
    """
    found = group_scores(score, is_member, groups, how)
    metrics = {"num_groups": float(len(found.name)), "num_groups_mixed": float(found.num_mixed)}
    warnings = []
    if found.num_mixed:
        warnings.append(f"{found.num_mixed:,} groups have records in and out of training: left out of group metrics")
    if not found.is_member.any() or found.is_member.all():
        absent = "out of" if found.is_member.any() else "in"
        warnings.append(f"group_auc and the like left out: there is no group that is wholly {absent} training")
        return metrics, tuple(warnings)
    metrics |= auc(found.score, found.is_member, confidence).named("group_auc")
    low, unresolved = tpr_at_low_fpr(roc(found.score, found.is_member), confidence=confidence)
    metrics |= {f"group_{name}": value for name, value in low.items()}
    warnings += [f"group_{line.replace('non-members', 'groups out of training')}" for line in unresolved]
    return metrics, tuple(warnings)
