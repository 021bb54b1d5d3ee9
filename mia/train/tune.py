"""Times the ways in which a step can be taken on this machine, and keeps which was fastest for the next time.

Takes a plan; gives the plan to train by, and a line for a person. All ways give the same training up to round-off. What
is kept lies beside the compilation cache, by device, versions, model, shapes and batch.
"""

import contextlib
import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from mia.train.devices import cache_folder
from mia.train.options import CHOSEN
from mia.train.sharded import advance, initialise
from mia.train.state import Model, Plan, Records, even_part

PARTS = (8, 32)  # records of a batch that go through the model at once
STEPS, ROUNDS = 4, 3
GAIN = 1.03  # less is not worth another way


def tuned(
    wanted: str, plan: Plan, on: Mesh, width: int, records: Records, job: Model, folder: Path | None = None
) -> tuple[Plan, str]:
    """Return the plan whose steps are fastest here, and a line that says so; none where there was nothing to choose.

    Args:
        wanted: `engine.tune`.
        plan: The fixed choice.
        on: The devices.
        width: Models that train side by side on each.
        records: The data set.
        job: One of the models.
        folder: Where choices are kept; None: beside the compilation cache.
    """
    is_cpu = on.devices.flat[0].platform == "cpu"
    parts = parts_to_try(plan)
    if wanted == "off" or len(parts) < 2 or width > 1 or not is_cpu:
        return plan, ""
    path = (folder or cache_folder().parent / "tuned") / f"{_name(plan, on, job)}.json"
    found = {} if wanted == "again" else _read(path)
    if not found:
        found = timed({part: replace(plan, part=part) for part in parts}, on, records, job)
        _write(path, found)
    if not found:  # training will say why
        return plan, ""
    fixed, (part, seconds) = found.get(plan.part, np.inf), min(found.items(), key=lambda item: item[1])
    if fixed < seconds * GAIN:
        part, seconds = plan.part, fixed
    gain = f"{fixed / seconds:.2f} times the fixed choice" if part != plan.part else "the fixed choice"
    gain = "the fixed choice does not run" if np.isinf(fixed) else gain
    speed = f"{float(f'{on.size * plan.batch_size / seconds:.3g}'):,.0f} records a second"
    how = f"{part or 'all'} at a time" if plan.may_divide or part else "as many at a time as caches hold"
    line = f"{CHOSEN}{wanted}: batches of {plan.batch_size} go through {plan.network.options.name} {how}"
    return replace(plan, part=part), f"{line}, {speed}, {gain}"


def parts_to_try(plan: Plan) -> list[int]:
    """Return the fixed choice first, then other parts in which a batch gives the same gradient; 0: the whole batch.

    Under DP-SGD 0 is as many as the caches hold.
    """
    if not plan.may_divide and not plan.defences.first("is_private"):
        return [plan.part]
    return list(dict.fromkeys([plan.part, 0, *(even_part(plan.batch_size, most) for most in PARTS)]))


def timed(plans: dict[int, Plan], on: Mesh, records: Records, job: Model) -> dict[int, float]:
    """Return the seconds of a step by each plan, in rounds that take turns; what does not run is left out."""
    models = jax.tree.map(lambda leaf: np.stack([leaf] * on.size), job)
    best: dict[int, float] = {}
    stop = np.full(on.size, STEPS, np.int32)
    for turn in range(1 + ROUNDS):  # the first one compiles
        for part, plan in plans.items():
            if turn and part not in best:
                continue
            try:
                state = jax.block_until_ready(initialise(plan, on, models))
                begun = time.perf_counter()
                jax.block_until_ready(advance(plan, on, 1, records, models, state, np.int32(0), stop))
            except jax.errors.JaxRuntimeError:
                best.pop(part, None)
                continue
            seconds = (time.perf_counter() - begun) / STEPS
            best[part] = min(seconds, best[part]) if turn > 1 else seconds
    return best


def _name(plan: Plan, on: Mesh, job: Model) -> str:
    """Return what a choice depends on, as a file's name."""
    device = on.devices.flat[0]
    versions = jax.__version__, jax.lib.__version__
    shapes = plan.network.shape, plan.batch_size, len(job.members)
    parts = device.device_kind, device.client.platform_version, on.size, os.cpu_count(), versions, shapes
    text = repr((*parts, repr(plan.network.options), plan.network.num_classes, plan.defences.names, plan.part))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _read(path: Path) -> dict[int, float]:
    """Return what was kept; nothing where there is none, or none that can be read."""
    try:
        kept = json.loads(path.read_text())
        return {int(part): float(seconds) for part, seconds in kept["seconds_per_step"].items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def _write(path: Path, found: dict[int, float]) -> None:
    """Keep a choice; the file appears whole. That the next run must time again is no reason to fail."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"seconds_per_step": found}))
        temporary.replace(path)
