"""The root seed's descendants: every random choice belongs to a named stage.

Takes the root seed, a stage's name and an index; gives generators and integer seeds. Streams of different stages or
indices are independent (`numpy.random.SeedSequence`), so that adding a model or an attack changes no other's numbers.
"""

import zlib

import numpy as np


def stage_sequence(seed: int, stage: str, index: int = 0) -> np.random.SeedSequence:
    """Return the seed sequence of item `index` of a stage."""
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(stage.encode()), index))


def stage_generator(seed: int, stage: str, index: int = 0) -> np.random.Generator:
    """Return a NumPy generator for item `index` of a stage."""
    return np.random.default_rng(stage_sequence(seed, stage, index))


def stage_seed(seed: int, stage: str, index: int = 0) -> int:
    """Return a seed below 2**32 for item `index` of a stage, for libraries that take a number."""
    return int(stage_sequence(seed, stage, index).generate_state(1)[0])
