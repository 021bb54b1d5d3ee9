"""How far a whole sweep is, for people: what is done of how much, and how long the rest takes. Prints nothing."""

import time
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Total:
    """How far a sweep, a search, or the confirmation of its front is."""

    whole: int  # configurations or trials
    done: int = 0
    before: int = 0  # of those that are done, how many were when `began`
    began: float = field(default_factory=time.time)  # in seconds since 1970
    now: float = 0.0  # when the last of them was done
    what: str = "sweep"

    def onwards(self, more: int, now: float) -> "Total":
        """Return how far it is when so many more are done."""
        return replace(self, done=self.done + more, now=now)

    def seconds_left(self, now: float) -> float | None:
        """Return how long the rest takes if each of it takes as long as those so far; None while nothing tells."""
        made = self.done - self.before
        if made < 1 or self.now <= self.began:
            return None
        whole = (self.now - self.began) / made * (self.whole - self.done)
        return max(whole - (now - self.now), 0.0)
