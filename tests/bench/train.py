"""Measures the training engine and prints one JSON line.

python tests/bench/train.py --model cnn --models 2 --size 2500 --epochs 3

samples_per_second counts all models together over the fastest epoch, compilation apart. Pictures are random, labels
follow from them; the speed does not depend on the values. Without --test-records no test curve is made, so that the
work is that of a plain training loop.
"""

import argparse
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np


def synthetic(kind: str, count: int):
    from mia.records import Dataset

    rng = np.random.default_rng(0)
    if kind == "mlp":
        return Dataset(
            "bits", rng.integers(0, 2, (count, 446)).astype(np.float32), rng.integers(0, 30, count, dtype=np.int32), 30
        )
    y = rng.integers(0, 10, count, dtype=np.int32)
    prototypes = rng.integers(0, 256, (10, 32, 32, 3))
    x = (prototypes[y] + 2 * rng.integers(0, 256, (count, 32, 32, 3))) // 3
    return Dataset("pictures", x.astype(np.uint8), y, 10, 1 / 255)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["cnn", "mlp", "wide_resnet"], default="cnn")
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--size", type=int, default=2500)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--test-records", type=int, default=0)
    parser.add_argument("--models-per-batch", default="auto")
    chosen = parser.parse_args()

    import jax

    from mia.train import devices

    devices.prepare(Path(tempfile.mkdtemp()))
    from mia.models.options import CnnOptions, MlpOptions, WideResnetOptions
    from mia.train.many import train_many
    from mia.train.options import EngineOptions, TrainOptions

    data = synthetic(chosen.model, 2 * chosen.size)
    model = {"cnn": CnnOptions, "mlp": MlpOptions, "wide_resnet": WideResnetOptions}[chosen.model]()
    options = TrainOptions(epochs=chosen.epochs, batch_size=chosen.batch, test_records=chosen.test_records)
    compiling = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiling.append(seconds) if event.startswith("/jax/core/compile/") else None
    )
    reports = []
    rows = np.random.default_rng(1).permuted(np.tile(np.arange(2 * chosen.size), (chosen.models, 1)), axis=1)
    members, nonmembers = np.split(rows, 2, axis=1)
    seeds = np.arange(chosen.models, dtype=np.uint32)
    engine = EngineOptions(chosen.models_per_batch)
    trained = train_many(data, members, nonmembers, seeds, model, [options] * chosen.models, engine, reports.append)
    losses = [model.train_loss[-1] for model in trained]
    work = chosen.models * chosen.epochs * chosen.size
    spans = [
        (after.fraction - before.fraction) * work / (after.seconds - before.seconds)
        for before, after in itertools.pairwise(reports)
    ]
    line = {
        "model": chosen.model,
        "samples_per_second": round(max(spans)),
        "compile_seconds": round(sum(compiling), 2),
        "last_loss": round(float(np.mean(losses)), 4),
        "seconds": round(reports[-1].seconds, 2),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
