"""How many models a device trains side by side: one on a CPU, as many as its memory holds elsewhere."""

from collections.abc import Callable

import jax
from jax.sharding import Mesh

from mia.train.options import EngineOptions

WIDEST = 256  # by then a GPU is busy
SHARE = 0.85  # of a device's memory that may be planned for
OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"  # how XLA's message begins


def choose_width(engine: EngineOptions, on: Mesh, num_models: int, bytes_needed: Callable[[int], int]) -> int:
    """Return the number of models that train side by side on a device.

    Args:
        engine: what the user asked for.
        on: the devices.
        num_models: of the whole call.
        bytes_needed: the measured memory for so many models side by side.
    """
    most = -(-num_models // on.size)
    if engine.models_per_batch != "auto":
        return min(int(engine.models_per_batch), most)
    device = on.devices.flat[0]
    if device.platform == "cpu":
        return 1
    limit = (device.memory_stats() or {}).get("bytes_limit")
    width = min(most, WIDEST)
    return largest_fitting(width, bytes_needed, int(limit * SHARE)) if limit else min(width, 8)


def largest_fitting(width: int, bytes_needed: Callable[[int], int], limit: int) -> int:
    """Return a number of models up to `width` whose memory stays within `limit`; one model is always tried."""
    while width > 1 and (needed := bytes_needed(width)) > limit:
        width = max(1, min(width - 1, width * limit // needed))
    return width


def is_out_of_memory(error: jax.errors.JaxRuntimeError) -> bool:
    """Whether an error says that a device's memory was full."""
    return OUT_OF_MEMORY in str(error)
