"""A data set of another package: points on rings, a class for each ring."""

from dataclasses import dataclass

import numpy as np

from mia.data import dataset
from mia.records import Dataset


@dataclass
class RingsOptions:
    """Points in the plane around the origin."""

    rings: int = 3
    records: int = 240
    width: float = 0.3


@dataset("rings", options=RingsOptions)
def load_rings(options: RingsOptions, progress=None) -> Dataset:
    generator = np.random.default_rng(0)
    y = np.arange(options.records, dtype=np.int32) % options.rings
    radius = 1 + y + options.width * generator.normal(size=len(y))
    angle = generator.uniform(0, 2 * np.pi, len(y))
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return Dataset("rings", x.astype(np.float32), y, options.rings)
