"""Measures how time and memory grow with the number of models and of records; one JSON line per measurement.

python tests/bench/scaling.py [--model cnn] [--models 1 2 4 8 16 32 64] [--sizes 625 1250 2500] [--epochs 1]

Every line comes from a process of its own. memory_mib is the highest resident memory beyond that of a process which has
JAX and the data set loaded; seconds leave out compilation.
"""

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

PAGE = resource.getpagesize() / 2**20


def resident() -> float:
    """Return the memory of this process in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def watch(highest: list[float]) -> None:
    while True:
        highest.append(max(highest[-1], resident()))
        del highest[:-1]
        time.sleep(0.02)


def measure(kind: str, num_models: int, size: int, epochs: int) -> dict[str, object]:
    """Train in this process and return the line."""
    import jax
    from train import OPTIONS, rows_of, synthetic

    from mia.train import devices

    devices.prepare()
    from mia.train.many import train_many
    from mia.train.options import TrainOptions

    data = synthetic(kind, 2 * size)
    members, nonmembers = rows_of(num_models, size)
    jax.block_until_ready(jax.numpy.ones(3) + 1)
    before = resident()
    highest = [before]
    threading.Thread(target=watch, args=(highest,), daemon=True).start()
    options = [TrainOptions(epochs=epochs, test_records=0)] * num_models
    reports = []
    seeds = np.arange(num_models, dtype=np.uint32)
    for _ in train_many(data, members, nonmembers, seeds, OPTIONS[kind], options, progress=reports.append):
        pass  # as a caller that saves each model and lets it go
    first = reports[0]
    seconds = (reports[-1].seconds - first.seconds) / (1 - first.fraction)
    return {
        "model": kind,
        "models": num_models,
        "size": size,
        "epochs": epochs,
        "seconds": round(seconds, 2),
        "samples_per_second": round(num_models * size * epochs / seconds),
        "memory_mib": round(highest[0] - before),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["cnn", "mlp", "wide_resnet"], default="cnn")
    parser.add_argument("--models", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--sizes", type=int, nargs="+", default=[625, 1250, 2500])
    parser.add_argument("--epochs", type=int, default=1)
    chosen = parser.parse_args()
    pairs = [(count, chosen.sizes[-1]) for count in chosen.models] + [(chosen.models[0], n) for n in chosen.sizes[:-1]]
    if len(pairs) == 1:
        print(json.dumps(measure(chosen.model, *pairs[0], chosen.epochs)))
        return
    for count, size in pairs:
        numbers = ["--models", str(count), "--sizes", str(size), "--epochs", str(chosen.epochs)]
        subprocess.run([sys.executable, __file__, "--model", chosen.model, *numbers], check=True)


if __name__ == "__main__":
    main()
