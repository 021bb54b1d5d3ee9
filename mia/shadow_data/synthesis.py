"""Records climbed out of the target's answers (Shokri et al. 2017, section V.C, algorithm 1), many at once.

Takes the form of records and a query interface; gives records with the classes that the target sees in them. Knows no
real record. Every climb follows the paper's algorithm by itself; side by side they share the queries' batches.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Shaped

from mia.shadow_data.options import SynthesizedOptions
from mia.shadow_data.query import Target
from mia.shadow_data.quota import Quota
from mia.shadow_data.space import FeatureSpace

Progress = Callable[[int, int], None]


@dataclass
class Climbs:
    """Records on their way, one row each."""

    wanted: Int[np.ndarray, "B"]  # class
    best: Shaped[np.ndarray, "B F"]  # the last proposal that was accepted
    confidence: Float[np.ndarray, "B"]  # of the target in the wanted class, there
    rejections: Int[np.ndarray, "B"]  # in a row
    k: Int[np.ndarray, "B"]  # features that the next proposal re-draws
    queries: Int[np.ndarray, "B"]

    @classmethod
    def begin(cls, wanted: Int[np.ndarray, "B"], space: FeatureSpace, k_max: int) -> "Climbs":
        """Return climbs that have asked nothing yet."""
        count = len(wanted)
        best = np.zeros((count, space.num_columns), space.dtype)
        zeros = np.zeros(count, int)
        return cls(wanted, best, np.zeros(count), zeros, np.full(count, k_max), zeros.copy())

    def __len__(self) -> int:
        return len(self.wanted)

    def propose(self, space: FeatureSpace, generator: np.random.Generator) -> Shaped[np.ndarray, "B F"]:
        """Return the next proposals: at first all features are drawn, then k of the best record's drawn again."""
        counts = np.where(self.queries == 0, space.num_features, self.k)
        return np.where(space.choose(counts, generator), space.draw_uniform(len(self), generator), self.best)

    def judge(
        self,
        proposals: Shaped[np.ndarray, "B F"],
        answers: Float[np.ndarray, "B C"],
        luck: Float[np.ndarray, "B"],
        options: SynthesizedOptions,
    ) -> Bool[np.ndarray, "B"]:
        """Accept or reject the proposals, and return which of them are finished records."""
        confidence = answers[np.arange(len(self)), self.wanted]
        is_accepted = confidence >= self.confidence
        is_sure = (confidence > options.conf_min) & (answers.argmax(axis=1) == self.wanted)
        self.queries += 1
        self.best[is_accepted] = proposals[is_accepted]
        self.confidence[is_accepted] = confidence[is_accepted]
        self.rejections = np.where(is_accepted, 0, self.rejections + 1)
        is_stuck = self.rejections > options.rej_max
        self.k[is_stuck] = np.maximum(options.k_min, -(-self.k[is_stuck] // 2))
        self.rejections[is_stuck] = 0
        return is_accepted & is_sure & (luck < confidence)

    def keep(self, is_kept: Bool[np.ndarray, "B"], new: "Climbs") -> "Climbs":
        """Return the climbs that go on, and new ones behind them."""
        return Climbs(
            *(np.concatenate([getattr(self, one.name)[is_kept], getattr(new, one.name)]) for one in fields(Climbs))
        )


@dataclass(frozen=True)
class Synthesis:
    """The records that were made."""

    x: Shaped[np.ndarray, "S F"]
    y: Int32[np.ndarray, "S"]


def synthesize(
    space: FeatureSpace,
    num_classes: int,
    count: int,
    options: SynthesizedOptions,
    target: Target,
    generator: np.random.Generator,
    progress: Progress | None = None,
) -> Synthesis:
    """Return `count` records, as many of each class; what cannot be made of one class is made of the others.

    Fewer than `count` come back only where the climbs for every class failed.
    """
    quota = Quota(num_classes, count, options.attempts)
    climbs = Climbs.begin(quota.take(min(options.at_once, count)), space, options.k_max)
    x, y = [climbs.best[:0]], [climbs.wanted[:0]]
    while len(climbs):
        proposals = climbs.propose(space, generator)
        is_made = climbs.judge(proposals, target(proposals), generator.random(len(climbs)), options)
        is_over = is_made | (climbs.queries >= options.iter_max)
        if not is_over.any():
            continue
        x.append(proposals[is_made])
        y.append(climbs.wanted[is_made])
        quota.settle(climbs.wanted[is_made], climbs.wanted[is_over & ~is_made])
        new = quota.take(options.at_once - len(climbs) + int(is_over.sum()))
        climbs = climbs.keep(~is_over, Climbs.begin(new, space, options.k_max))
        if progress is not None:
            progress(int(quota.made.sum()), count)
    return Synthesis(np.concatenate(x), np.concatenate(y).astype(np.int32))
