"""Any table: a CSV or Parquet file, one column of which is the class; the rest is treated as `mia.data.columns` says.

Text is a category, numbers are numbers (or categories, where the options say so), dates are days, what is only 0 and 1
stays a bit. A missing category is a category of its own; missing numbers are refused, or become the mean beside a bit
that says so (`data.missing=indicator`). Never guesses what a doubtful column means: it says so in one line.
"""

import codecs
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int32

from mia.checks import RequestError, did_you_mean, one_of
from mia.data import Progress, dataset, dates
from mia.data.cells import cells_of
from mia.data.columns import encode
from mia.data.kinds import Found, Rules, understand
from mia.data.options import FileOptions, need_path
from mia.data.sheet import SEPARATORS, Hint, read_sheet
from mia.data.validate import SMALLEST, finish, some
from mia.data.words import is_plain
from mia.records import ColumnSummary, Dataset

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = ("number", "category", "date", "drop")
DECIMALS = {"point": ".", "comma": ","}
THOUSANDS = {"comma": ",", "point": ".", "space": " ", "apostrophe": "'"}
_NULLS = ("null", "NULL", "Null")  # what YAML reads as nothing


@dataclass
class TableOptions(FileOptions):
    """A CSV or Parquet file with one column of labels."""

    name: str = "table"
    label: str = ""  # the column that holds the class
    kinds: Any = None  # column -> number, category, date, date:%d/%m/%Y or drop
    categories: list[str] = field(default_factory=list)  # columns of numbers that are codes, not quantities
    drop: list[str] = field(default_factory=list)  # columns to leave out, such as identifiers
    missing: str = "error"  # missing numbers: "error", or "indicator" (the mean, and a bit that says so)
    missing_values: list[str | None] = field(default_factory=list)  # texts that mean missing, beside the empty cell
    separator: str | None = None  # a character, or its name; null: comma, in a .tsv tab
    decimal: str | None = None  # comma or point; null: what each column shows
    thousands: str | None = None  # comma, point, space or apostrophe; null: what each column shows
    encoding: str | None = None  # of a CSV file; null: UTF-8
    header: bool = True  # false: the first line is a record, and the columns are c1, c2 ...
    group: str | None = None  # the column that says whose record it is; no feature
    slices: list[str] = field(default_factory=list)  # columns whose values reports compare

    def __post_init__(self) -> None:
        super().__post_init__()
        need_path(self.path, "a .csv or .parquet file")
        if not self.label:
            raise RequestError(f"data.label={self.label!r} must name the column that holds the class")
        one_of("data.missing", self.missing, ["error", "indicator"])
        self._check_kinds()
        self._check_reading()
        for key, columns in (("categories", self.categories), ("drop", self.dropped), ("kinds", self.kinds or {})):
            for named, what in ((self.label, "label"), (self.group, "group")):
                if named in columns and (what == "label" or key != "drop"):
                    shown = columns if isinstance(columns, dict) else list(columns)
                    raise RequestError(f"data.{key}={shown!r} must not list the {what} column data.{what}={named!r}")
        if self.group == self.label:
            raise RequestError(f"data.group={self.group!r} must not be the label column")

    def _check_kinds(self) -> None:
        """Check the mapping, which OmegaConf cannot: its typed ones take no new keys on the command line."""
        if self.kinds is not None and not isinstance(self.kinds, dict):
            raise RequestError(f"data.kinds={self.kinds!r} must be a mapping, such as 'data.kinds={{zip: category}}'")
        self.kinds = {str(column): kind for column, kind in (self.kinds or {}).items()} or None
        for column, kind in (self.kinds or {}).items():
            if not str(kind).startswith("date:"):
                one_of(f"data.kinds.{column}", str(kind), KINDS)
            elif not dates.is_form(str(kind).removeprefix("date:")):
                raise RequestError(f"data.kinds.{column}={kind!r} must have a format such as date:%d/%m/%Y %H:%M")

    def _check_reading(self) -> None:
        for key, names in (("decimal", DECIMALS), ("thousands", THOUSANDS)):
            given = getattr(self, key)
            if given is not None and given not in names.values():
                one_of(f"data.{key}", given, names)
        if self.decimal and self.thousands and self.decimal_mark == self.thousands_mark:
            raise RequestError(f"data.decimal={self.decimal!r} and data.thousands={self.thousands!r} must differ")
        separator = self.separator
        if separator is not None and (len(separator) != 1 or separator.isalnum() or separator in "\"\r\n\0.'"):
            one_of("data.separator", separator, SEPARATORS)
        if self.encoding is not None:
            try:
                is_text = codecs.lookup(self.encoding)._is_text_encoding
            except (LookupError, ValueError):
                is_text = False
            if not is_text:
                raise RequestError(
                    f"data.encoding={self.encoding!r} is not known; such as utf-8, cp1252, latin-1, utf-16 or gb18030"
                )

    @property
    def decimal_mark(self) -> str | None:
        """The character before fractions."""
        return DECIMALS.get(self.decimal, self.decimal) if self.decimal else None

    @property
    def thousands_mark(self) -> str | None:
        """The character between groups of three digits."""
        return THOUSANDS.get(self.thousands, self.thousands) if self.thousands else None

    @property
    def dropped(self) -> list[str]:
        """The columns to leave out, however that was said."""
        return [*self.drop, *(column for column, kind in (self.kinds or {}).items() if kind == "drop")]

    @property
    def rules(self) -> Rules:
        """How the columns are to be read."""
        said = {column: kind for column, kind in (self.kinds or {}).items() if kind != "drop"}
        marks = [mark for value in self.missing_values for mark in (_NULLS if value is None else (value.strip(),))]
        return Rules(
            self.where,
            dict.fromkeys(self.categories, "category") | said,
            frozenset(marks),
            self.missing == "indicator",
            self.decimal_mark,
            self.thousands_mark,
        )


@dataset("table", options=TableOptions)
def load_table(options: TableOptions, progress: Progress | None = None) -> Dataset:  # noqa: ARG001
    """Return a table as float32 [N F], or uint8 where it has no numbers; classes are the label's values, sorted.

    Raises:
        RequestError: the file cannot be read, a column named in the options is not there, or a column is neither
            numbers nor categories.
    """
    where = options.where
    sheet = read_sheet(options, where, lambda names, hints: _check_names(options, names, hints))
    if sheet.num_records < SMALLEST:
        raise RequestError(f"{where} holds {sheet.num_records} records; the smallest experiment needs {SMALLEST}")
    arrays = dict(zip(sheet.names, sheet.columns, strict=True))
    y, class_names = _labels(arrays[options.label], options)
    left_out = {*options.dropped, options.label, options.group}
    chosen = [name for name in sheet.names if name not in left_out or name in options.slices]
    rules = options.rules
    rules = replace(rules, kinds={**dict.fromkeys(sheet.coded, "category"), **rules.kinds})
    found = list(understand(chosen, [arrays[name] for name in chosen], rules))
    features_of = [one for one in found if one.column.name not in left_out]
    if not features_of:
        raise RequestError(f"{where} holds no column but data.label={options.label!r}; a model needs features")
    x, features = encode([one.column for one in features_of])
    by_name = {one.column.name: one for one in found}
    loaded = Dataset(
        name=Path(options.path).stem,
        x=x,
        y=y,
        num_classes=len(class_names),
        class_names=class_names,
        features=features,
        notes=(*sheet.notes, *_notes(options, found, class_names)),
        columns=tuple(_summary(name, by_name, options, len(class_names)) for name in sheet.names),
        groups=_groups(arrays[options.group], options) if options.group else None,
        slices={name: _slice(by_name[name]) for name in options.slices},
    )
    return finish(loaded, where, options.duplicates)


def _check_names(options: TableOptions, names: list[str], hints: Sequence[Hint]) -> None:
    """Check the names of all columns, and those that the options give."""
    where = options.where
    for hint in hints:
        is_other = len(names) == 1 and hint.advice.startswith("set ")
        if options.label not in names and (options.label in hint.names or is_other):
            raise RequestError(f"{where} is read as {len(names)} column{'s' * (len(names) > 1)}; {hint.advice}")
    odd = next((name for name in names if not name.isprintable() and "\u00a0" not in name), None)
    if odd is not None:
        raise RequestError(f"{where} holds a column whose name is not printable: {odd[:80]!r}; rename it")
    numbers = sum(map(is_plain, names))
    advice = "; its first line looks like a record: data.header=false calls the columns c1, c2 ..." if numbers else ""
    counts = Counter(unicodedata.normalize("NFC", name) for name in names)
    if len(counts) < len(names):
        twice = some(name for name, count in counts.items() if count > 1)
        raise RequestError(f"{where} holds two columns of one name; names must differ: {twice}{advice}")
    known = set(names)
    for key, wanted in (
        ("label", [options.label]), ("categories", options.categories), ("drop", options.drop),
        ("kinds", options.kinds or {}), ("group", [options.group] if options.group else []), ("slices", options.slices),
    ):  # fmt: skip
        for name in wanted:
            if name not in known:
                listed = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
                meant = did_you_mean(name, names[:5000])
                raise RequestError(f"data.{key}={name!r} is no column{meant}; columns: {listed}{advice}")
    dropped = {*options.dropped, options.group, options.label}
    unnamed = next((n for n in names if n.startswith(("Unnamed: ", "__index_level_")) and n not in dropped), None)
    if unnamed:
        raise RequestError(
            f"{where} holds a column without a name (a row number?); leave it out: data.drop=['{unnamed}']"
        )


def _labels(array: "pa.Array", options: TableOptions) -> tuple[Int32[np.ndarray, "N"], tuple[str, ...]]:
    where = f"data.label={options.label!r}"
    cells = cells_of(array, where, options.rules.missing_values)
    count = len(cells.codes)
    if missing := int((cells.codes < 0).sum()):
        raise RequestError(f"{where} has no value in {missing:,} of {count:,} records; every record needs a class")
    texts = cells.texts
    odd = next((text for text in texts if not text.isprintable()), None)
    if odd is not None:
        raise RequestError(f"{where} holds a class whose name is not printable: {odd[:80]!r}")
    order = sorted(range(len(texts)), key=texts.__getitem__)
    is_number = all(is_plain(text) for text in texts)
    if is_number:
        fraction = next((text for text in texts if float(text) % 1), None)
        if fraction is not None:
            raise RequestError(f"{where} holds fractions such as {fraction}; it must hold classes")
        order = sorted(range(len(texts)), key=lambda i: (float(texts[i]), texts[i]))
    if len(texts) < 2:
        raise RequestError(f"{where} holds one class only, {texts[0]!r}; there must be two or more")
    if len(texts) > count // 2:
        raise RequestError(f"{where} holds {len(texts):,} different values in {count:,} records; it must hold classes")
    rank = np.empty(len(texts), np.int32)
    rank[order] = np.arange(len(texts))
    return rank[cells.codes], tuple(texts[i] for i in order)


def _groups(array: "pa.Array", options: TableOptions) -> Int32[np.ndarray, "N"]:
    cells = cells_of(array, f"data.group={options.group!r}", options.rules.missing_values).tidy(frozenset())
    if missing := int((cells.codes < 0).sum()):
        raise RequestError(
            f"data.group={options.group!r} has no value in {missing:,} of {len(cells.codes):,} records; every record "
            "must be somebody's"
        )
    if len(cells.texts) < 2:
        raise RequestError(f"data.group={options.group!r} holds one value only; it must say whose each record is")
    return cells.codes.astype(np.int32)


def _slice(found: Found) -> np.ndarray:
    """Return a column's values as reports compare them: text, or numbers that may be cut."""
    if found.column.kind == "category":
        odd = next((name for name in found.names if not name.isprintable()), None)
        if odd is not None:
            raise RequestError(f"data.slices={found.column.name!r} holds a value that is not printable: {odd[:80]!r}")
        return np.array(found.names)[found.column.values]
    return found.column.values.astype(np.float64)


def _summary(name: str, found: dict[str, Found], options: TableOptions, num_classes: int) -> ColumnSummary:
    if name == options.label:
        return ColumnSummary(name, "label", num_classes, 0)
    if name == options.group:
        return ColumnSummary(name, "group", 0, 0)
    if name in options.dropped:
        return ColumnSummary(name, "left out", 0, 0)
    return found[name].summary


def _notes(options: TableOptions, found: list[Found], class_names: tuple[str, ...]) -> list[str]:
    """Return what is to be said of the columns, the first of many."""
    notes = [note for one in found for note in one.notes]
    if len(notes) > 10:
        notes = [*notes[:10], f"{len(notes) - 10:,} more columns look odd in such ways"]
    if options.header and options.path.lower().endswith((".csv", ".tsv")):
        like = [one.column.name for one in found if _is_like_a_value(one)]
        like += [options.label] if options.label in class_names else []
        if len(like) * 2 >= len(found) + 1:
            notes.append(
                f"the first line looks like a record, not like names: {some(like)}; if it is one, data.header=false"
            )
    return notes


def _is_like_a_value(found: Found) -> bool:
    """Tell whether a column's name could be one of its values."""
    name = found.column.name
    return name in found.names if found.column.kind == "category" else is_plain(name)
