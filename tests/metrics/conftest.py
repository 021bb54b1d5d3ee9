"""Attacks made of random numbers."""

import numpy as np
import pytest

from mia.records import Scores


@pytest.fixture
def attack():
    """Return a function (generator, is_member, strength) -> Scores; with strength 0 the attack knows nothing."""

    def make(generator: np.random.Generator, is_member: np.ndarray, strength: float = 0.0) -> Scores:
        score = generator.normal(size=len(is_member)) + strength * is_member
        models = np.full(len(score), 4)
        return Scores(score, score > strength / 2, num_in=models, num_out=models)

    return make


@pytest.fixture
def half_members():
    """Return a function (number) -> is_member, the first half True."""

    def make(number: int) -> np.ndarray:
        return np.arange(number) < number // 2

    return make
