"""Noise on real records: a share of the features of each is changed (Shokri et al. 2017, section V.C).

The paper's text flips bits, its caption re-draws values: both are here. Takes the attacker's records, gives changed
copies; labels stay as they are.
"""

import numpy as np
from jaxtyping import Shaped

from mia.shadow_data.options import NoisyOptions
from mia.shadow_data.space import FeatureSpace, Table

ROWS = 4096  # at once, which bounds the memory


def add_noise(
    x: Table, space: FeatureSpace, options: NoisyOptions, generator: np.random.Generator
) -> Shaped[np.ndarray, "B F"]:
    """Return copies of `x`, `options.noise` of the features of each changed, rounded to whole features.

    `flip`: a bit becomes the other one and a category any other, so that just so many features differ; numbers and
    pixels, which have no opposite, are re-drawn. `redraw`: each gets a value of its marginal in `x`, perhaps the same.
    """
    count = round(options.noise * space.num_features)
    changed = x.copy()
    for first in range(0, len(x), ROWS):
        part = changed[first : first + ROWS]
        other = space.draw_marginal(x, len(part), generator)
        if options.change == "flip":
            _flip(part, other, space, generator)
        is_changed = space.choose(np.full(len(part), count), generator)
        part[is_changed] = other[is_changed]
    return changed


def _flip(x: Table, other: Table, space: FeatureSpace, generator: np.random.Generator) -> None:
    """Write another value of every bit and category of `x` into `other`."""
    other[:, space.bits] = 1 - x[:, space.bits]
    for start, stop in space.categories:
        width = stop - start
        step = generator.integers(1, max(width, 2), size=len(x))
        value = (x[:, start:stop].argmax(axis=1) + step) % width
        other[:, start:stop] = 0
        other[np.arange(len(x)), start + value] = 1
