"""How long the stages of an experiment take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """How long each stage took; a stage may come more than once."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as one stage."""
        begun = time.perf_counter()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begun

    def metrics(self) -> dict[str, float]:
        """Return `time/<stage>_seconds`."""
        return {f"time/{name}_seconds": seconds for name, seconds in self._seconds.items()}
