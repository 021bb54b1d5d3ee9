"""Trains many models of one configuration, in groups that share the machine; each group is given out when it is done.

Takes a data set, index arrays and one set of options per model; gives parameters and learning curves. Never writes
files. The model axis is sharded over the devices (CPU cores, GPUs); inside a device `models_per_batch` models train
side by side. Every model equals itself trained alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Float, Int, UInt32

from mia.checks import RequestError
from mia.models.build import check_fits
from mia.models.network import Network, to_flat
from mia.models.options import ModelOptions
from mia.records import Dataset
from mia.train.devices import MODELS, mesh, place_shared
from mia.train.loss import Strengths
from mia.train.one import MAX_EPOCHS, Model, Plan, Records, State, initial_state, steps_per_epoch, train_steps
from mia.train.options import EngineOptions, TrainOptions

CHUNK_SECONDS = 1.0  # aimed at, so that progress is seen at least every two seconds


@dataclass(frozen=True)
class Trained:
    """One trained model."""

    position: int  # along the model axis of the call
    parameters: dict[str, np.ndarray]  # flat path -> array, batch statistics included
    train_loss: Float[np.ndarray, "E"]  # mean cross-entropy over the epoch, without penalty
    train_accuracy: Float[np.ndarray, "E"]  # running mean over the epoch
    test_loss: Float[np.ndarray, "E"]  # NaN where train.test_records is 0
    test_accuracy: Float[np.ndarray, "E"]


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
        self.models, self.epoch = tuple(models), epoch
        names = ", ".join(str(model) for model in models)
        super().__init__(f"the loss of model {names} is not finite after epoch {epoch}; likely cause: {cause}")


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
    """Train one model per row of `members` and yield each when its group is done.

    Raises:
        RequestError: options that differ in more than strengths, or a model that does not take such records.
        DivergedError: a loss that is not finite.
    """
    common = _common(options, len(members))
    check_fits(model, data.x.shape[1:])
    on = mesh()
    plan = Plan(
        Network(model, data.x.shape[1:], data.num_classes), data.scale, min(common.batch_size, members.shape[1])
    )
    side_by_side = _side_by_side(engine or EngineOptions())
    records = Records(place_shared(data.x, on), place_shared(data.y, on))
    tests = [_test_records(row, seed, common.test_records) for row, seed in zip(nonmembers, seeds, strict=True)]
    jobs = [
        Model(np.int32(row), test, np.uint32(seed), Strengths.of(option))
        for row, test, seed, option in zip(members, tests, seeds, options, strict=True)
    ]
    run = _Run(plan, side_by_side, on, records, common.epochs, len(jobs), progress)
    size = side_by_side * on.size
    for first in range(0, len(jobs), size):
        yield from run.group(first, jobs[first : first + size])


class _Run:
    """One call's compiled code, data and clock."""

    def __init__(
        self,
        plan: Plan,
        side_by_side: int,
        on: Mesh,
        records: Records,
        epochs: int,
        num_models: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.plan, self.side_by_side, self.on, self.records = plan, side_by_side, on, records
        self.epochs, self.num_models, self.progress = epochs, num_models, progress
        self.started = time.perf_counter()
        self.steps_per_second = 0.0

    def group(self, first: int, jobs: list[Model]) -> Iterator[Trained]:
        """Train a group to the end. Missing models of a small group are copies that take no steps."""
        size = self.side_by_side * self.on.size
        models = jax.tree.map(lambda *leaves: np.stack(leaves), *(jobs + [jobs[-1]] * (size - len(jobs))))
        is_real = np.arange(size) < len(jobs)
        is_busy = is_real.reshape(-1, self.side_by_side).any(axis=1)
        steps = steps_per_epoch(self.plan, models.members.shape[1])
        state = _initialise(self.plan, self.on, self.side_by_side, models)
        curves = np.full((size, self.epochs, 4), np.nan, np.float32)
        done = 0
        while done < steps * self.epochs:
            stop = min(done + self._chunk(steps), steps * self.epochs, (done // steps + MAX_EPOCHS) * steps)
            begun = time.perf_counter()
            state, rows = _advance(
                self.plan,
                self.on,
                self.side_by_side,
                self.records,
                models,
                state,
                np.int32(done),
                np.where(is_busy, stop, done).astype(np.int32),
            )
            rows, losses = np.asarray(rows), np.asarray(state.loss)
            self._learn_speed(stop - done, time.perf_counter() - begun)
            first_epoch, last_epoch = done // steps, stop // steps
            curves[:, first_epoch:last_epoch] = rows[:, : last_epoch - first_epoch]
            done = stop
            self._check(first, curves[: len(jobs), :last_epoch, 0], losses[: len(jobs)])
            self._report(first, len(jobs), done / steps, curves[: len(jobs), :last_epoch, 0])
        yield from self._results(first, len(jobs), state, curves)

    def _chunk(self, steps: int) -> int:
        """Return how many steps to take before looking at the clock: few at first, then about a second's worth."""
        if not self.steps_per_second:
            return min(steps, 32)
        return max(1, int(self.steps_per_second * CHUNK_SECONDS))

    def _learn_speed(self, steps: int, seconds: float) -> None:
        speed = steps / seconds
        # the first call compiles, so a measured speed is only a lower bound: never trust a jump of more than tenfold
        self.steps_per_second = min(speed, 10 * self.steps_per_second) if self.steps_per_second else speed

    def _check(self, first: int, losses: np.ndarray, running: np.ndarray) -> None:
        is_finite = np.isfinite(losses).all(axis=1) & np.isfinite(running)
        if is_finite.all():
            return
        bad = np.flatnonzero(~is_finite)
        epochs = [int(np.argmin(np.append(np.isfinite(losses[i]), False))) + 1 for i in bad]
        cause = "train.learning_rate or train.l2 is too large, or the features are not scaled"
        raise DivergedError([first + int(i) for i in bad], min(epochs), cause)

    def _report(self, first: int, count: int, epoch: float, losses: np.ndarray) -> None:
        if self.progress is None:
            return
        loss = float(losses[:, -1].mean()) if losses.shape[1] else float("nan")
        seconds = time.perf_counter() - self.started
        models = tuple(range(first, first + count))
        self.progress(Progress(self.num_models, first, models, epoch, self.epochs, seconds, loss))

    def _results(self, first: int, count: int, state: State, curves: np.ndarray) -> Iterator[Trained]:
        parameters, statistics = jax.tree.map(np.asarray, (state.parameters, state.statistics))
        for i in range(count):
            flat = jax.tree.map(lambda leaf, i=i: leaf[i].copy(), to_flat(parameters, statistics))
            yield Trained(first + i, flat, *(curves[i, :, column].copy() for column in range(4)))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _initialise(plan: Plan, on: Mesh, side_by_side: int, models: Model) -> State:
    spec = PartitionSpec(MODELS)

    def local(models: Model) -> State:
        return jax.lax.map(partial(initial_state, plan), models)

    return jax.shard_map(local, mesh=on, in_specs=spec, out_specs=spec, check_vma=False)(models)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=5)
def _advance(
    plan: Plan,
    on: Mesh,
    side_by_side: int,
    records: Records,
    models: Model,
    state: State,
    start: jax.Array,
    stop: jax.Array,
) -> tuple[State, jax.Array]:
    """Take the steps [start, stop) in every model; `stop` is given per batch of models."""

    def one(records: Records, model: Model, state: State, start: jax.Array, stop: jax.Array) -> tuple[State, jax.Array]:
        return train_steps(plan, records, model, state, start, stop)

    def batch(arguments: tuple[Model, State, jax.Array], records: Records, start: jax.Array) -> tuple[State, jax.Array]:
        models, state, stop = arguments
        if side_by_side > 1:
            return jax.vmap(one, in_axes=(None, 0, 0, None, None))(records, models, state, start, stop)
        alone = one(records, *jax.tree.map(lambda leaf: leaf[0], (models, state)), start, stop)
        return jax.tree.map(lambda leaf: leaf[None], alone)

    def local(
        records: Records, models: Model, state: State, start: jax.Array, stop: jax.Array
    ) -> tuple[State, jax.Array]:
        split = jax.tree.map(
            lambda leaf: leaf.reshape(len(leaf) // side_by_side, side_by_side, *leaf.shape[1:]), (models, state)
        )
        result = jax.lax.map(lambda arguments: batch(arguments, records, start), (*split, stop))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), result)

    shared, sharded = PartitionSpec(), PartitionSpec(MODELS)
    specs = (shared, sharded, sharded, shared, sharded)
    mapped = jax.shard_map(local, mesh=on, in_specs=specs, out_specs=sharded, check_vma=False)
    return mapped(records, models, state, start, stop)


def _common(options: Sequence[TrainOptions], num_models: int) -> TrainOptions:
    """Return what all options share; they may differ only in traced strengths."""
    if len(options) != num_models:
        raise RequestError(f"train: {len(options)} sets of options for {num_models} models; give one per model")
    for name in ("epochs", "batch_size", "test_records"):
        values = {getattr(option, name) for option in options}
        if len(values) > 1:
            raise RequestError(
                f"train.{name}={sorted(values)} differs among the models of one call; it must be one value"
            )
    return options[0]


def _side_by_side(engine: EngineOptions) -> int:
    if engine.models_per_batch != "auto":
        return int(engine.models_per_batch)
    return 1 if jax.default_backend() == "cpu" else 32


def _test_records(nonmembers: np.ndarray, seed: int, count: int) -> Int[np.ndarray, "T"]:
    """Return the first `count` nonmembers in an order that the model's seed decides."""
    return np.int32(np.random.default_rng(int(seed)).permutation(nonmembers)[:count])
