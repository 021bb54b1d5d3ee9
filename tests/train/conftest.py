import numpy as np
import pytest

from mia.records import Dataset
from mia.train import devices

devices.prepare()


@pytest.fixture(scope="session")
def table():
    """120 records of 12 numbers in 3 classes that can be learnt."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120, dtype=np.int32)
    x = rng.normal(size=(120, 12)) + 2 * rng.normal(size=(3, 12))[y]
    return Dataset("table", x.astype(np.float32), y, 3)


@pytest.fixture(scope="session")
def pictures():
    """96 pictures of 8 x 8 in 3 classes that can be learnt."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 96, dtype=np.int32)
    x = (rng.integers(0, 256, (3, 8, 8, 1))[y] + rng.integers(0, 256, (96, 8, 8, 1))) // 2
    return Dataset("pictures", x.astype(np.uint8), y, 3, scale=1 / 255)


@pytest.fixture(scope="session")
def split():
    """Return members and nonmembers of several models: `split(num_models, size, num_records)`."""

    def make(num_models, size, num_records, seed=0):
        rng = np.random.default_rng(seed)
        order = np.stack([rng.permutation(num_records)[: 2 * size] for _ in range(num_models)]).astype(np.int32)
        return order[:, :size], order[:, size:]

    return make
