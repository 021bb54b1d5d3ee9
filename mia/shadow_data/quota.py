"""For which class the next record climbs: as many for each, the share of unreachable classes for the others.

Takes what became of climbs; gives classes. Never sees a record.
"""

import numpy as np
from jaxtyping import Bool, Int


class Quota:
    """How many records of each class are made, on their way and still wanted."""

    def __init__(self, num_classes: int, count: int, attempts: int) -> None:
        self.count, self.attempts = count, attempts
        self.wanted = count // num_classes + (np.arange(num_classes) < count % num_classes)
        self.made = np.zeros(num_classes, int)
        self.climbing = np.zeros(num_classes, int)
        self.failures = np.zeros(num_classes, int)  # since the last success

    @property
    def given_up(self) -> Bool[np.ndarray, "C"]:
        """Classes whose last climbs all failed."""
        return self.failures >= self.attempts

    def take(self, free: int) -> Int[np.ndarray, "b"]:
        """Return the classes of at most `free` new climbs: the class that lacks most first."""
        taken: list[int] = []
        while len(taken) < free and (chosen := self._next()) is not None:
            self.climbing[chosen] += 1
            taken.append(chosen)
        return np.array(taken, int)

    def settle(self, returned: Int[np.ndarray, "r"], failed: Int[np.ndarray, "f"]) -> None:
        """Take in which classes climbs ended for, and how."""
        np.subtract.at(self.climbing, returned, 1)
        np.subtract.at(self.climbing, failed, 1)
        np.add.at(self.made, returned, 1)
        np.add.at(self.failures, failed, 1)
        self.failures[returned] = 0

    def _next(self) -> int | None:
        planned = self.made + self.climbing
        if planned.sum() >= self.count:
            return None
        is_open = ~self.given_up
        lacking = np.where(is_open, self.wanted - planned, 0)
        if lacking.max() > 0:
            return int(lacking.argmax())
        is_open &= self.made > 0
        if not is_open.any():
            return None
        return int(np.where(is_open, planned, self.count + 1).argmin())
