"""How an attack's strength grows with the number of shadows: the same attack with the first 1, 2, 4 ... of them.

Takes one pool's signals; gives scores per number of shadows. Trains nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mia.attacks.quantities import keep_quantities, quantities
from mia.attacks.registry import run_attack
from mia.checks import RequestError
from mia.records import Scores, Signals


def growth(
    name: str, signals: Signals, options: Any, seed: int, counts: Sequence[int] | None = None
) -> Mapping[int, Scores]:
    """Return the scores of an attack that has only some of the shadows.

    Args:
        name: The attack.
        signals: Signals with all shadows.
        options: The attack's options.
        seed: As for `run_attack`.
        counts: Numbers of shadows; 1, 2, 4 ... and all of them where None.

    Returns:
        Scores by number of shadows, ascending; numbers with which no record can be scored are left out.
    """
    counts = doubling(signals.num_shadows) if counts is None else counts
    found: dict[int, Scores] = {}
    for count in sorted(set(counts), reverse=True):  # from the most, whose answers the fewer share
        signals = first_shadows(signals, count)
        try:
            found[count] = run_attack(name, signals, options, seed)
        except RequestError:
            continue
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
    keep_quantities(few, quantities(signals).first(count))
    return few
