"""Times the ways in which a step can be taken on this machine, and keeps which was fastest for the next time.

Takes a plan; gives the plan to train by, how many models stand side by side, and a line for a person. All ways give the
same training up to round-off. What is kept lies beside the compilation cache, by device, versions, model, shapes, batch
and number of models.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from mia.models import model_kind
from mia.train.devices import cache_folder
from mia.train.options import CHOSEN, EngineOptions
from mia.train.sharded import advance, initialise
from mia.train.state import Model, Plan, Records, even_part

PARTS = (8, 32)  # records of a batch that go through the model at once
WIDTHS = (4, 16)  # models side by side on a core
SECONDS, MOST_STEPS, ROUNDS = 0.05, 2000, 3  # of a try, at least and at most; tries
HOPELESS = 1.3  # times the fastest: is not tried again
GAIN = 1.03  # less is not worth another way


@dataclass(frozen=True)
class Way:
    """How a step is taken."""

    part: int  # records of a batch that go through the model at once; 0: all, or under DP-SGD as caches hold
    convolution: str
    vectors: int
    width: int  # models side by side

    def of(self, plan: Plan) -> Plan:
        """Return the plan whose steps are taken so."""
        return replace(plan, part=self.part, convolution=self.convolution, vectors=self.vectors)


def tuned(
    engine: EngineOptions,
    plan: Plan,
    on: Mesh,
    width: int,
    records: Records,
    jobs: Sequence[Model],
    folder: Path | None = None,
) -> tuple[Plan, int, str]:
    """Return the plan and the width that are fastest here, and a line that says so; none where nothing was to choose.

    Args:
        engine: What the user asked for.
        plan: The fixed choice.
        on: The devices.
        width: The fixed choice of models that train side by side on each.
        records: The data set.
        jobs: The models.
        folder: Where choices are kept; None: beside the compilation cache.
    """
    fixed = Way(plan.part, plan.convolution, plan.vectors, width)
    most = -(-len(jobs) // on.size) if engine.models_per_batch == "auto" else width
    others = ways_to_try(plan, on, fixed, most)
    if engine.tune == "off" or not any(others.values()):
        return plan, width, ""
    path = (folder or cache_folder().parent / "tuned") / f"{_name(plan, on, jobs[0], fixed, most)}.json"
    kept = None if engine.tune == "again" else _read(path)
    if kept is None:
        kept = fastest(fixed, others, lambda ways: timed(ways, plan, on, records, jobs[0]))
        if kept is None:  # training will say why
            return plan, width, ""
        _write(path, *kept)
    way, seconds, gain = kept
    return way.of(plan), way.width, _line(engine.tune, plan, fixed, way, seconds / on.size, gain)


def ways_to_try(plan: Plan, on: Mesh, fixed: Way, most: int) -> dict[str, list[Any]]:
    """Return what else each field of a way may be.

    Args:
        plan: The fixed choice.
        on: The devices.
        fixed: The same, as a way.
        most: Models that may stand side by side.
    """
    takes_pictures = model_kind(plan.network.options).takes == "pictures"
    if on.devices.flat[0].platform != "cpu":
        return {"convolution": ["vendor"] if takes_pictures else []}
    is_alone = fixed.width == 1
    widths = {even_part(most, width) or most for width in WIDTHS} - {1}
    return {
        "part": [part for part in parts_to_try(plan) if part != fixed.part] if is_alone else [],
        "convolution": ["strips"] if takes_pictures else [],
        "vectors": [256],
        "width": sorted(widths) if is_alone else [],
    }


def parts_to_try(plan: Plan) -> list[int]:
    """Return the fixed choice first, then other parts in which a batch gives the same gradient; 0: the whole batch.

    Under DP-SGD 0 is as many as the caches hold.
    """
    if not plan.may_divide and not plan.defences.first("is_private"):
        return [plan.part]
    return list(dict.fromkeys([plan.part, 0, *(even_part(plan.batch_size, most) for most in PARTS)]))


def fastest(
    fixed: Way, others: dict[str, list[Any]], time_all: Callable[[list[Way]], dict[Way, float]]
) -> tuple[Way, float, float] | None:
    """Return the fastest way, the seconds that a step of one model takes by it, and its gain over the fixed one.

    One field after another is chosen; what gains little is left. The gain is measured beside the fixed way once more; 0
    where that does not run. Nothing where no way runs.

    Args:
        fixed: The fixed choice.
        others: What else each field may be.
        time_all: (ways) -> seconds of those that run.
    """
    best, seconds = fixed, np.inf
    for name, values in others.items():
        found = time_all([best, *(replace(best, **{name: value}) for value in values)]) if values else {}
        if found:
            quickest = min(found, key=lambda way: found[way])
            best = quickest if found.get(best, np.inf) > found[quickest] * GAIN else best
            seconds = found[best]
    if best != fixed:
        found = time_all([fixed, best])
        if best not in found or found.get(fixed, np.inf) < found[best] * GAIN:
            return (fixed, found[fixed], 1.0) if fixed in found else None
        return best, found[best], found[fixed] / found[best] if fixed in found else 0.0
    return (best, seconds, 1.0) if np.isfinite(seconds) else None


def timed(ways: list[Way], plan: Plan, on: Mesh, records: Records, job: Model) -> dict[Way, float]:
    """Return the seconds of a step of one model by each way, in rounds that take turns, without what does not run."""
    best: dict[Way, float] = {}
    steps, is_hopeless = dict.fromkeys(ways, 1), dict.fromkeys(ways, False)
    for turn in range(3 + ROUNDS):  # the first one compiles, two more tell how many steps are long enough
        for way in ways:
            if (turn and way not in best) or is_hopeless[way]:
                continue
            try:
                seconds = _try(way, way.of(plan), on, records, job, steps[way])
            except jax.errors.JaxRuntimeError:
                best.pop(way, None)
                continue
            best[way] = seconds if turn <= 3 else min(best[way], seconds)
            if turn in (1, 2):
                steps[way] = int(np.clip(SECONDS / (seconds * way.width), 1, MOST_STEPS))
        if turn >= 3:
            is_hopeless = {way: seconds > HOPELESS * min(best.values()) for way, seconds in best.items()}
    return best


def _try(way: Way, plan: Plan, on: Mesh, records: Records, job: Model, steps: int) -> float:
    models = jax.tree.map(lambda leaf: np.stack([leaf] * (on.size * way.width)), job)
    state = jax.block_until_ready(initialise(plan, on, models))
    stop = np.full(on.size, steps, np.int32)
    begun = time.perf_counter()
    jax.block_until_ready(advance(plan, on, way.width, records, models, state, np.int32(0), stop))
    return (time.perf_counter() - begun) / (steps * way.width)


def _line(wanted: str, plan: Plan, fixed: Way, way: Way, seconds: float, gain: float) -> str:
    name = plan.network.options.name
    how = [f"batches of {plan.batch_size} go through {name} {_at_once(plan, way)}", *_differences(fixed, way)]
    speed = f"{float(f'{plan.batch_size / seconds:.3g}'):,.0f} records a second"
    by = "the fixed choice" if way == fixed else f"{gain:.2f} times the fixed choice"
    return f"{CHOSEN}{wanted}: {', '.join([*how, speed])}, {by if gain else 'the fixed choice does not run'}"


def _at_once(plan: Plan, way: Way) -> str:
    if way.part:
        return f"{way.part} at a time"
    return "all at once" if plan.may_divide else "as many at a time as caches hold"


def _differences(fixed: Way, way: Way) -> Iterator[str]:
    if way.convolution != fixed.convolution:
        yield {"strips": "convolutions in strips", "vendor": "convolutions by the vendor"}[way.convolution]
    if way.vectors != fixed.vectors:
        yield f"vectors of {way.vectors} bits"
    if way.width != fixed.width:
        yield f"{way.width} models side by side"


def _name(plan: Plan, on: Mesh, job: Model, fixed: Way, most: int) -> str:
    """Return what a choice depends on, as a file's name."""
    device = on.devices.flat[0]
    versions = jax.__version__, jax.lib.__version__
    shapes = plan.network.shape, plan.batch_size, len(job.members), most
    parts = device.device_kind, device.client.platform_version, on.size, os.cpu_count(), versions, shapes
    text = repr((*parts, repr(plan.network.options), plan.network.num_classes, plan.defences.names, fixed))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _read(path: Path) -> tuple[Way, float, float] | None:
    """Return what was kept; nothing where there is none, or none that can be read."""
    try:
        kept = json.loads(path.read_text())
        return Way(**kept["way"]), float(kept["seconds_per_step"]), float(kept["gain"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _write(path: Path, way: Way, seconds: float, gain: float) -> None:
    """Keep a choice; the file appears whole. That the next run must time again is no reason to fail."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"way": vars(way), "seconds_per_step": seconds, "gain": gain}))
        temporary.replace(path)
