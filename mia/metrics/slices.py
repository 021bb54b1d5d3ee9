"""Who is exposed: takes scores and what the records are like, gives leakage per slice and where slices differ.

A slice is the records with one value of a property: a class, right or wrong, a fifth of the confidences, a column.
Slices with too few members or non-members are pooled, or left out and counted. Each is compared with all other records
of the same property, and the false discovery rate of all these comparisons together is controlled.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.metrics.auc import Area, area
from mia.metrics.clusters import effective_trials, group_codes
from mia.metrics.discoveries import FALSE_DISCOVERY, benjamini_hochberg
from mia.metrics.rates import CONFIDENCE, Estimate, clopper_pearson, squares_and_add

FEWEST = 10
"""Members, and non-members, that a slice needs to be shown by itself."""
PARTS = 5
"""Quantiles that numbers are cut into."""

Row = dict[str, str | float]


def standard_slices(
    labels: Int[np.ndarray, "Q"],
    is_correct: Bool[np.ndarray, "Q"],
    confidence: Float[np.ndarray, "Q"],
    class_names: Sequence[str] = (),
    named: Mapping[str, Shaped[np.ndarray, "Q"]] | None = None,
) -> dict[str, Shaped[np.ndarray, "Q"]]:
    """Return the slices of every run - `class`, `correct`, `confidence` - and named ones, each as text per record.

    Args:
        labels: classes.
        is_correct: whether the target is right on each record.
        confidence: the target's probability of the true class; cut into fifths.
        class_names: one per class; where empty, a class is called by its number.
        named: further properties; numbers with more than ten values are cut into fifths.
    """
    names = np.array([str(name) for name in class_names]) if class_names else None
    slices = {
        "class": labels.astype(str) if names is None else names[labels],
        "correct": np.where(is_correct, "right", "wrong"),
        "confidence": quantile_names(confidence),
    }
    return slices | {name: value_names(values) for name, values in (named or {}).items()}


def value_names(values: Shaped[np.ndarray, "Q"]) -> Shaped[np.ndarray, "Q"]:
    """Return each record's value as text; numbers with more than ten distinct values as fifths."""
    is_number = np.issubdtype(values.dtype, np.number)
    if is_number and len(np.unique(values)) > 2 * PARTS:
        return quantile_names(values.astype(np.float64))
    said = number_name if is_number else str
    return np.array([said(value) for value in values.tolist()], dtype=object).astype(str)


LARGEST_WHOLE = 2**53
"""Up to which whole numbers are known as such."""


def number_name(value: float) -> str:
    """Return a number as text that no other number has; NaN is `missing`."""
    if value != value:  # noqa: PLR0124 - NaN
        return "missing"
    if isinstance(value, int) or (value.is_integer() and abs(value) < LARGEST_WHOLE):
        return str(int(value))
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def quantile_names(values: Float[np.ndarray, "Q"], parts: int = PARTS) -> Shaped[np.ndarray, "Q"]:
    """Return the quantile of each record by its place and range, such as `1: 0.12 to 0.48`; NaN is `missing`.

    Equal values are never separated, so that there may be fewer parts, of unequal size.
    """
    known = ~np.isnan(values)
    names = np.full(len(values), "missing", dtype=object)
    if known.any():
        edges = np.unique(np.quantile(values[known], np.arange(1, parts) / parts, method="higher"))
        part = np.searchsorted(edges, values, side="left")
        for place, number in enumerate(np.unique(part[known]), start=1):
            inside = known & (part == number)
            names[inside] = f"{place}: {values[inside].min():.4g} to {values[inside].max():.4g}"
    return names.astype(str)


def slice_rows(
    scores: Mapping[str, Float[np.ndarray, "Q"]],
    is_member: Bool[np.ndarray, "Q"],
    slices: Mapping[str, Shaped[np.ndarray, "Q"]],
    *,
    thresholds: Mapping[str, float | None] | None = None,
    groups: Shaped[np.ndarray, "Q"] | None = None,
    fewest: int = FEWEST,
    confidence: float = CONFIDENCE,
    false_discovery: float = FALSE_DISCOVERY,
) -> tuple[list[Row], tuple[str, ...]]:
    """Return one table row per attack and slice, and a line for the slices that are left out.

    Columns: `attack`, `slice` (the property), `value`, `members`, `non_members`, `auc`, and where the attack has a
    learnt threshold `tpr_at_learnt_1pct_fpr` and `fpr_at_learnt_1pct_fpr`; against all other records of the property
    `auc_difference`, `p_value`, `q_value` (adjusted over all rows: Benjamini and Hochberg) and `is_different` (1 or 0:
    q at most `false_discovery`). Values have `_low` and `_high` where they have an interval.

    Args:
        scores: by attack, high = member; NaN is left out.
        is_member: the truth.
        slices: by property, each record's value as text.
        thresholds: by attack, learnt on stand-ins for a false-positive rate of 1%; None: there is none.
        groups: whose record each is, where intervals have to take that into account.
        fewest: members, and non-members, that a slice needs (with groups: groups that have some); those with fewer are
            pooled, and left out if even together they have too few.
        confidence: of the intervals.
        false_discovery: the share of the differences found that may be false on average.
    """
    rows: list[Row] = []
    left_out: dict[str, None] = {}
    for attack, score in scores.items():
        threshold = (thresholds or {}).get(attack)
        for name, values in slices.items():
            kept = ~np.isnan(score)
            whose = None if groups is None else groups[kept]
            pooled, lines = pool_small(values[kept], is_member[kept], fewest, whose)
            left_out |= dict.fromkeys(f"slice {name}: {line}" for line in lines)
            found = _property_rows(score[kept], is_member[kept], pooled, whose, threshold, confidence)
            rows += [{"attack": attack, "slice": name, **row} for row in found]
    p = np.array([row.get("p_value", np.nan) for row in rows], dtype=np.float64)
    for row, q in zip(rows, benjamini_hochberg(p), strict=True):
        if not np.isnan(q):
            row |= {"q_value": float(q), "is_different": float(q <= false_discovery)}
    return rows, tuple(left_out)


def pool_small(
    values: Shaped[np.ndarray, "Q"],
    is_member: Bool[np.ndarray, "Q"],
    fewest: int = FEWEST,
    groups: Shaped[np.ndarray, "Q"] | None = None,
) -> tuple[Shaped[np.ndarray, "Q"], tuple[str, ...]]:
    """Return the slice of each record, small ones as one, empty text where left out; and a line that counts these."""
    names, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(-1)
    whose = np.arange(len(values)) if groups is None else group_codes(groups)
    is_small = np.minimum(*(_independent(codes[side], whose[side], len(names)) for side in (is_member, ~is_member)))
    is_small = is_small < fewest
    number = int(is_small.sum())
    if not number:
        return values, ()
    inside = is_small[codes]
    together = min(len(np.unique(whose[inside & side])) for side in (is_member, ~is_member))
    can_pool = number > 1 and together >= fewest
    pooled = names.astype(object)
    pooled[is_small] = f"other ({number} small ones)" if can_pool else ""
    if can_pool:
        return pooled[codes].astype(str), ()
    word, of = "value" if number == 1 else "values", "" if groups is None else "groups of "
    line = f"{number} {word} with {int(inside.sum()):,} records left out: fewer than {fewest} {of}members or others"
    return pooled[codes].astype(str), (line,)


def _independent(codes: Int[np.ndarray, "n"], whose: Int[np.ndarray, "n"], number: int) -> Int[np.ndarray, "number"]:
    """Return how many different owners the records of each slice have."""
    pairs = np.unique(np.stack([codes, whose]), axis=1)
    return np.bincount(pairs[0], minlength=number)


def _property_rows(
    score: np.ndarray,
    is_member: np.ndarray,
    values: np.ndarray,
    groups: np.ndarray | None,
    threshold: float | None,
    confidence: float,
) -> list[Row]:
    rows: list[Row] = []
    for value in (name for name in np.unique(values) if name):
        inside = values == value
        own = _area_of(score, is_member, groups, inside)
        if own is None:
            continue
        member = is_member[inside]
        row: Row = {"value": str(value), "members": float(member.sum()), "non_members": float((~member).sum())}
        row |= own.estimate(confidence).named("auc")
        if threshold is not None:
            whose = None if groups is None else group_codes(groups[inside])
            row |= _at_threshold(score[inside] >= threshold, member, whose, confidence)
        others = _area_of(score, is_member, groups, ~inside & (values != ""))
        if others is not None:
            row |= _difference(own, others, confidence).named("auc_difference")
            row["p_value"] = difference_p_value(own, others)
        rows.append(row)
    return rows


def _area_of(score: np.ndarray, is_member: np.ndarray, groups: np.ndarray | None, chosen: np.ndarray) -> Area | None:
    member = is_member[chosen]
    if not member.any() or member.all():
        return None
    return area(score[chosen], member, None if groups is None else groups[chosen])


def _at_threshold(
    is_predicted: np.ndarray, is_member: np.ndarray, codes: np.ndarray | None, confidence: float
) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, side in (("tpr_at_learnt_1pct_fpr", is_member), ("fpr_at_learnt_1pct_fpr", ~is_member)):
        trials = effective_trials(is_predicted[side], None if codes is None else codes[side], confidence)
        found |= clopper_pearson(*trials, confidence).named(name)
    return found


def _difference(a: Area, b: Area, confidence: float) -> Estimate:
    """The difference of two areas over different records: distances to their own limits add as squares."""
    return squares_and_add(a.estimate(confidence), b.estimate(confidence))


def difference_p_value(a: Area, b: Area) -> float:
    """Return the error at which the interval of the difference of two areas begins to leave out zero."""
    low, high = 0.0, 1.0
    for _ in range(40):
        error = (low + high) / 2
        found = _difference(a, b, 1 - error)
        if found.low <= 0 <= found.high:
            low = error
        else:
            high = error
    return high
