"""Trains models that share compiled code, in groups that fill the machine; each group is given out when it is done.

Takes jobs on the host; gives final states and learning curves. Where memory is too small for a group, it goes on with
half the width.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from mia.models.network import to_flat
from mia.train.batches import steps_per_epoch
from mia.train.chunks import Chunks
from mia.train.early_stopping import has_stopped
from mia.train.options import EngineOptions
from mia.train.results import DivergedError, Progress, Trained
from mia.train.sharded import advance, bytes_needed, initialise
from mia.train.state import Model, Plan, Records, State
from mia.train.width import choose_width, is_out_of_memory


@dataclass
class Call:
    """What all groups of one call share."""

    on: Mesh
    records: Records
    engine: EngineOptions
    epochs: int
    passes: int  # models to train in all, teachers included
    cause: str  # likely, should a loss diverge
    progress: Callable[[Progress], None]
    started: float
    passes_done: int = 0


def train_alike(call: Call, plan: Plan, jobs: Sequence[Model], names: Sequence[int]) -> Iterator[Trained]:
    """Train models whose plan and shapes are the same.

    Args:
        call: what this is part of.
        plan: what is compiled.
        jobs: the models, on the host.
        names: their positions in the call.

    Raises:
        DivergedError: a loss that is not finite.
    """
    measure = partial(_bytes_needed, call, plan, jobs[0])
    width = choose_width(call.engine, call.on, len(jobs), measure)
    chunks = Chunks(steps_per_epoch(plan, len(jobs[0].members)), call.epochs)
    first = 0
    while first < len(jobs):
        size = min(width * call.on.size, len(jobs) - first)
        part = slice(first, first + size)
        group = _Group(call, plan, jobs[part], names[part], width, chunks)
        try:
            state, curves = group.train()
        except jax.errors.JaxRuntimeError as error:
            if width == 1 or not is_out_of_memory(error):
                raise
            group.report(
                0.0, float("nan"), f"device memory is full with {width} models side by side; going on with {width // 2}"
            )
            width //= 2
            continue
        call.passes_done += size
        yield from _results(names[part], state, curves)
        first += size


class _Group:
    """The models that are on the devices at the same time."""

    def __init__(
        self, call: Call, plan: Plan, jobs: Sequence[Model], names: Sequence[int], width: int, chunks: Chunks
    ) -> None:
        self.call, self.plan, self.jobs, self.names, self.width, self.chunks = call, plan, jobs, names, width, chunks

    def train(self) -> tuple[State, np.ndarray]:
        """Train to the end. What the group lacks is filled with copies, which take no steps where they are alone."""
        call, count = self.call, len(self.jobs)
        size = self.width * call.on.size
        padding = [self.jobs[-1]] * (size - count)
        models = jax.tree.map(lambda *leaves: np.stack(leaves), *self.jobs, *padding)
        is_busy = np.arange(0, size, self.width) < count
        state = initialise(self.plan, call.on, models)
        curves = np.full((size, call.epochs, 4), np.nan, np.float32)
        for chunk in self.chunks:
            stop = np.where(is_busy, chunk.stop, chunk.start).astype(np.int32)
            state, rows = advance(
                self.plan, call.on, self.width, call.records, models, state, np.int32(chunk.start), stop
            )
            running = np.asarray(state.loss)[:count]  # waits for the chunk to end
            curves[:, chunk.epochs] = np.asarray(rows)[:, : len(curves[0, chunk.epochs])]
            losses = curves[:count, : chunk.epochs.stop, 0]
            self._check(losses, running)
            self.report(chunk.stop / self.chunks.per_epoch, float(losses[:, -1:].mean()) if losses.size else np.nan)
            if self._is_over(state, models, count):
                curves[:, chunk.epochs.stop :] = curves[:, chunk.epochs.stop - 1, None]
                self.report(call.epochs, float(losses[:, -1:].mean()))
                break
        return state, curves

    def report(self, epoch: float, loss: float, note: str = "") -> None:
        """Tell how far the group is."""
        call = self.call
        positions = tuple(range(call.passes_done, call.passes_done + len(self.jobs)))
        seconds = time.perf_counter() - call.started
        call.progress(Progress(call.passes, call.passes_done, positions, epoch, call.epochs, seconds, loss, note))

    def _check(self, losses: Float[np.ndarray, "M E"], running: Float[np.ndarray, "M"]) -> None:
        """Raise if the loss of some epoch, or of the epoch so far, is not finite."""
        is_finite = np.isfinite(np.column_stack([losses, running]))
        bad = np.flatnonzero(~is_finite.all(axis=1))
        if len(bad):
            epoch = int(is_finite[bad].argmin(axis=1).min()) + 1
            raise DivergedError([self.names[int(i)] for i in bad], epoch, self.call.cause)

    @staticmethod
    def _is_over(state: State, models: Model, count: int) -> bool:
        """Whether early stopping has ended every model's training."""
        if state.stopping is None:
            return False
        return bool(np.asarray(has_stopped(state.stopping, models.strengths.patience))[:count].all())


def _results(names: Sequence[int], state: State, curves: np.ndarray) -> Iterator[Trained]:
    parameters, statistics = state.parameters, state.statistics
    if state.stopping is not None:
        parameters, statistics = (state.stopping["best"][name] for name in ("parameters", "statistics"))
    flat = to_flat(*jax.tree.map(np.asarray, (parameters, statistics)))
    for i, position in enumerate(names):
        own = {name: value[i].copy() for name, value in flat.items()}  # a view would keep the whole group in memory
        yield Trained(position, own, *(curves[i, :, column].copy() for column in range(4)))


def _bytes_needed(call: Call, plan: Plan, job: Model, width: int) -> int:
    return bytes_needed(plan, call.on, width, call.records, job)
