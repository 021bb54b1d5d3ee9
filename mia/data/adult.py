"""UCI Adult (census income): does a person earn over 50,000 dollars a year? Both official files are pooled.

Categories are one-hot, a missing one ('?') being a category of its own; numbers are standardised on all records, which
`mia.data.columns` says why is safe.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from mia.checks import RequestError, one_of
from mia.data import Progress, dataset
from mia.data.columns import Column, encode
from mia.data.official import OfficialOptions, Source, obtain
from mia.data.validate import one_line, validate
from mia.records import Dataset

_NUMBERS = {"age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
_COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
)
_CLASSES = ("<=50K", ">50K")
_SITE = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"


@dataclass
class AdultOptions(OfficialOptions):
    """UCI Adult (census income): 48,842 records of 14 features, 2 classes."""

    name: str = "adult"
    slices: list[str] = field(default_factory=list)  # columns whose values reports compare, such as [sex, race, age]
    sources: ClassVar[tuple[Source, ...]] = (
        Source(
            "adult.data",
            _SITE,
            3_974_305,
            "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
        ),
        Source(
            "adult.test",
            _SITE,
            2_003_153,
            "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for column in self.slices:
            one_of("data.slices", column, _COLUMNS)


@dataset("adult", options=AdultOptions)
def load_adult(options: AdultOptions, progress: Progress | None = None) -> Dataset:
    """Return Adult as float32 [48842 108]: 6 numbers and 8 categories; class 1 earns over 50,000."""
    rows = [row for path in obtain(options, progress) for row in _rows(path)]
    *values, answers = zip(*rows, strict=True)
    columns = [
        Column(name, "number", _numbers(name, column))
        if name in _NUMBERS
        else Column(name, "category", np.array(column))
        for name, column in zip(_COLUMNS, values, strict=True)
    ]
    x, features = encode(columns)
    labels = np.array([answer.rstrip(".") for answer in answers])  # the test file ends its labels with a full stop
    if unknown := set(labels.tolist()) - set(_CLASSES):
        raise RequestError(f"data=adult holds the label {min(unknown)!r}; known: <=50K, >50K")
    y = (labels == _CLASSES[1]).astype(np.int32)
    slices = {column.name: column.values for column in columns if column.name in options.slices}
    loaded = Dataset("adult", x, y, 2, class_names=_CLASSES, features=features, slices=slices)
    return validate(loaded, "data=adult")


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="ascii") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True) if row and not row[0].startswith("|")]
    except (OSError, UnicodeError, csv.Error) as error:
        raise RequestError(f"data=adult: {str(path)!r} cannot be read ({one_line(error)})") from error
    wrong = next((row for row in rows if len(row) != len(_COLUMNS) + 1), None)
    if wrong or not rows:
        raise RequestError(f"data=adult: {str(path)!r} must hold rows of {len(_COLUMNS) + 1} values, not {wrong}")
    return rows


def _numbers(name: str, column: tuple[str, ...]) -> np.ndarray:
    try:
        return np.array(column, np.float64)
    except ValueError as error:
        raise RequestError(f"data=adult: column {name} must hold numbers ({one_line(error)})") from error
