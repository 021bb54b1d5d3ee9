"""What the columns of a table are: numbers, dates, categories or bits, and what is to be said of each.

Takes Arrow arrays as a file holds them; gives `mia.data.columns.Column`s and a summary of each for people. Never
guesses what a doubtful column means: it says so in one line, with the option that settles it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from mia.checks import RequestError
from mia.data import dates, words
from mia.data.cells import Cells, cells_of, is_text, plain_numbers, quantities
from mia.data.columns import MISSING, Column
from mia.data.validate import variants
from mia.records import ColumnSummary

if TYPE_CHECKING:
    import pyarrow as pa

MAX_VALUES = 1000
"""Different values a category may have; beyond that it is an identifier or free text."""
MANY = 20
"""Different values of a category from which they should not look like numbers."""
_HALF = 0.5
_EXACT = 2.0**53  # beyond it whole numbers have no float64 of their own
_EARLIEST, _LATEST = 1900_01_01, 2100_12_31  # dates without separators
_MOMENTS = ("date", "timestamp")  # Arrow's types of dates begin so
_MISSING_MARKS = {"na", "n/a", "nan", "null", "none", "nil", "missing", "?", "-", "--", ".", "#n/a", "#na", "#null!"}
"""Texts that often mean missing: a hint for errors, never a rule."""


@dataclass(frozen=True)
class Rules:
    """How columns are to be read, from the options of a table."""

    where: str
    kinds: Mapping[str, str] = field(default_factory=dict)  # column -> number, category, date, date:FORMAT
    missing_values: frozenset[str] = frozenset()  # texts that mean missing, beside the empty one
    allow_missing: bool = False  # in numbers
    decimal: str | None = None
    thousands: str | None = None


@dataclass(frozen=True)
class Found:
    """One column, understood."""

    column: Column
    summary: ColumnSummary
    names: tuple[str, ...] = ()  # of a category, in the order of its codes
    notes: tuple[str, ...] = ()


def understand(names: Sequence[str], arrays: Sequence["pa.Array"], rules: Rules) -> Iterator[Found]:
    """Yield what each column is.

    Raises:
        RequestError: a column is empty, could be read in two ways, or is neither numbers nor categories.
    """
    is_plain = rules.decimal in (None, ".") and rules.thousands is None
    fast = [i for i, array in enumerate(arrays) if is_plain and is_text(array) and names[i] not in rules.kinds]
    numbers = dict(zip(fast, plain_numbers([arrays[i] for i in fast], rules.missing_values), strict=True))
    for i, (name, array) in enumerate(zip(names, arrays, strict=True)):
        values = numbers.pop(i, None)
        yield _number(name, values, rules, array=array) if values is not None else _understand(name, array, rules)


def _understand(name: str, array: "pa.Array", rules: Rules) -> Found:
    if array.null_count == len(array):
        raise RequestError(f"{_at(name, rules)} holds no values; leave it out: {_drop(name)}")
    kind, sort = rules.kinds.get(name, ""), str(array.type)
    is_quantity = sort != "bool" and not is_text(array) and kind in ("", "number")
    if is_quantity or (sort.startswith(_MOMENTS) and kind == "date"):
        is_date = sort.startswith(_MOMENTS)
        values = quantities(array, _at(name, rules), _drop(name), rules.missing_values)
        return _number(name, values, rules, is_date=is_date, how="days since 1970" if is_date else "", array=array)
    return _text(name, array, kind, rules)


def _at(name: str, rules: Rules) -> str:
    return f"{rules.where} column {name!r}"


def _drop(name: str) -> str:
    return f"data.drop=[{name!r}]"


def _key(name: str) -> str:
    """Return a name as a key of a mapping on the command line."""
    return re.sub(r"([\\()\[\]{}:=, \t])", r"\\\1", name)


def _text(name: str, array: "pa.Array", kind: str, rules: Rules) -> Found:
    """Return what a column of text is; refuse one of numbers or dates with some text in it."""
    cells = cells_of(array, _at(name, rules), rules.missing_values)
    if not cells.texts:
        raise RequestError(f"{_at(name, rules)} holds no values; leave it out: {_drop(name)}")
    is_truth = not kind and len(cells.texts) <= 6 and {text.lower() for text in cells.texts} <= {"true", "false"}
    if is_truth and (cells.codes >= 0).all():
        is_true = np.array([text.lower() == "true" for text in cells.texts])
        return Found(Column(name, "bit", is_true[cells.codes].astype(np.uint8)), ColumnSummary(name, "bit", 2, 0))
    bare = cells.tidy(frozenset())
    if kind.startswith("date"):
        form = kind.partition(":")[2] or None
        return _all_of("date", name, bare, dates.read_dates(bare.texts, bare.counts, form), rules)
    if kind != "category":
        numbers = words.read_numbers(bare.texts, bare.counts, rules.decimal, rules.thousands)
        if kind == "number" or numbers.share == 1:
            return _all_of("number", name, bare, numbers, rules)
        days = dates.read_dates(bare.texts, bare.counts)
        if days.like > _HALF:
            return _all_of("date", name, bare, days, rules)
        if numbers.like > _HALF:
            return _all_of("number", name, bare, numbers, rules)
    return _category(name, cells, rules)


def _all_of(kind: str, name: str, cells: Cells, found: words.Words, rules: Rules) -> Found:
    """Return numbers or dates where all texts are; refuse them where a text is not, or could be two things."""
    at = _at(name, rules)
    if found.ways:
        example = cells.texts[int(cells.counts.argmax())]
        if found.share < 1:
            raise RequestError(
                f"{at} holds {kind}s written in several ways ({' and '.join(found.ways)}); write them in one, or say "
                f"that it is no quantity: data.categories=[{name!r}]"
            )
        ways = [way if "=" in way else f"""'data.kinds={{{_key(name)}: "date:{way}"}}'""" for way in found.ways]
        raise RequestError(
            f"{at} holds {kind}s such as {example!r} that can be read in two ways; set {' or '.join(ways)}"
        )
    is_bad = np.isnan(found.values) if len(found.values) else np.ones(len(cells.texts), bool)
    if is_bad.any():
        bad = int(is_bad.argmax())
        record = int((cells.codes == bad).argmax())
        if cells.texts[bad].lower().lstrip("+-") in ("inf", "infinity", "∞"):
            raise RequestError(f"{at} holds infinite values, first in record {record}")
        raise RequestError(
            f"{at} holds {kind}s but also text, such as {cells.texts[bad]!r} in record {record}; mend it, "
            f"{_way_out(name, kind, cells.texts[bad], rules)}"
        )
    values = cells.spread(found.values)
    return _number(name, values, rules, is_date=kind == "date", how=found.how)


def _way_out(name: str, kind: str, bad: str, rules: Rules) -> str:
    if bad.lower() in _MISSING_MARKS:
        return f"or say that it means missing: data.missing_values=[{bad!r}]"
    if kind == "number" and name in rules.kinds:
        return f"or leave it out: {_drop(name)}"
    marks = "" if kind == "date" or not any(mark in bad for mark in ",.") else ", set data.decimal and data.thousands"
    return f"or say that it is no quantity: data.categories=[{name!r}]{marks}"


def _number(
    name: str,
    values: Float64[np.ndarray, "N"],
    rules: Rules,
    *,
    is_date: bool = False,
    how: str = "",
    array: "pa.Array | None" = None,
) -> Found:
    at = _at(name, rules)
    if np.isinf(values).any():
        raise RequestError(f"{at} holds infinite values, first in record {np.isinf(values).argmax()}")
    missing = int(np.isnan(values).sum())
    if missing == len(values):
        raise RequestError(f"{at} holds no values; leave it out: {_drop(name)}")
    if missing and not rules.allow_missing:
        raise RequestError(
            f"{at} has no value in {missing:,} of {len(values):,} records ({missing / len(values):.1%}); fill them, "
            "or set data.missing=indicator"
        )
    if not missing and ((values == 0) | (values == 1)).all():
        return Found(Column(name, "bit", values), ColumnSummary(name, "bit", 2, 0, read_as=how))
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    say = dates.day_words if is_date and how != "hours" else lambda value: f"{value:.6g}"
    summary = ColumnSummary(name, "date" if is_date else "number", 0, missing, say(low), say(high), how)
    notes = [] if is_date else _doubts(name, values, array)
    return Found(Column(name, "number", values), summary, notes=tuple(notes))


def _doubts(name: str, values: Float64[np.ndarray, "N"], array: "pa.Array | None") -> list[str]:
    """Return what makes a column of numbers look like something else."""
    if np.nanmax(np.abs(values)) > _EXACT and array is not None:
        import pyarrow.compute as pc

        lost = pc.count_distinct(array).as_py() - len(np.unique(values[~np.isnan(values)]))
        if lost > 0:
            lines = f"column {name!r} has whole numbers too large to tell apart ({lost:,} are taken for another one)"
            return [f"{lines}: an identifier? leave it out: {_drop(name)}"]
    if np.nanmin(values) >= _EARLIEST and np.nanmax(values) <= _LATEST and _are_days(values):
        said = f'{{{_key(name)}: "date:%Y%m%d"}}'
        return [f"column {name!r} looks like dates without separators: if so, 'data.kinds={said}'"]
    if len(values) > 2 and values[0] in (0, 1) and values[1] == values[0] + 1 and (np.diff(values) == 1).all():
        return [f"column {name!r} counts the records: a row number? leave it out: {_drop(name)}"]
    if array is not None and is_text(array) and np.nanmax(values) >= 1 and (np.floor(values) == values).all():
        import pyarrow.compute as pc

        if pc.any(pc.match_substring_regex(array, r"^\s*0\d")).as_py():
            return [f"column {name!r} has numbers that begin with 0: codes? if so, data.categories=[{name!r}]"]
    return []


def _are_days(values: Float64[np.ndarray, "N"]) -> bool:
    """Tell whether numbers are like 20200131."""
    known = values[~np.isnan(values)]
    month, day = known // 100 % 100, known % 100
    is_day = (known % 1 == 0) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool(is_day.all() and len(np.unique(known)) > 2)


def _category(name: str, cells: Cells, rules: Rules) -> Found:
    count, present = len(cells.texts), int((cells.codes >= 0).sum())
    if count > MAX_VALUES:
        raise RequestError(
            f"{_at(name, rules)} holds {count:,} different values; a category may have {MAX_VALUES:,}; leave it out: "
            f"{_drop(name)}"
        )
    if name not in rules.kinds and count > MANY and words.look_like_values(cells.texts, cells.counts) > _HALF:
        raise RequestError(
            f"{_at(name, rules)} holds {count:,} different texts, such as {cells.texts[0]!r} and {cells.texts[1]!r}, "
            "that look like numbers, dates or identifiers, and cannot be read as any; mend them, or say what they are: "
            f"'data.kinds={{{_key(name)}: category}}' (or drop, or date: and its format)"
        )
    missing = len(cells.codes) - present
    texts = list(cells.texts)
    if missing:
        mark = MISSING
        while mark in texts:
            mark += MISSING
        texts.append(mark)  # which code -1 takes
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts))
    notes = []
    if count == present > 4:
        notes.append(
            f"column {name!r} has a different text in every record: an identifier? leave it out: {_drop(name)}"
        )
    elif count > max(20, present // 4):
        notes.append(f"column {name!r} has {count:,} different texts in {present:,} records: is it a category?")
    notes += [
        f"column {name!r} has values that differ by a dot, a space or case: {alike}" for alike in variants(texts)[:1]
    ]
    names = tuple(texts[i] for i in order)
    return Found(
        Column(name, "category", rank[cells.codes]),
        ColumnSummary(name, "category", len(texts), missing),
        names,
        tuple(notes),
    )
