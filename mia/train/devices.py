"""Prepares JAX for this machine and places arrays on its devices.

`prepare` must run before anything else starts JAX's backend: it makes one device of each CPU core, so that one code
path shards models over cores and over GPUs alike, and switches the persistent compilation cache on.
"""

import contextlib
import os
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mia.checks import RequestError
from mia.machine import usable_cores
from mia.train.threefry import write_out

MODELS = "models"  # name of the mesh axis
PIECES = {"xla_cpu_parallel_codegen_split_count": 4}
"""How many pieces XLA makes of a program's code: its 32 take a sixth more processor time, the same code comes out."""
jit = partial(jax.jit, compiler_options=PIECES)
ALIGNMENT = 64  # bytes


def cache_folder() -> Path:
    """Return where compiled code is kept between processes: `$XDG_CACHE_HOME` or `~/.cache`, then mia/xla."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mia" / "xla"


def core_count() -> int:
    """Return the number of CPU cores this process may use: `$MIA_CORES` where a parallel sweep has set it."""
    return usable_cores()


def prepare(cache: Path | None = None) -> None:
    """Make one JAX device per CPU core and keep compiled code in `cache` (default: `cache_folder()`).

    Settings that the user made with JAX's own environment variables are left as they are, but for double precision:
    training is in single. Calling it again is harmless; once JAX's backend runs, the number of devices stays what it
    was.
    """
    jax.config.update("jax_enable_x64", False)
    write_out()
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # the backend runs already, with the devices it has
            jax.config.update("jax_num_cpu_devices", core_count())
    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        jax.config.update("jax_compilation_cache_dir", str(cache or cache_folder()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)


def mesh() -> Mesh:
    """Return all devices as a line, the axis of models.

    Raises:
        RequestError: JAX has no such device as it was told to use, or counts in double precision.
    """
    if jax.config.values["jax_enable_x64"]:
        raise RequestError(
            "jax_enable_x64 (or JAX_ENABLE_X64) is on, but training is in single precision: switch it off"
        )
    try:
        return Mesh(np.array(jax.devices()), (MODELS,))
    except (AssertionError, RuntimeError) as error:
        wanted = jax.config.values["jax_platforms"]
        reason = " ".join(str(error).split()) or "there is none on this machine"
        raise RequestError(f"JAX_PLATFORMS={wanted!r} names no device that JAX can use: {reason}") from error


def place_shared(array: np.ndarray, on: Mesh) -> jax.Array:
    """Return an array that every device sees whole. CPU devices share one copy in memory."""
    if on.devices.flat[0].platform == "cpu":
        array = _aligned(array)
    copies = [jax.device_put(array, device) for device in on.devices.flat]
    return jax.make_array_from_single_device_arrays(array.shape, NamedSharding(on, PartitionSpec()), copies)


def _aligned(array: np.ndarray) -> np.ndarray:
    """Return a copy at an address that XLA uses as it is, instead of copying it for each device."""
    buffer = np.empty(array.nbytes + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    copy = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
