"""What several attacks work out of the same membership, kept with the signals: found again, not worked out again.

Takes signals, a membership and a function; gives what the function gives. Knows nothing of what that is.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from jaxtyping import Int8

from mia.records import Signals

Found = TypeVar("Found")


def remembered(signals: Signals, key: str, membership: Int8[np.ndarray, "K N"], work_out: Callable[[], Found]) -> Found:
    """Return what `work_out` gives, or what it gave before for the same key and membership.

    The last one is kept, as long as the signals. It is given to several: nobody may change it.
    """
    known = signals.shared.get(key)
    if known is None or not (known[0] is membership or np.array_equal(known[0], membership)):
        known = signals.shared[key] = membership, work_out()
    return known[1]
