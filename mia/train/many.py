"""Trains many models of one configuration on the whole machine; each is given out when its group is done.

Takes a data set, index arrays and one set of options per model; gives parameters and learning curves. Never writes
files. The model axis is sharded over the devices (CPU cores, GPUs); inside a device `engine.models_per_batch` models
train side by side. Every model equals itself trained alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt32

from mia.checks import RequestError
from mia.models.networks.network import Network
from mia.records import Dataset
from mia.train.batches import TRAINED_ON, divide
from mia.train.compatible import check_compatible, outside_parts
from mia.train.defences import TrainDefence
from mia.train.devices import mesh, place_shared
from mia.train.group import Call, DivergedError, Progress, Trained, train_alike
from mia.train.hooks import Defences, Strengths
from mia.train.options import EngineOptions, TrainOptions
from mia.train.predict import predict
from mia.train.state import Model, Plan, Records
from mia.train.watch import Start, Watch

__all__ = ["DivergedError", "Progress", "Trained", "train_many"]
LARGE = 100.0  # features beyond this were probably meant to be scaled


def train_many(
    data: Dataset,
    members: Int[np.ndarray, "M n"],
    nonmembers: Int[np.ndarray, "M t"],
    seeds: UInt32[np.ndarray, "M"],
    model: Any,
    options: Sequence[TrainOptions],
    engine: EngineOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
    watch: Watch | None = None,
    starts: Mapping[int, Start] | None = None,
) -> Iterator[Trained]:
    """Return an iterator that trains one model per row of `members` and gives each when its group is done.

    Models whose options differ in strengths alone train together; those with different defences switched on train
    after one another. `watch` is shown models while they train; those in `starts` (position -> where they go on from)
    do not begin afresh, and their curves are NaN before.

    Raises:
        RequestError: options that differ in epochs, batch size or test records, a model that does not take such
            records, a defence that does not go with them.
        DivergedError: a loss that is not finite (while iterating).
    """
    common = _common(options, len(members))
    for option in options:
        check_compatible(option, model, data.x.shape[1:], members.shape[1])
    on = mesh()
    call = Call(
        on,
        Records(place_shared(data.x, on), place_shared(data.y, on)),
        engine or EngineOptions(),
        common.epochs,
        sum(1 + any(defence.teaches for defence in option.defences()) for option in options),
        _likely_cause(data, outside_parts(model, options)),
        progress or (lambda _: None),
        time.perf_counter(),
    )
    jobs = [
        _Job(position, option, row, _test_records(others, seed, common), int(seed))
        for position, (row, others, seed, option) in enumerate(zip(members, nonmembers, seeds, options, strict=True))
    ]
    return _train(call, data, Network(model, data.x.shape[1:], data.num_classes), jobs, watch, starts or {})


class _Job:
    """One model to train, on the host."""

    def __init__(self, position: int, options: TrainOptions, members: np.ndarray, test: np.ndarray, seed: int) -> None:
        self.position, self.options, self.test, self.seed = position, options, test, seed
        self.parts = divide(options, members.astype(np.int32), seed)
        self.defences = Defences.of(options)
        self.shapes = tuple(len(part) for part in self.parts.values())

    def model(
        self, defences: Defences, trained_on: str = TRAINED_ON, answers: Float[np.ndarray, "d C"] | None = None
    ) -> Model:
        """Return what the device is given.

        Args:
            defences: What is compiled in.
            trained_on: The name of the part that gradients are taken of.
            answers: A teacher's, for that part.
        """
        hooks = {defence.name for defence in defences.entries if defence.share and not defence.teaches}
        return Model(  # NumPy until it is placed on the devices
            self.parts[trained_on],  # type: ignore[arg-type]
            self.test,  # type: ignore[arg-type]
            np.uint32(self.seed),  # type: ignore[arg-type]
            Strengths.of(self.options, defences),
            {name: part for name, part in self.parts.items() if name in hooks},  # type: ignore[misc]
            answers,  # type: ignore[arg-type]
        )


def _train(
    call: Call, data: Dataset, network: Network, jobs: list[_Job], watch: Watch | None, starts: Mapping[int, Start]
) -> Iterator[Trained]:
    """Train jobs that share compiled code together, one kind after the other."""
    kinds: dict[tuple[Defences, tuple[int, ...], int], list[_Job]] = {}
    for job in jobs:
        behind = starts[job.position].epoch if job.position in starts else 0
        kinds.setdefault((job.defences, job.shapes, behind), []).append(job)
    for (defences, _, behind), alike in kinds.items():
        names = [job.position for job in alike]
        plan = partial(_plan, network, data.scale, alike[0])
        teaching = defences.first("teaches")
        if teaching is None:
            models = [job.model(defences) for job in alike]
            yield from train_alike(
                call, plan(TRAINED_ON, defences), models, names, watch, [starts[i] for i in names] if behind else ()
            )
            continue
        part, alone = teaching.name, defences.without(teaching.name)
        teachers = train_alike(call, plan(TRAINED_ON, alone), [job.model(alone) for job in alike], names)
        students = [
            job.model(defences, part, _answers(network, data, job, teaching, teacher))
            for job, teacher in zip(alike, teachers, strict=True)
        ]
        yield from train_alike(call, plan(part, defences), students, names, watch)


def _plan(network: Network, scale: float, job: _Job, part: str, defences: Defences) -> Plan:
    plan = Plan(network, scale, min(job.options.batch_size, len(job.parts[part])), defences)
    return replace(plan, part=plan.fixed_part)


def _answers(
    network: Network, data: Dataset, job: _Job, teaching: TrainDefence, teacher: Trained
) -> Float[np.ndarray, "d C"]:
    """Return a teacher's answers to the records that its student learns from."""
    x = data.x[job.parts[teaching.name]]
    logits = predict(network.options, teacher.parameters, x, data.scale, data.num_classes)
    return teaching.answers(job.options.given(teaching), logits)


def _common(options: Sequence[TrainOptions], num_models: int) -> TrainOptions:
    """Return options whose epochs, batch size and test records are those of all."""
    if len(options) != num_models or not options:
        raise RequestError(f"train: {len(options)} sets of options for {num_models} models; give one per model")
    for name in ("epochs", "batch_size", "test_records"):
        values = {getattr(option, name) for option in options}
        if len(values) > 1:
            raise RequestError(f"train.{name}={sorted(values)} differs among models of one call; it must be one value")
    return options[0]


def _test_records(nonmembers: np.ndarray, seed: int, options: TrainOptions) -> Int[np.ndarray, "T"]:
    """Return the first nonmembers in an order that the model's seed decides."""
    return np.random.default_rng(int(seed)).permutation(nonmembers)[: options.test_records].astype(np.int32)


def _likely_cause(data: Dataset, others: str) -> str:
    largest = float(np.abs(np.asarray(data.x[:1000], np.float32)).max(initial=0)) * data.scale
    if largest > LARGE:
        return f"features are as large as {largest:.3g}; scale them to about 1, or lower train.learning_rate"
    return "train.learning_rate, train.l2 or train.weight_decay is too large" + (f", or {others}" if others else "")
