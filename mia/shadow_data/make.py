"""The attacker's own records, by name: how many, and the records themselves.

Takes what the attacker knows and the query interface to the target; gives records and labels. Never sees a record of
the target's, and never a real one where the records are synthesized.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Shaped

from mia.checks import RequestError
from mia.records import FeatureGroup
from mia.shadow_data.noise import add_noise
from mia.shadow_data.options import MarginalOptions, NoisyOptions, ShadowDataOptions, SynthesizedOptions
from mia.shadow_data.query import Target
from mia.shadow_data.space import describe_features
from mia.shadow_data.synthesis import synthesize


@dataclass(frozen=True)
class Known:
    """What the attacker may know besides the target's answers: real records that the target leaves."""

    x: Shaped[np.ndarray, "R *features"]
    y: Int[np.ndarray, "R"]
    features: tuple[FeatureGroup, ...]
    num_classes: int


@dataclass(frozen=True)
class OwnRecords:
    """The records that shadows draw from."""

    x: Shaped[np.ndarray, "S *features"]
    y: Int32[np.ndarray, "S"]
    queries: int  # that the target answered for them


def count_records(options: ShadowDataOptions, num_left: int, size: int, num_classes: int) -> int:
    """Return how many own records there will be: as many as the target leaves, unless `options` say otherwise.

    Records that are drawn or synthesized are no fewer than the shadows need, 2 x size.
    """
    match options:
        case MarginalOptions(records=records) if records is not None:
            return records
        case SynthesizedOptions(records_per_class=records) if records is not None:
            return records * num_classes
        case MarginalOptions() | SynthesizedOptions():
            return max(num_left, 2 * size)
    return num_left


def make_records(
    options: ShadowDataOptions,
    known: Known,
    count: int,
    target: Target,
    generator: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> OwnRecords:
    """Return the attacker's own records.

    `noisy` keeps the labels of the real records. `marginal` takes the class that the target answers with, as the paper
    does; `synthesized` the class it climbed for, which is the same. Marginals are those of the known records.

    Raises:
        RequestError: nothing is known that the marginals or the ranges of numbers could come from, or hill climbing
            reached too little.
    """
    shape = known.x.shape[1:]
    space = describe_features(known.features, known.x)
    if not len(known.x) and (len(space.low) or not isinstance(options, SynthesizedOptions)):
        raise RequestError(
            f"shadow_data={options.name} needs records that the target leaves, and it leaves none: split.size is half "
            "of the data set"
        )
    reference = known.x.reshape(-1, space.num_columns)
    match options:
        case NoisyOptions():
            x, y = add_noise(reference, space, options, generator), known.y
        case MarginalOptions():
            x = space.draw_marginal(reference, count, generator)
            y = target(x).argmax(axis=1)
        case SynthesizedOptions():
            made = synthesize(space, known.num_classes, count, options, target, generator, progress)
            x, y = made.x, made.y
        case _:
            raise AssertionError(f"shadow_data={options.name} makes no records")
    if len(x) < count:
        raise RequestError(
            f"shadow_data={options.name} made {len(x)} of {count} records in {target.queries} queries: lower "
            "shadow_data.conf_min, or raise shadow_data.iter_max or shadow_data.attempts"
        )
    return OwnRecords(x.reshape(-1, *shape), y.astype(np.int32), target.queries)
