"""The stages of an experiment: announced when they begin, timed when they end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from mia.experiment.observer import Observe, StageBegan


class Clock:
    """How long each stage took; a stage may come more than once."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce the block as a stage, and time it."""
        self._observe(StageBegan(name))
        begun = time.perf_counter()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begun

    def metrics(self) -> dict[str, float]:
        """Return `time/<stage>_seconds`."""
        return {f"time/{name}_seconds": seconds for name, seconds in self._seconds.items()}
