"""Which records are exposed: takes scores and those of non-members, gives a list whose false share is controlled.

A record is exposed if its score is too high to be a non-member's. Its conformal p-value says how many non-members score
as high; Benjamini and Hochberg's procedure turns many p-values into a list of which a wanted share at most is false on
average.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from mia.metrics.over_seeds import Judged, align

FALSE_DISCOVERY = 0.05
"""The share of a list that may be false on average."""


def benjamini_hochberg(p: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Return each test's adjusted p-value: reject those at or below q, and q of the rejected are false on average.

    Benjamini and Hochberg (1995, JRSS B 57:289), for independent tests or ones that depend positively. NaN stays NaN
    and is no test.
    """
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(-p[known], kind="stable")]
    ranks = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum.accumulate(np.minimum(p[order] * len(order) / ranks, 1.0))
    return adjusted


def conformal_p_values(
    score: Float[np.ndarray, "Q"], nonmember_score: Float[np.ndarray, "n"]
) -> Float[np.ndarray, "Q"]:
    """Return (1 + non-members that score at least as high) / (1 + non-members) for each score; NaN stays NaN.

    For a record like the non-members it is at or below any u with probability u at most; with one set of non-members
    for all, the p-values depend positively, so that `benjamini_hochberg` holds (Bates et al. 2023, Annals of Statistics
    51:149).
    """
    rising = np.sort(nonmember_score[~np.isnan(nonmember_score)])
    higher = len(rising) - np.searchsorted(rising, score, side="left")
    return np.where(np.isnan(score), np.nan, (1.0 + higher) / (1.0 + len(rising)))


def combine_p_values(p: Float[np.ndarray, "S Q"]) -> Float[np.ndarray, "Q"]:
    """Return one p-value per record from several seeds' (NaN: not asked): twice their mean, however they depend.

    Vovk and Wang (2020, Biometrika 107:791). One p-value stays as it is; none is NaN.
    """
    known = np.sum(~np.isnan(p), axis=0)
    mean = np.divide(np.nansum(p, axis=0), known, out=np.full(p.shape[1], np.nan), where=known > 0)
    return np.where(known > 1, np.minimum(2 * mean, 1.0), mean)


def is_exposed(
    score: Float[np.ndarray, "Q"],
    nonmember_score: Float[np.ndarray, "n"],
    false_discovery: float = FALSE_DISCOVERY,
) -> Bool[np.ndarray, "Q"]:
    """Return which records are exposed, of which a share `false_discovery` at most is not, on average.

    Args:
        score: of the records asked about: an attacker's candidates, or an owner's training records.
        nonmember_score: of records known not to be members, and no others: a stand-in's for the attacker, the target's
            own for its owner. They must not be among those asked.
        false_discovery: the share allowed.
    """
    adjusted = benjamini_hochberg(conformal_p_values(score, nonmember_score))
    return np.nan_to_num(adjusted, nan=2.0) <= false_discovery


def exposed_members(
    runs: Sequence[Judged], false_discovery: float = FALSE_DISCOVERY
) -> list[tuple[int, float, float, int]]:
    """Return the members that an attack exposes, the most exposed first: the owner's list.

    Each is `(record, p, q, seeds)`: its position in the data set, its p-value against the targets' own non-members,
    combined over seeds, the share of false ones on a list that ends here, and how many seeds asked about it.

    Args:
        runs: one per seed.
        false_discovery: the share allowed.
    """
    index = [one[member] for one, member, _ in runs]
    values = [conformal_p_values(score[member], score[~member]) for _, member, score in runs]
    records, aligned = align(index, values, np.nan)
    p = combine_p_values(aligned)
    q, seeds = benjamini_hochberg(p), np.sum(~np.isnan(aligned), axis=0)
    listed = np.flatnonzero(np.nan_to_num(q, nan=2.0) <= false_discovery)
    listed = listed[np.argsort(p[listed], kind="stable")]
    return [(int(records[k]), float(p[k]), float(q[k]), int(seeds[k])) for k in listed]
