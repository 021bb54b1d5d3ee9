"""scikit-learn's digits: 1,797 grey pictures of 8x8 pixels in 17 steps; comes with scikit-learn, no download."""

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mia.data import DataOptions, Progress, dataset
from mia.data.validate import validate
from mia.records import Dataset


@dataclass
class DigitsOptions(DataOptions):
    """scikit-learn's digits: 1,797 grey pictures of 8x8 pixels, 10 classes."""

    name: str = "digits"


@dataset("digits", options=DigitsOptions)
def load_digits(options: DigitsOptions, progress: Progress | None = None) -> Dataset:  # noqa: ARG001
    """Return the 1,797 digits as uint8 [1797 8 8 1], values 0 to 16 (scale 1/16).

    Read from the file that scikit-learn ships: importing scikit-learn for it takes longer than a sweep that is done.
    """
    folder = find_spec("sklearn").submodule_search_locations[0]  # type: ignore[union-attr,index] # we depend on it
    with gzip.open(Path(folder) / "datasets" / "data" / "digits.csv.gz", "rt", encoding="ascii") as lines:
        table = np.array([line.split(",") for line in lines], np.float64)
    loaded = Dataset(
        name="digits",
        x=table[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1),
        y=table[:, -1].astype(np.int32),
        num_classes=10,
        scale=1 / 16,
        class_names=tuple("0123456789"),
    )
    return validate(loaded, "data=digits")
