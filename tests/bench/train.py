"""Measures the training engine and prints one JSON line.

python tests/bench/train.py --model cnn --models 2 --size 2500 --epochs 3
python tests/bench/train.py --model cnn --rounds 5 --beside PYTHON torch_baseline.py

With --beside, the same work is done by a script for PyTorch that takes --mode, --model, --models, --size, --epochs,
--batch and --dp and prints a JSON line with samples_per_second: in rounds, one after another, each in a process of its
own. The line says medians, and the medians of the rounds' ratios, which a busy machine changes least.

samples_per_second counts all models together over the fastest epoch (for small models: the fastest second), compilation
apart. Records are random, labels follow from them; the speed does not depend on the values. Unless --test-records asks
for it no test curve is made, so that the work is that of a plain training loop. Code is compiled afresh each time.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mia.models.options import CnnOptions, MlpOptions, ModelOptions, WideResnetOptions
from mia.records import Dataset
from mia.train.defence_options import DpOptions
from mia.train.options import EngineOptions, TrainOptions

if TYPE_CHECKING:
    from mia.train.group import Progress, Trained

SIZES = {"cnn": (2500, 3, 3), "mlp": (1200, 300, 30), "wide_resnet": (320, 3, 2)}  # records, epochs, epochs beside
OPTIONS: dict[str, ModelOptions] = {"cnn": CnnOptions(), "mlp": MlpOptions(), "wide_resnet": WideResnetOptions()}


def synthetic(kind: str, count: int) -> Dataset:
    """Return pictures of 10 classes, or for an mlp 446 random bits and 30 classes."""
    rng = np.random.default_rng(0)
    if kind == "mlp":
        bits = rng.integers(0, 2, (count, 446), dtype=np.uint8)  # as the loader of Locations gives them
        return Dataset("bits", bits, rng.integers(0, 30, count, dtype=np.int32), 30)
    y = rng.integers(0, 10, count, dtype=np.int32)
    typical = rng.integers(0, 256, (10, 32, 32, 3))
    x = (typical[y] + 2 * rng.integers(0, 256, (count, 32, 32, 3))) // 3
    return Dataset("pictures", x.astype(np.uint8), y, 10, 1 / 255)


def rows_of(num_models: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return members and nonmembers of each model, out of 2 x size records."""
    rng = np.random.default_rng(1)
    rows = np.stack([rng.permutation(2 * size) for _ in range(num_models)])
    return rows[:, :size], rows[:, size:]


def train(
    kind: str,
    num_models: int,
    size: int,
    options: TrainOptions,
    side_by_side: str = "auto",
    model: object = None,
    tune: str = "off",
    convolution: str = "fixed",
) -> tuple[list["Trained"], float, float]:
    """Train models of one kind on random records of theirs.

    Returns:
        The trained models, samples per second over the fastest epoch, and the seconds of the whole call.
    """
    import jax

    from mia.train.many import train_many

    data = synthetic(kind, 2 * size)
    reports, arrivals = [], []

    def report(progress: "Progress") -> None:
        reports.append(progress)
        arrivals.append(time.perf_counter())

    seeds, every = np.arange(num_models, dtype=np.uint32), [options] * num_models
    rows = rows_of(num_models, size)
    chosen = model or OPTIONS[kind]
    with by_convolution(convolution):
        trained = list(train_many(data, *rows, seeds, chosen, every, EngineOptions(side_by_side, tune=tune), report))
    work = num_models * options.epochs * size
    done = [one.fraction * work for one in reports]
    return trained, fastest(done, arrivals, min(size * len(jax.devices()), work / 3)), reports[-1].seconds


@contextmanager
def by_convolution(way: str) -> Iterator[None]:
    """Let convolutions be taken one way, without a choice."""
    from mia.train import many

    plan = many.Plan
    many.Plan = partial(plan, convolution=way)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        many.Plan = plan  # type: ignore[misc]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=OPTIONS, default="cnn")
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--size", type=int, help="records of a model; as suits the model")
    parser.add_argument("--epochs", type=int, help="as suits the model")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--test-records", type=int, default=0)
    parser.add_argument("--models-per-batch", default="auto")
    parser.add_argument("--tune", default="off", choices=("off", "auto", "again"))
    parser.add_argument("--convolution", default="fixed", choices=("fixed", "strips", "vendor"))
    parser.add_argument("--norm", default="group", choices=("group", "batch"), help="of wide_resnet")
    parser.add_argument("--dp", action="store_true", help="DP-SGD: each record's gradient clipped, noise added")
    parser.add_argument("--beside", nargs=2, metavar=("PYTHON", "SCRIPT"), help="interpreter and script for PyTorch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cache", type=Path, help="folder of compiled code; none: compiled afresh")
    chosen = parser.parse_args()
    size, epochs, _ = SIZES[chosen.model]
    chosen.size, chosen.epochs = chosen.size or size, chosen.epochs or epochs
    print(json.dumps(beside(chosen) if chosen.beside else alone(chosen)))


def alone(chosen: argparse.Namespace) -> dict[str, object]:
    """Return what this engine does."""
    import jax

    from mia.train import devices

    devices.prepare(chosen.cache or Path(tempfile.mkdtemp()))
    stages: dict[str, float] = {}
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: stages.update({event: stages.get(event, 0) + seconds})
    )
    private = DpOptions(noise_multiplier=1.0, clipping_norm=1.0) if chosen.dp else DpOptions()
    options = TrainOptions(epochs=chosen.epochs, batch_size=chosen.batch, test_records=chosen.test_records, dp=private)
    model = WideResnetOptions(norm=chosen.norm) if chosen.model == "wide_resnet" else None
    trained, rate, seconds = train(
        chosen.model,
        chosen.models,
        chosen.size,
        options,
        chosen.models_per_batch,
        model,
        chosen.tune,
        chosen.convolution,
    )
    return {
        "model": chosen.model,
        "samples_per_second": round(rate),
        "compile_seconds": round(stages.get("/jax/core/compile/backend_compile_duration", 0), 2),
        "last_loss": round(float(np.mean([one.train_loss[-1] for one in trained])), 4),
        "seconds": round(seconds, 2),
        "devices": len(jax.devices()),
        "tuned": list(trained[0].warnings),
    }


def beside(chosen: argparse.Namespace) -> dict[str, object]:
    """Return medians over rounds in which this engine and PyTorch take turns: first ours, then each mode of theirs."""
    work = ["--model", chosen.model, "--models", chosen.models, "--size", chosen.size, "--batch", chosen.batch]
    how = ["--epochs", chosen.epochs, "--tune", chosen.tune, "--models-per-batch", chosen.models_per_batch]
    how += ["--test-records", chosen.test_records, "--norm", chosen.norm, "--convolution", chosen.convolution]
    commands = {"ours": [sys.executable, __file__, *work, *how, "--cache", chosen.cache or tempfile.mkdtemp()]}
    theirs = [*chosen.beside, *work, "--epochs", min(chosen.epochs, SIZES[chosen.model][2])]
    if chosen.dp:
        commands["ours plain"] = commands["ours"]
        commands["ours"] = [*commands["ours"], "--dp"]
        commands |= {name: [*theirs, "--mode", "tuned", "--dp", name] for name in ("hooks", "ghost")}
    else:
        commands |= {name: [*theirs, "--mode", name] for name in ("tuned", "default")}
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(chosen.rounds):
        for name, command in commands.items():
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1])["samples_per_second"])
    ours = np.array(found["ours"])
    return {
        "model": chosen.model + " DP-SGD" * chosen.dp,
        "batch": chosen.batch,
        "samples_per_second": {name: round(float(np.median(rates))) for name, rates in found.items()},
        "ratio_to": {
            name: round(float(np.median(ours / np.array(rates))), 3) for name, rates in found.items() if name != "ours"
        },
        "rounds": chosen.rounds,
    }


def fastest(done: list[float], arrivals: list[float], least: float) -> float:
    """Return the highest rate between two reports that lie at least `least` samples apart."""
    pairs = itertools.combinations(range(len(done)), 2)
    spans = [(done[b] - done[a], arrivals[b] - arrivals[a]) for a, b in pairs if done[b] - done[a] >= least]
    return max(samples / seconds for samples, seconds in spans)


if __name__ == "__main__":
    main()
