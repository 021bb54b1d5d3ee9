"""Trains many models of one configuration, in groups that share the machine; each group is given out when it is done.

Takes a data set, index arrays and one set of options per model; gives parameters and learning curves. Never writes
files. The model axis is sharded over the devices (CPU cores, GPUs); inside a device `engine.models_per_batch` models
train side by side. Every model equals itself trained alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int, UInt32

from mia.checks import RequestError
from mia.models.build import check_fits
from mia.models.network import Network, to_flat
from mia.models.options import ModelOptions
from mia.records import Dataset
from mia.train.chunks import Chunks
from mia.train.devices import mesh, place_shared
from mia.train.loss import Strengths
from mia.train.one import Model, Plan, Records, State, steps_per_epoch
from mia.train.options import EngineOptions, TrainOptions
from mia.train.results import DivergedError, Progress, Trained
from mia.train.sharded import advance, bytes_needed, initialise
from mia.train.width import choose_width, is_out_of_memory

__all__ = ["DivergedError", "Progress", "Trained", "train_many"]
LARGE = 100.0  # features beyond this were probably meant to be scaled


def train_many(
    data: Dataset,
    members: Int[np.ndarray, "M n"],
    nonmembers: Int[np.ndarray, "M t"],
    seeds: UInt32[np.ndarray, "M"],
    model: ModelOptions,
    options: Sequence[TrainOptions],
    engine: EngineOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Trained]:
    """Return an iterator that trains one model per row of `members` and gives each when its group is done.

    Raises:
        RequestError: options that differ in more than strengths, or a model that does not take such records.
        DivergedError: a loss that is not finite (while iterating).
    """
    common = _common(options, len(members))
    check_fits(model, data.x.shape[1:])
    network = Network(model, data.x.shape[1:], data.num_classes)
    plan = Plan(network, data.scale, min(common.batch_size, members.shape[1]))
    jobs = [
        Model(
            row.astype(np.int32),  # NumPy until it is placed on the devices
            _test_records(others, seed, common.test_records),  # type: ignore[arg-type]
            np.uint32(seed),  # type: ignore[arg-type]
            Strengths.of(option),
        )
        for row, others, seed, option in zip(members, nonmembers, seeds, options, strict=True)
    ]
    on = mesh()
    records = Records(place_shared(data.x, on), place_shared(data.y, on))
    measure = partial(_bytes_needed, plan, on, records, jobs[:1])
    width = choose_width(engine or EngineOptions(), on, len(jobs), measure)
    cause = _likely_cause(data)
    return _Run(plan, on, records, jobs, common.epochs, cause, progress or (lambda _: None)).train(width)


class _Run:
    """One call: what is compiled, where it runs, the models to train, and a clock."""

    def __init__(
        self,
        plan: Plan,
        on: Mesh,
        records: Records,
        jobs: list[Model],
        epochs: int,
        cause: str,
        progress: Callable[[Progress], None],
    ) -> None:
        self.plan, self.on, self.records, self.jobs = plan, on, records, jobs
        self.epochs, self.cause, self.progress = epochs, cause, progress
        self.started = time.perf_counter()
        self.chunks = Chunks(steps_per_epoch(plan, len(jobs[0].members)) if jobs else 1, epochs)

    def train(self, width: int) -> Iterator[Trained]:
        """Train all models, group by group; where memory is too small for a group, go on with half the width."""
        first = 0
        while first < len(self.jobs):
            group = range(first, min(first + width * self.on.size, len(self.jobs)))
            try:
                state, curves = self._group(group, width)
            except jax.errors.JaxRuntimeError as error:
                if width == 1 or not is_out_of_memory(error):
                    raise
                note = f"device memory is full with {width} models side by side; going on with {width // 2}"
                self._report(group, 0.0, float("nan"), note)
                width //= 2
                continue
            yield from _results(group, state, curves)
            first = group.stop

    def _group(self, group: range, width: int) -> tuple[State, np.ndarray]:
        """Train a group to the end. What it lacks is filled with copies, which take no steps where they are alone."""
        size = width * self.on.size
        jobs = [self.jobs[i] for i in group]
        models = jax.tree.map(lambda *leaves: np.stack(leaves), *(jobs + [jobs[-1]] * (size - len(jobs))))
        is_busy = np.arange(0, size, width) < len(jobs)
        state = initialise(self.plan, self.on, models)
        curves = np.full((size, self.epochs, 4), np.nan, np.float32)
        for chunk in self.chunks:
            stop = np.where(is_busy, chunk.stop, chunk.start).astype(np.int32)
            state, rows = advance(self.plan, self.on, width, self.records, models, state, np.int32(chunk.start), stop)
            running = np.asarray(state.loss)[: len(jobs)]  # waits for the chunk to end
            curves[:, chunk.epochs] = np.asarray(rows)[:, : len(curves[0, chunk.epochs])]
            losses = curves[: len(jobs), : chunk.epochs.stop, 0]
            self._check(group, losses, running)
            self._report(
                group, chunk.stop / self.chunks.per_epoch, float(losses[:, -1:].mean()) if losses.size else np.nan
            )
        return state, curves

    def _check(self, group: range, losses: np.ndarray, running: np.ndarray) -> None:
        """Raise if the loss of some epoch, or of the epoch so far, is not finite."""
        is_finite = np.isfinite(np.column_stack([losses, running]))
        bad = np.flatnonzero(~is_finite.all(axis=1))
        if len(bad):
            epoch = int(is_finite[bad].argmin(axis=1).min()) + 1
            raise DivergedError([group[i] for i in bad], epoch, self.cause)

    def _report(self, group: range, epoch: float, loss: float, note: str = "") -> None:
        seconds = time.perf_counter() - self.started
        self.progress(Progress(len(self.jobs), group.start, tuple(group), epoch, self.epochs, seconds, loss, note))


def _results(group: range, state: State, curves: np.ndarray) -> Iterator[Trained]:
    flat = to_flat(*jax.tree.map(np.asarray, (state.parameters, state.statistics)))
    for i, position in enumerate(group):
        own = {name: value[i].copy() for name, value in flat.items()}  # a view would keep the whole group in memory
        yield Trained(position, own, *(curves[i, :, column].copy() for column in range(4)))


def _bytes_needed(plan: Plan, on: Mesh, records: Records, jobs: list[Model], width: int) -> int:
    return bytes_needed(plan, on, width, records, jobs[0])


def _common(options: Sequence[TrainOptions], num_models: int) -> TrainOptions:
    """Return what all options share; they may differ only in traced strengths."""
    if len(options) != num_models or not options:
        raise RequestError(f"train: {len(options)} sets of options for {num_models} models; give one per model")
    for name in ("epochs", "batch_size", "test_records"):
        values = {getattr(option, name) for option in options}
        if len(values) > 1:
            raise RequestError(f"train.{name}={sorted(values)} differs among models of one call; it must be one value")
    return options[0]


def _test_records(nonmembers: np.ndarray, seed: int, count: int) -> Int[np.ndarray, "T"]:
    """Return the first `count` nonmembers in an order that the model's seed decides."""
    return np.random.default_rng(int(seed)).permutation(nonmembers)[:count].astype(np.int32)


def _likely_cause(data: Dataset) -> str:
    largest = float(np.abs(np.asarray(data.x[:1000], np.float32)).max(initial=0)) * data.scale
    if largest > LARGE:
        return f"features are as large as {largest:.3g}; scale them to about 1, or lower train.learning_rate"
    return "train.learning_rate, train.l2 or train.weight_decay is too large"
