"""Divides training into chunks of steps, so that the host hears from the device about once a second.

Knows only the clock. The number of steps of a chunk is an argument of the compiled code: no size compiles anything.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from mia.train.one import MAX_EPOCHS

SECONDS = 1.0  # aimed at, so that progress is seen at least every two
GROWTH = 8  # a chunk is at most so many times the one before, whose time may hold compilation


@dataclass(frozen=True)
class Chunk:
    """The steps [start, stop), and the epochs that end in them."""

    start: int
    stop: int
    epochs: slice


class Chunks:
    """The chunks of one training after another; what was learnt about speed is kept from one to the next."""

    def __init__(self, per_epoch: int, epochs: int) -> None:
        self.per_epoch, self.epochs = per_epoch, epochs
        self._steps = 1

    def __iter__(self) -> Iterator[Chunk]:
        start, end = 0, self.per_epoch * self.epochs
        while start < end:
            first = start // self.per_epoch
            stop = min(start + self._steps, end, (first + MAX_EPOCHS) * self.per_epoch)
            begun = time.perf_counter()
            yield Chunk(start, stop, slice(first, stop // self.per_epoch))
            self._learn(stop - start, time.perf_counter() - begun)
            start = stop

    def _learn(self, steps: int, seconds: float) -> None:
        wanted = int(steps * SECONDS / max(seconds, 1e-6))
        self._steps = max(1, min(wanted, GROWTH * self._steps))
