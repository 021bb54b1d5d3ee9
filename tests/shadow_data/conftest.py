"""A world small enough to know by heart: a table of all kinds of features, and a target with a closed form."""

import numpy as np
import pytest

from mia.records import FeatureGroup
from mia.shadow_data.query import Target


class Linear:
    """Probabilities that rise with the number of bits of a class that are set: softmax of `steepness` x their sums."""

    def __init__(self, num_classes, bits_per_class, steepness=1.0):
        self.num_classes, self.bits_per_class, self.steepness = num_classes, bits_per_class, steepness
        self.answered = 0

    def __call__(self, x):
        self.answered += len(x)
        sums = x.reshape(len(x), self.num_classes, self.bits_per_class).sum(axis=2) * self.steepness
        odds = np.exp(sums - sums.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def target(self):
        return Target(self, (self.num_classes * self.bits_per_class,))


@pytest.fixture
def mixed():
    """400 records: 10 bits, 2 numbers, a category of 3 values and one of 5; float32, as tables with numbers are."""
    generator = np.random.default_rng(0)
    bits = generator.random((400, 10)) < np.linspace(0.05, 0.95, 10)
    numbers = np.stack([generator.normal(size=400), generator.exponential(size=400)], axis=1)
    small, large = np.eye(3)[generator.integers(3, size=400)], np.eye(5)[generator.integers(2, size=400)]
    x = np.concatenate([bits, numbers, small, large], axis=1).astype(np.float32)
    groups = [FeatureGroup(f"bit {i}", "bit", i, i + 1) for i in range(10)]
    groups += [FeatureGroup("a", "number", 10, 11), FeatureGroup("b", "number", 11, 12)]
    groups += [FeatureGroup("small", "category", 12, 15), FeatureGroup("large", "category", 15, 20)]
    return x, tuple(groups)


@pytest.fixture
def bits():
    """The features of 12 bits: 3 classes of 4."""
    return tuple(FeatureGroup(f"bit {i}", "bit", i, i + 1) for i in range(12))


@pytest.fixture
def linear():
    return Linear
