"""The random generator written out, for the compiler's sake: the same numbers from code that compiles in a fifth.

JAX rolls the rounds of Threefry (Salmon et al. 2011) into loops on CPUs, once for each draw and each key made of
another. XLA makes several kernels of each loop, and every kernel costs it about ten milliseconds; written out, a draw
becomes one. The arithmetic is exact, so no number changes.
"""

import contextlib
from typing import Any

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # of the rounds, in turns of four
PARITY = 0x1BD11BDA  # of the third word of a key
TURNS = 5


def write_out() -> None:
    """Let JAX compile its generator for CPUs as written here. Where JAX gives no means for that, it stays as it is."""
    with contextlib.suppress(ImportError, AttributeError, TypeError):
        from jax.extend.random import threefry2x32_p
        from jax.interpreters import mlir

        rule = mlir.lower_fun(threefry, multiple_results=True)
        mlir.register_lowering(threefry2x32_p, rule, platform="cpu", inline=False)


def threefry(key_high: Any, key_low: Any, high: Any, low: Any) -> tuple[Any, Any]:
    """Return the two words that two counters become under a key: Threefry-2x32 with 20 rounds; all uint32."""
    import numpy as np

    keys = key_high, key_low, key_high ^ key_low ^ np.uint32(PARITY)
    high, low = high + keys[0], low + keys[1]
    for turn in range(TURNS):
        for bits in ROTATIONS[turn % 2]:
            high = high + low
            low = high ^ (low << np.uint32(bits) | low >> np.uint32(32 - bits))
        high = high + keys[(turn + 1) % 3]
        low = low + (keys[(turn + 2) % 3] + np.uint32(turn + 1))
    return high, low
