"""How an attack's strength grows with the number of shadows: the same attack with the first 1, 2, 4 ... of them.

Takes one pool's signals; gives scores per number of shadows. Trains nothing.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from mia.attacks.run import run_attack
from mia.attacks.shared_statistics import KEY, shared_statistics
from mia.checks import RequestError
from mia.records import Scores, Signals


def growth(
    name: str,
    signals: Signals,
    options: Any,
    seed: int,
    *,
    known: Scores | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[int, Scores]:
    """Return the scores of an attack that has only some of the shadows.

    Args:
        name: The attack.
        signals: Signals with all shadows.
        options: The attack's options.
        seed: As for `run_attack`.
        known: The scores with all shadows, by the same options and seed, where the attack has run: then that point is
            not fitted again.
        progress: Called after each point with the points done and their total.

    Returns:
        Scores by number of shadows, ascending: 1, 2, 4 ... and all of them; numbers with which no record can be scored
        are left out.
    """
    wanted = doubling(signals.num_shadows)[::-1]
    found: dict[int, Scores] = {}
    for done, count in enumerate(wanted, start=1):  # from the most, whose answers the fewer share
        if known is not None and count == signals.num_shadows and not found:
            found[count] = known
        else:
            signals = first_shadows(signals, count)
            with suppress(RequestError):  # too few shadows for it
                found[count] = run_attack(name, signals, options, seed)
        if progress is not None:
            progress(done, len(wanted))
    return dict(sorted(found.items()))


def doubling(num_shadows: int) -> list[int]:
    """Return 1, 2, 4 ... up to `num_shadows`, and that number itself."""
    return sorted({*(2**power for power in range(num_shadows.bit_length())), num_shadows} - {0})


def first_shadows(signals: Signals, count: int) -> Signals:
    """Return signals with the first `count` shadows, and what is known of them already.

    Raises:
        RequestError: there are fewer.
    """
    if not 0 < count <= signals.num_shadows:
        raise RequestError(f"a curve point at {count} shadows needs as many, there are {signals.num_shadows}")
    population = signals.population_outputs
    few = replace(
        signals,
        shadow_outputs=signals.shadow_outputs[:count],
        shadow_membership=signals.shadow_membership[:count],
        shadow_own=signals.shadow_own[:count],
        population_outputs=None if population is None else np.concatenate([population[:count], population[-1:]]),
    )
    few.shared[KEY] = shared_statistics(signals).first(count)
    return few
