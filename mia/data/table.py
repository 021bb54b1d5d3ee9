"""Any table: a CSV or Parquet file, one column of which is the class; the rest is treated as `mia.data.columns` says.

Text is a category, numbers are numbers (or categories, where `data.categories` lists them), what is only 0 and 1 stays
a bit. A missing category is a category of its own; missing numbers are refused, or become the mean beside a bit that
says so (`data.missing=indicator`). Never guesses what a doubtful column means: it says so in one line.
"""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mia.checks import RequestError, did_you_mean, one_of
from mia.data import Progress, dataset
from mia.data.columns import MISSING, Column, encode
from mia.data.options import FileOptions, need_path
from mia.data.validate import SMALLEST, one_line, validate
from mia.records import Dataset

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 16 << 30
MAX_VALUES = 1000
"""Different values a category may have; beyond that it is an identifier or free text."""


@dataclass
class TableOptions(FileOptions):
    """A CSV or Parquet file with one column of labels."""

    name: str = "table"
    label: str = ""  # the column that holds the class
    categories: list[str] = field(default_factory=list)  # columns of numbers that are codes, not quantities
    drop: list[str] = field(default_factory=list)  # columns to leave out, such as identifiers
    missing: str = "error"  # missing numbers: "error", or "indicator" (the mean, and a bit that says so)

    def __post_init__(self) -> None:
        super().__post_init__()
        need_path(self.path, "a .csv or .parquet file")
        if not self.label:
            raise RequestError(f"data.label={self.label!r} must name the column that holds the class")
        one_of("data.missing", self.missing, ["error", "indicator"])
        for key, columns in (("categories", self.categories), ("drop", self.drop)):
            if self.label in columns:
                raise RequestError(f"data.{key}={columns!r} must not list the label column data.label={self.label!r}")


@dataset("table", options=TableOptions)
def load_table(options: TableOptions, progress: Progress | None = None) -> Dataset:  # noqa: ARG001
    """Return a table as float32 [N F], or uint8 where it has no numbers; classes are the label's values, sorted.

    Raises:
        RequestError: the file cannot be read, a column named in the options is not there, or a column is neither
            numbers nor categories.
    """
    where = f"data.path={options.path!r}"
    frame = _read(options, where)
    _check_names(options, [str(name) for name in frame.columns], where)
    if len(frame) < SMALLEST:
        raise RequestError(f"{where} holds {len(frame)} records; the smallest experiment needs {SMALLEST}")
    y, class_names = _labels(frame[options.label], options)
    left_out = {options.label, *options.drop}
    columns = [_column(frame[name], str(name), options) for name in frame.columns if name not in left_out]
    if not columns:
        raise RequestError(f"{where} holds no column but data.label={options.label!r}; a model needs features")
    x, features = encode(columns)
    name = Path(options.path).stem
    return validate(Dataset(name, x, y, len(class_names), class_names=class_names, features=features), where)


def _read(options: TableOptions, where: str) -> "pd.DataFrame":
    import pandas as pd

    path = Path(options.path).expanduser()
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise RequestError(f"{where} {problem}; it must be a .csv or .parquet file")
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise RequestError(f"{where} ends in {suffix!r}; it must be a .csv or .parquet file")
    try:
        if suffix == ".parquet":
            return _read_parquet(path, where)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # lines longer than the header
            return pd.read_csv(path, index_col=False, skipinitialspace=True, na_values=[MISSING], low_memory=False)
    except RequestError:
        raise
    except (OSError, ValueError, MemoryError, pd.errors.ParserWarning) as error:  # pandas and Arrow raise ValueErrors
        raise RequestError(f"{where} cannot be read as {suffix} ({one_line(error)})") from error


def _read_parquet(path: Path, where: str) -> "pd.DataFrame":
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        unpacked = file.metadata.num_rows * file.metadata.num_columns * 8
        if unpacked > MAX_BYTES:
            raise RequestError(f"{where} unpacks to {unpacked:,} bytes; at most {MAX_BYTES:,} are read")
        return file.read().to_pandas(ignore_metadata=True)


def _check_names(options: TableOptions, names: list[str], where: str) -> None:
    if len(set(names)) < len(names):
        raise RequestError(f"{where} holds two columns of one name; names must differ: {', '.join(names[:20])}")
    for key, wanted in (("label", [options.label]), ("categories", options.categories), ("drop", options.drop)):
        for name in wanted:
            if name not in names:
                known = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
                raise RequestError(f"data.{key}={name!r} is no column{did_you_mean(name, names)}; columns: {known}")
    unnamed = next((name for name in names if name.startswith("Unnamed: ") and name not in options.drop), None)
    if unnamed:
        raise RequestError(
            f"{where} holds a column without a name (a row number?); leave it out: data.drop=['{unnamed}']"
        )


def _labels(series: "pd.Series", options: TableOptions) -> tuple[np.ndarray, tuple[str, ...]]:
    where = f"data.label={options.label!r}"
    if missing := int(series.isna().sum()):
        raise RequestError(
            f"{where} has no value in {missing:,} of {len(series):,} records; every record needs a class"
        )
    values = series.to_numpy()
    if values.dtype.kind == "f" and (values != np.round(values)).any():
        raise RequestError(
            f"{where} holds fractions such as {values[values != np.round(values)][0]}; it must hold classes"
        )
    if values.dtype.kind not in "biuf":
        values = values.astype(str)
    known, codes = np.unique(values, return_inverse=True)
    if len(known) < 2:
        raise RequestError(f"{where} holds one class only, {str(known[0])!r}; there must be two or more")
    if len(known) > len(values) // 2:
        raise RequestError(
            f"{where} holds {len(known):,} different values in {len(values):,} records; it must hold classes"
        )
    return codes.astype(np.int32), tuple(str(value) for value in known)


def _column(series: "pd.Series", name: str, options: TableOptions) -> Column:
    from pandas.api import types

    where = f"data.path={options.path!r} column {name!r}"
    if series.isna().all():
        raise RequestError(f"{where} holds no values; leave it out: data.drop=[{name!r}]")
    if name in options.categories:
        return _category(series, name, where)
    if types.is_bool_dtype(series.dtype) and not series.isna().any():
        return Column(name, "bit", series.to_numpy(np.uint8))
    kind = types.infer_dtype(series, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        return _number(series.to_numpy(np.float64, na_value=np.nan), name, where, options)
    if kind not in ("string", "boolean", "categorical", "mixed-integer"):
        raise RequestError(
            f"{where} holds values of type {series.dtype}; convert it, or leave it out: data.drop=[{name!r}]"
        )
    return _text(series.astype(object), name, where, options)


def _text(series: "pd.Series", name: str, where: str, options: TableOptions) -> Column:
    """Return a category, or numbers where all texts are numbers; refuse a column of numbers with some text in it."""
    import pandas as pd

    present = series.dropna()
    is_number = pd.to_numeric(present.astype(str), errors="coerce").notna()
    if is_number.all():
        return _number(pd.to_numeric(series, errors="coerce").to_numpy(np.float64), name, where, options)
    if is_number.mean() > 0.5:
        bad = present[~is_number]
        raise RequestError(
            f"{where} holds numbers but also text, such as {str(bad.iloc[0])!r} in record {bad.index[0]}; mend it, "
            f"or say that it is no quantity: data.categories=[{name!r}]"
        )
    return _category(series, name, where)


def _number(values: np.ndarray, name: str, where: str, options: TableOptions) -> Column:
    if np.isinf(values).any():
        raise RequestError(f"{where} holds infinite values, first in record {np.isinf(values).argmax()}")
    missing = np.isnan(values).sum()
    if missing and options.missing == "error":
        raise RequestError(
            f"{where} has no value in {missing:,} of {len(values):,} records ({missing / len(values):.1%}); fill them, "
            "or set data.missing=indicator"
        )
    is_bit = not missing and np.isin(values, (0.0, 1.0)).all()
    return Column(name, "bit" if is_bit else "number", values)


def _category(series: "pd.Series", name: str, where: str) -> Column:
    values = np.where(series.isna(), MISSING, series.astype(object).astype(str)).astype(str)
    if (count := len(np.unique(values))) > MAX_VALUES:
        raise RequestError(
            f"{where} holds {count:,} different values; a category may have {MAX_VALUES:,}; leave it out: "
            f"data.drop=[{name!r}]"
        )
    return Column(name, "category", values)
