"""Time and memory of the attacks that need no classifier, on random logits and models; prints one JSON line.

python tests/bench/attacks.py --records 50000 --shadows 256 --classes 10
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mia.attacks import ATTACKS, run_attack
from mia.probabilities import softmax
from mia.records import LastLayer, Signals

QUICK = [
    *("gap", "loss", "confidence", "entropy", "modified_entropy", "calibration", "lira_online", "lira_offline"),
    *("lira_online:variance=global", "lira_offline:variance=global", "rmia_online", "rmia_offline"),
    *("base_online", "base_offline", "pmia", "bmia", "gradient_norm", "loss_iqr", "loss_tnr"),
]
"""All that need no classifier and no further question to the models."""
WIDTH = 128  # of the last layer
EPOCHS = 100


class LastLayers:
    """Last layers alone stand for models and records: what lies before them is training's, not an attack's."""

    def __init__(self, records: int, population: int, classes: int) -> None:
        generator = np.random.default_rng(1)
        self.kernel = generator.normal(0, 0.1, (WIDTH, classes)).astype(np.float32)
        self.x = generator.standard_normal((records, WIDTH), np.float32)
        self.population = generator.standard_normal((population, WIDTH), np.float32)

    def of_records(self, records: np.ndarray) -> np.ndarray:
        """Return records."""
        return self.x[records]

    def of_population(self) -> np.ndarray:
        """Return the population."""
        return self.population

    def last_layer(self, model: int, x: np.ndarray) -> LastLayer:
        """Return the same layer for every model."""
        del model
        return LastLayer(x, self.kernel, np.zeros(self.kernel.shape[1], np.float32))

    def gradient_norms(self, model: int, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the norms for the last layer."""
        del model
        answers = softmax(x @ self.kernel)
        answers[np.arange(len(labels)), labels] -= 1
        return np.sqrt((np.square(x).sum(1) + 1) * np.square(answers).sum(1))


def write_file(path: Path, records: int, shadows: int, classes: int) -> None:
    """Write an audit file of random logits, balanced membership and a population."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, records, dtype=np.int32)
    member = np.zeros((shadows, records), np.int8)
    for row in range(0, shadows, 2):
        member[row, generator.permutation(records)[: records // 2]] = 1
        member[row + 1 :][:1] = 1 - member[row]
    np.savez(
        path,
        target_logits=generator.standard_normal((records, classes), np.float32),
        shadow_logits=generator.standard_normal((shadows, records, classes), np.float32),
        shadow_member=member,
        labels=labels,
        population_logits=generator.standard_normal((shadows + 1, 1000, classes), np.float32),
        population_labels=generator.integers(0, classes, 1000, dtype=np.int32),
    )


def read_file(path: Path) -> Signals:
    """Read the file into signals whose records are all candidates."""
    with np.load(path) as file:
        member = file["shadow_member"]
        inside = LastLayers(member.shape[1], 1000, file["target_logits"].shape[-1])
        trace = np.random.default_rng(2).random((EPOCHS, member.shape[1]), np.float32)
        return Signals(
            labels=file["labels"],
            is_candidate=np.ones(member.shape[1], bool),
            target_outputs=file["target_logits"],
            shadow_outputs=file["shadow_logits"],
            shadow_membership=member,
            shadow_own=member >= 0,
            population_outputs=file["population_logits"],
            population_labels=file["population_labels"],
            features=inside,
            models=inside,
            trace=trace,
        )


def main() -> None:
    """Measure."""
    seconds, cpu_seconds = {}, {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        begun = time.perf_counter(), time.process_time()
        yield
        seconds[name], cpu_seconds[name] = time.perf_counter() - begun[0], time.process_time() - begun[1]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--shadows", type=int, default=256)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--attacks", nargs="+", default=QUICK, help="names, with options as name:key=value,key=value")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "signals.npz"
        write_file(path, arguments.records, arguments.shadows, arguments.classes)
        with stage("read"):
            signals = read_file(path)
    is_member = np.random.default_rng(3).random(arguments.records) < 0.5
    for asked in arguments.attacks:
        name, _, given = asked.partition(":")
        options = dict(one.split("=") for one in given.split(",") if one)
        with stage(asked):
            run_attack(name, signals, ATTACKS[name].options(**options), seed=0, is_member=is_member)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    file_bytes = sum(np.asarray(array).nbytes for array in (signals.shadow_outputs, signals.population_outputs))
    result = {
        **vars(arguments),
        "seconds": sum(seconds.values()),
        "cpu_seconds": sum(cpu_seconds.values()),  # what it would be on one idle core
        "seconds_by_attack": {name: round(value, 3) for name, value in seconds.items()},
        "cpu_seconds_by_attack": {name: round(value, 3) for name, value in cpu_seconds.items()},
        "peak_gib": peak / 2**30,
        "gib_beyond_file": (peak - file_bytes) / 2**30,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
