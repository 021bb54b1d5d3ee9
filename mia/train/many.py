"""Trains many models of one configuration on the whole machine; each is given out when its group is done.

Takes a data set, index arrays and one set of options per model; gives parameters and learning curves. Never writes
files. The model axis is sharded over the devices (CPU cores, GPUs); inside a device `engine.models_per_batch` models
train side by side. Every model equals itself trained alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int, UInt32

from mia.checks import RequestError
from mia.models.network import Network
from mia.models.options import ModelOptions
from mia.records import Dataset
from mia.train.compatible import check_compatible
from mia.train.devices import mesh, place_shared
from mia.train.group import Call, train_alike
from mia.train.loss import Strengths
from mia.train.options import EngineOptions, TrainOptions
from mia.train.parts import Parts, divide
from mia.train.predict import predict
from mia.train.results import DivergedError, Progress, Trained
from mia.train.state import Model, Plan, Records
from mia.train.switches import Switches

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

    Models whose options differ in strengths alone train together; those with different defences switched on train
    after one another.

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
        sum(2 if option.distillation.reference else 1 for option in options),
        _likely_cause(data),
        progress or (lambda _: None),
        time.perf_counter(),
    )
    jobs = [
        _Job(position, option, divide(option, row.astype(np.int32), seed), _test_records(others, seed, common), seed)
        for position, (row, others, seed, option) in enumerate(zip(members, nonmembers, seeds, options, strict=True))
    ]
    return _train(call, data, Network(model, data.x.shape[1:], data.num_classes), jobs)


class _Job:
    """One model to train, on the host."""

    def __init__(self, position: int, options: TrainOptions, parts: Parts, test: np.ndarray, seed: np.uint32) -> None:
        self.position, self.options, self.parts, self.test, self.seed = position, options, parts, test, seed
        self.switches = Switches.of(options)
        self.shapes = tuple(len(part) for part in vars(parts).values())

    def model(self, answers: Float[np.ndarray, "d C"] | None = None) -> Model:
        """Return what the device is given: of a student if there are answers, else of the model itself or a teacher."""
        parts, switches = self.parts, self.switches
        trained_on = parts.trained_on if answers is None else parts.distilled_on
        strengths = Strengths.of(self.options)
        return Model(  # NumPy until it is placed on the devices
            trained_on,  # type: ignore[arg-type]
            self.test,  # type: ignore[arg-type]
            np.uint32(self.seed),  # type: ignore[arg-type]
            strengths,
            parts.held_out if switches.early_stopping else None,  # type: ignore[arg-type]
            parts.reference if switches.adversarial else None,  # type: ignore[arg-type]
            answers,  # type: ignore[arg-type]
        )


def _train(call: Call, data: Dataset, network: Network, jobs: list[_Job]) -> Iterator[Trained]:
    """Train jobs that share compiled code together, one kind after the other."""
    kinds: dict[tuple[Switches, tuple[int, ...]], list[_Job]] = {}
    for job in jobs:
        kinds.setdefault((job.switches, job.shapes), []).append(job)
    for (switches, _), alike in kinds.items():
        names = [job.position for job in alike]
        size = alike[0].options.batch_size
        if not switches.distillation:
            plan = Plan(network, data.scale, min(size, len(alike[0].parts.trained_on)), switches)
            yield from train_alike(call, plan, [job.model() for job in alike], names)
            continue
        plan = Plan(
            network, data.scale, min(size, len(alike[0].parts.trained_on)), replace(switches, distillation=False)
        )
        teachers = train_alike(call, plan, [job.model() for job in alike], names)
        answers = [_answers(network, data, job, teacher) for job, teacher in zip(alike, teachers, strict=True)]
        plan = Plan(network, data.scale, min(size, len(alike[0].parts.distilled_on)), switches)
        yield from train_alike(call, plan, [job.model(own) for job, own in zip(alike, answers, strict=True)], names)


def _answers(network: Network, data: Dataset, job: _Job, teacher: Trained) -> Float[np.ndarray, "d C"]:
    """Return a teacher's softened answers to the records that its student learns from."""
    x = data.x[job.parts.distilled_on]
    logits = predict(network.options, teacher.parameters, x, data.scale, data.num_classes)
    logits = logits / np.float32(job.options.distillation.temperature)
    answers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return answers / answers.sum(axis=1, keepdims=True)


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


def _likely_cause(data: Dataset) -> str:
    largest = float(np.abs(np.asarray(data.x[:1000], np.float32)).max(initial=0)) * data.scale
    if largest > LARGE:
        return f"features are as large as {largest:.3g}; scale them to about 1, or lower train.learning_rate"
    return "train.learning_rate, train.l2 or train.weight_decay is too large"
