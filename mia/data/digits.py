"""scikit-learn's digits: 1,797 grey pictures of 8x8 pixels in 17 steps; comes with scikit-learn, no download."""

from dataclasses import dataclass

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
    """Return the 1,797 digits as uint8 [1797 8 8 1], values 0 to 16 (scale 1/16)."""
    from sklearn.datasets import load_digits as load

    digits = load()
    loaded = Dataset(
        name="digits",
        x=digits.images.astype(np.uint8)[..., None],
        y=digits.target.astype(np.int32),
        num_classes=10,
        scale=1 / 16,
        class_names=tuple("0123456789"),
    )
    return validate(loaded, "data=digits")
