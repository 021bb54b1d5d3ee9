"""Trains models that share compiled code, in groups that fill the machine; each group is given out when it is done.

Takes jobs on the host; gives final states and learning curves. Where memory is too small for a group, it goes on with
half the width.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from mia.models.networks.network import to_flat
from mia.train.batches import steps_per_epoch
from mia.train.one import MAX_EPOCHS, is_over
from mia.train.options import EngineOptions
from mia.train.sharded import advance, bytes_needed, choose_width, initialise, is_out_of_memory
from mia.train.state import Model, Plan, Records, State
from mia.train.tune import tuned
from mia.train.watch import Shown, Start, Watch, from_arrays, losses, to_arrays


@dataclass(frozen=True)
class Trained:
    """One trained model."""

    position: int  # along the model axis of the call
    parameters: dict[str, np.ndarray]  # flat path -> array, batch statistics included
    train_loss: Float[np.ndarray, "E"]  # mean cross-entropy over the epoch, without penalty
    train_accuracy: Float[np.ndarray, "E"]  # running mean over the epoch
    test_loss: Float[np.ndarray, "E"]  # NaN where train.test_records is 0
    test_accuracy: Float[np.ndarray, "E"]
    warnings: tuple[str, ...] = ()  # what a person should know of how it was trained, one line each


@dataclass(frozen=True)
class Progress:
    """How far a call is."""

    num_models: int
    models_done: int
    models: tuple[int, ...]  # positions of those in training
    epoch: float  # epochs that each of them has behind it
    epochs: int
    seconds: float  # since the call started
    train_loss: float  # mean over the models in training, of the last full epoch; NaN before the first

    @property
    def fraction(self) -> float:
        """Share of the call's work that is done."""
        return (self.models_done + len(self.models) * self.epoch / self.epochs) / self.num_models


class DivergedError(RuntimeError):
    """The loss of some models became infinite or not a number."""

    def __init__(self, models: Sequence[int], epoch: int, cause: str) -> None:
        self.models, self.epoch, self.cause = tuple(models), epoch, cause
        names = ", ".join(str(model) for model in models)
        noun = "model" if len(self.models) == 1 else "models"
        super().__init__(f"the loss of {noun} {names} is not finite in epoch {epoch}; likely cause: {cause}")


DeviceError = jax.errors.JaxRuntimeError
"""What a device could not do, such as to hold what it was given."""
SECONDS = 1.5  # of a chunk of steps, so that progress is seen at least every two
GROWTH = 8  # a chunk is at most so many times the one before, whose time may hold compilation


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
    warnings: tuple[str, ...] = ()  # for a person, of the machine


def train_alike(
    call: Call,
    plan: Plan,
    jobs: Sequence[Model],
    names: Sequence[int],
    watch: Watch | None = None,
    starts: Sequence[Start] = (),
) -> Iterator[Trained]:
    """Train models whose plan and shapes are the same.

    Args:
        call: what this is part of.
        plan: what is compiled.
        jobs: the models, on the host.
        names: their positions in the call.
        watch: who is shown them while they train.
        starts: where they go on from, all with the same epoch; curves are NaN before it.

    Raises:
        DivergedError: a loss that is not finite.
    """
    measure = partial(_bytes_needed, call, plan, jobs[0])
    width = choose_width(call.engine, call.on, len(jobs), measure)
    plan, width, line = tuned(call.engine, plan, call.on, width, call.records, jobs)
    if line and line not in call.warnings:
        call.warnings += (line,)
    chunks = Chunks(steps_per_epoch(plan, len(jobs[0].members)), call.epochs)
    first = 0
    while first < len(jobs):
        size = min(width * call.on.size, len(jobs) - first)
        part = slice(first, first + size)
        group = _Group(call, plan, jobs[part], names[part], width, chunks, watch, starts[part])
        try:
            state, curves = group.train()
        except jax.errors.JaxRuntimeError as error:
            if width == 1 or not is_out_of_memory(error):
                raise
            line = f"device memory was full with {width} models side by side; training went on with {width // 2}"
            call.warnings += (f"{line}; engine.models_per_batch={width // 2} avoids that",)
            width //= 2
            continue
        call.passes_done += size
        yield from _results(plan, names[part], state, curves, call.warnings)
        first += size


@dataclass(frozen=True)
class Chunk:
    """The steps [start, stop), and the epochs that end in them."""

    start: int
    stop: int
    epochs: slice


class Chunks:
    """The chunks of one training after another; what was learnt about speed is kept from one to the next."""

    def __init__(self, per_epoch: int, epochs: int) -> None:
        self.per_epoch, self.epochs = per_epoch, epochs
        self._steps = 1

    def __iter__(self) -> Iterator[Chunk]:
        return self.ending_at(frozenset())

    def ending_at(self, stops: Collection[int], after: int = 0) -> Iterator[Chunk]:
        """Yield the chunks behind the first epochs, of which one ends with each epoch in `stops`."""
        ends = sorted({self.epochs, *(epoch for epoch in stops if after < epoch < self.epochs)})
        start, end = self.per_epoch * after, self.per_epoch * self.epochs
        while start < end:
            first = start // self.per_epoch
            following = next(epoch for epoch in ends if epoch > first) * self.per_epoch
            stop = min(start + self._steps, following, (first + MAX_EPOCHS) * self.per_epoch)
            begun = time.perf_counter()
            yield Chunk(start, stop, slice(first, stop // self.per_epoch))
            self._learn(stop - start, time.perf_counter() - begun)
            start = stop

    def _learn(self, steps: int, seconds: float) -> None:
        wanted = int(steps * SECONDS / max(seconds, 1e-6))
        self._steps = max(1, min(wanted, GROWTH * self._steps))


class _Group:
    """The models that are on the devices at the same time."""

    def __init__(
        self,
        call: Call,
        plan: Plan,
        jobs: Sequence[Model],
        names: Sequence[int],
        width: int,
        chunks: Chunks,
        watch: Watch | None,
        starts: Sequence[Start],
    ) -> None:
        self.call, self.plan, self.jobs, self.names, self.width, self.chunks = call, plan, jobs, names, width, chunks
        self.watch, self.starts = watch, starts
        self.first = starts[0].epoch if starts else 0  # epochs that lie behind

    def train(self) -> tuple[State, np.ndarray]:
        """Train to the end. What the group lacks is filled with copies, which take no steps where they are alone."""
        call, count = self.call, len(self.jobs)
        size = self.width * call.on.size
        padding = [self.jobs[-1]] * (size - count)
        models = jax.tree.map(lambda *leaves: np.stack(leaves), *self.jobs, *padding)
        is_busy = np.arange(0, size, self.width) < count
        state = self._start(models, len(padding))
        curves = np.full((size, call.epochs, 4), np.nan, np.float32)
        stops = self.watch.stops(self.names) if self.watch else frozenset()
        for chunk in self.chunks.ending_at(stops, self.first):
            stop = np.where(is_busy, chunk.stop, chunk.start).astype(np.int32)
            state, rows = advance(
                self.plan, call.on, self.width, call.records, models, state, np.int32(chunk.start), stop
            )
            running = np.asarray(state.loss)[:count]  # waits for the chunk to end
            curves[:, chunk.epochs] = np.asarray(rows)[:, : len(curves[0, chunk.epochs])]
            ended = curves[:count, self.first : chunk.epochs.stop, 0]
            self._check(ended, running)
            self.report(chunk.stop / self.chunks.per_epoch, float(ended[:, -1:].mean()) if ended.size else np.nan)
            is_end = chunk.stop == chunk.epochs.stop * self.chunks.per_epoch
            if ended.size and self._is_over(state, models, count):  # of one that goes on, an epoch gives the row first
                curves[:, chunk.epochs.stop :] = curves[:, chunk.epochs.stop - 1, None]
                for epoch in sorted(stop for stop in stops if stop >= chunk.epochs.stop + (not is_end)):
                    self._show(epoch, state, curves)
                self.report(call.epochs, float(ended[:, -1:].mean()))
                break
            if is_end and chunk.epochs.stop in stops:
                self._show(chunk.epochs.stop, state, curves)
        return state, curves

    def _start(self, models: Model, padding: int) -> State:
        """Return the group's state before the first step that is taken."""
        if not self.starts:
            return initialise(self.plan, self.call.on, models)
        states = [start.state for start in self.starts]
        return from_arrays(self.plan, self.call.on, models, [*states, *states[-1:] * padding])

    def _show(self, epoch: int, state: State, curves: np.ndarray) -> None:
        """Show those of the group's models that are asked for after an epoch."""
        assert self.watch is not None, "somebody asked for the epoch"
        call, plan = self.call, self.plan
        finished = cache(lambda: list(_results(plan, self.names, state, curves[:, :epoch], call.warnings)))
        for i, position in enumerate(self.names):
            if epoch in self.watch.epochs(position):
                self.watch.show(
                    Shown(
                        position,
                        epoch,
                        partial(losses, plan, call.on, call.records, state, i),
                        lambda i=i: finished()[i],  # type: ignore[misc]
                        partial(to_arrays, state, i),
                    )
                )

    def report(self, epoch: float, loss: float) -> None:
        """Tell how far the group is."""
        call = self.call
        positions = tuple(range(call.passes_done, call.passes_done + len(self.jobs)))
        seconds = time.perf_counter() - call.started
        call.progress(Progress(call.passes, call.passes_done, positions, epoch, call.epochs, seconds, loss))

    def _check(self, losses: Float[np.ndarray, "M E"], running: Float[np.ndarray, "M"]) -> None:
        """Raise if the loss of some epoch, or of the epoch so far, is not finite."""
        is_finite = np.isfinite(np.column_stack([losses, running]))
        bad = np.flatnonzero(~is_finite.all(axis=1))
        if len(bad):
            epoch = self.first + int(is_finite[bad].argmin(axis=1).min()) + 1
            raise DivergedError([self.names[int(i)] for i in bad], epoch, self.call.cause)

    def _is_over(self, state: State, models: Model, count: int) -> bool:
        """Whether defences have ended every model's training."""
        if not self.plan.defences.with_hook("is_over"):
            return False
        over = jax.vmap(partial(is_over, self.plan))(models, state.own)
        return bool(np.asarray(over)[:count].all())


def _results(
    plan: Plan, names: Sequence[int], state: State, curves: np.ndarray, warnings: tuple[str, ...]
) -> Iterator[Trained]:
    parameters, statistics = state.parameters, state.statistics
    for defence in plan.defences.with_hook("result"):
        parameters, statistics = defence.result(state.own.get(defence.name), parameters, statistics)
    flat = to_flat(*jax.tree.map(np.asarray, (parameters, statistics)))
    for i, position in enumerate(names):
        own = {name: value[i].copy() for name, value in flat.items()}  # a view would keep the whole group in memory
        loss, accuracy, test_loss, test_accuracy = (curves[i, :, column].copy() for column in range(4))
        yield Trained(position, own, loss, accuracy, test_loss, test_accuracy, warnings)


def _bytes_needed(call: Call, plan: Plan, job: Model, width: int) -> int:
    return bytes_needed(plan, call.on, width, call.records, job)
