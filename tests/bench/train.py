"""Measures the training engine and prints one JSON line.

python tests/bench/train.py --model cnn --models 2 --size 2500 --epochs 3

samples_per_second counts all models together over the fastest epoch (for small models: the fastest second), compilation
apart. Records are random, labels follow from them; the speed does not depend on the values. Unless --test-records asks
for it no test curve is made, so that the work is that of a plain training loop. Code is compiled afresh each time.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mia.models.options import CnnOptions, MlpOptions, ModelOptions, WideResnetOptions
from mia.records import Dataset
from mia.train.defence_options import DpOptions
from mia.train.options import EngineOptions, TrainOptions

if TYPE_CHECKING:
    from mia.train.group import Progress, Trained

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
    trained = list(train_many(data, *rows, seeds, chosen, every, EngineOptions(side_by_side, tune=tune), report))
    work = num_models * options.epochs * size
    done = [one.fraction * work for one in reports]
    return trained, fastest(done, arrivals, min(size * len(jax.devices()), work / 3)), reports[-1].seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=OPTIONS, default="cnn")
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--size", type=int, default=2500)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--test-records", type=int, default=0)
    parser.add_argument("--models-per-batch", default="auto")
    parser.add_argument("--tune", default="off", choices=("off", "auto", "again"))
    parser.add_argument("--dp", action="store_true", help="DP-SGD: each record's gradient clipped, noise added")
    chosen = parser.parse_args()

    import jax

    from mia.train import devices

    devices.prepare(Path(tempfile.mkdtemp()))
    stages: dict[str, float] = {}
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: stages.update({event: stages.get(event, 0) + seconds})
    )
    private = DpOptions(noise_multiplier=1.0, clipping_norm=1.0) if chosen.dp else DpOptions()
    options = TrainOptions(epochs=chosen.epochs, batch_size=chosen.batch, test_records=chosen.test_records, dp=private)
    trained, rate, seconds = train(
        chosen.model, chosen.models, chosen.size, options, chosen.models_per_batch, None, chosen.tune
    )
    line = {
        "model": chosen.model,
        "samples_per_second": round(rate),
        "compile_seconds": round(stages["/jax/core/compile/backend_compile_duration"], 2),
        "last_loss": round(float(np.mean([one.train_loss[-1] for one in trained])), 4),
        "seconds": round(seconds, 2),
        "devices": len(jax.devices()),
        "tuned": list(trained[0].warnings),
    }
    print(json.dumps(line))


def fastest(done: list[float], arrivals: list[float], least: float) -> float:
    """Return the highest rate between two reports that lie at least `least` samples apart."""
    pairs = itertools.combinations(range(len(done)), 2)
    spans = [(done[b] - done[a], arrivals[b] - arrivals[a]) for a, b in pairs if done[b] - done[a] >= least]
    return max(samples / seconds for samples, seconds in spans)


if __name__ == "__main__":
    main()
