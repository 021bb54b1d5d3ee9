"""Invented results with known structure: what the report layer is tested and looked at with."""

import atexit
import csv
import dataclasses
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mia.metrics.evaluation import evaluate
from mia.records import Curves, Result, Scores, StoredRun

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STRENGTH = {"lira_online": 1.0, "shadow_svm": 0.8, "loss": 0.6, "gap": 0.4}


def fake_scores(rng: np.random.Generator, is_member: np.ndarray, leakage: float) -> dict[str, np.ndarray]:
    """One array per attack: a shared part, so that attacks agree about records, plus the attack's own noise."""
    shared = rng.normal(size=len(is_member)) + leakage * is_member * rng.exponential(1.2, len(is_member))
    scores = {name: shared * s + 0.5 * rng.normal(size=len(is_member)) for name, s in STRENGTH.items()}
    scores["gap"] = (scores["gap"] > np.median(scores["gap"])).astype(float)
    return scores


def fake_metrics(
    scores: dict[str, np.ndarray], is_member: np.ndarray, test_accuracy: float, gap: float
) -> dict[str, float]:
    counts = (np.full(len(is_member), 8), np.full(len(is_member), 8))
    metrics = {
        "target/train_accuracy": test_accuracy + gap,
        "target/test_accuracy": test_accuracy,
        "target/generalization_gap": gap,
        "shadow/train_accuracy": test_accuracy + gap,
        "shadow/test_accuracy": test_accuracy - 0.01,
        "time/data_seconds": 1.5,
        "time/train_seconds": 60.0,
        "time/attacks_seconds": 12.0,
        "time/metrics_seconds": 0.8,
    }
    for name, score in scores.items():
        judged = evaluate(Scores(score, score > np.median(score), *counts), is_member)
        metrics |= {f"attack/{name}/{key}": value for key, value in judged.metrics.items()}
    return metrics


def fake_per_class(rng: np.random.Generator, attacks: list[str], leakage: float) -> list[dict[str, str | float]]:
    rows: list[dict[str, str | float]] = []
    for attack in attacks:
        for name in CLASSES:
            precision = float(np.clip(0.5 + 0.15 * leakage + 0.05 * rng.normal(), 0.3, 1.0))
            rows.append({"attack": attack, "class": name, "advantage": 2 * precision - 1, "precision": precision,
                         "precision_low": precision - 0.03, "precision_high": precision + 0.03})  # fmt: skip
    return rows


def fake_result(size: int = 400, num_shadows: int = 10, epochs: int = 30, seed: int = 0) -> Result:
    rng = np.random.default_rng(seed)
    is_member = np.arange(2 * size) < size
    scores = fake_scores(rng, is_member, 1.2)
    rise = 1 - np.exp(-np.arange(1, epochs + 1) / 8)
    models = 1 + num_shadows
    noise = 0.02 * rng.normal(size=(4, models, epochs))
    curves = Curves(
        2.3 * (1 - rise) + 0.05 + noise[0],
        rise + 0 * noise[1],
        1.6 + rise * 0.8 + noise[2],
        0.5 * rise + noise[3],
        loss_auc=0.5 + 0.4 * rise,
    )
    return Result(
        metrics=fake_metrics(scores, is_member, 0.46, 0.53),
        index=rng.permutation(4 * size)[: 2 * size],
        is_member=is_member,
        labels=rng.integers(0, 10, 2 * size),
        confidence=np.where(is_member, rng.beta(60, 0.3, 2 * size), rng.beta(1.2, 0.8, 2 * size)).astype(np.float32),
        scores={
            name: Scores(
                score, score > np.median(score), np.full(2 * size, num_shadows), np.full(2 * size, num_shadows)
            )
            for name, score in scores.items()
        },
        per_class=fake_per_class(rng, list(scores), 1.2),
        curves=curves,
        shadow_accuracy=np.stack([np.full(num_shadows, 0.99), np.full(num_shadows, 0.45)], axis=1),
        class_names=CLASSES,
        warnings=(),
    )


STRENGTHS = {
    "train.l2": (1e-4, 1e-3, 5e-3, 1e-2),
    "train.dropout": (0.1, 0.3, 0.5, 0.7),
    "train.label_smoothing": (0.05, 0.1, 0.2, 0.4),
    "train.mixup": (0.1, 0.2, 0.4, 0.8),
    "train.relaxloss": (0.25, 0.5, 1.0, 1.5),
    "train.weight_decay": (1e-4, 1e-3, 1e-2, 1e-1),
    "defence.k": (5, 3, 2, 1),
    "defence.digits": (4, 3, 2, 1),
    "defence.temperature": (2, 5, 10, 20),
}
OUTPUT_NAMES = {"defence.k": "top_k", "defence.digits": "rounding", "defence.temperature": "temperature"}
_folder = Path(tempfile.mkdtemp(prefix="mia-fakes-"))
_numbers = itertools.count()
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


def fake_params(size: int, key: str, strength: float, seed: int, *, adaptive: bool) -> dict[str, Any]:
    params = {
        "seed": seed,
        "data.name": "cifar10",
        "split.size": size,
        "defence.name": OUTPUT_NAMES.get(key, "none"),
        "attacker.adaptive": adaptive,
        "attack.gap": {},
    }
    return params | {key: strength} if key else params


def config_text(params: dict[str, Any]) -> str:
    """A run's config.yaml: what is given, and what every run has."""
    usual = {"seed": 0, "data.name": "digits", "split.protocol": "disjoint", "split.size": 100, "model.name": "mlp",
             "train.epochs": 100, "defence.name": "none", "attacker.adaptive": True, "shadow_data.name": "real",
             "attack.prior": 0.5}  # fmt: skip
    nested: dict[str, Any] = {}
    for key, value in (usual | params).items():
        node = nested
        *groups, last = key.split(".")
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value
    return str(yaml.safe_dump(nested))


def with_config(folder: Path, params: dict[str, Any]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config_text(params), encoding="utf-8")
    return str(folder)


def fake_run(
    folder: Path | None,
    size: int = 2500,
    key: str = "",
    strength: float = 0.0,
    seed: int = 0,
    *,
    adaptive: bool = True,
    records: int = 300,
) -> StoredRun:
    """A finished run whose leakage falls with size and strength; stronger defences cost accuracy."""
    rng = np.random.default_rng([size, seed, 1])  # the same records and noise for every defence
    levels = STRENGTHS.get(key, (strength,))
    level = (1 + levels.index(strength)) / 4 if key else 0.0
    which = list(STRENGTHS).index(key) if key else 0
    reach = 0.45 + 0.07 * which
    hidden = level * reach * (1.0 if adaptive else 1.4)
    leakage = 1.6 * (2500 / size) ** 0.3 * max(0.0, 1 - hidden)
    is_member = np.arange(2 * records) < records
    scores = fake_scores(rng, is_member, leakage)
    test_accuracy = (
        0.45 + 0.05 * np.log2(size / 2500) + 0.02 * level - (0.05 + 0.02 * which) * level**3 + 0.004 * rng.normal()
    )
    metrics = fake_metrics(scores, is_member, test_accuracy, (0.97 - test_accuracy) * (1 - 0.6 * level))
    metrics["time/train_seconds"] = 0.03 * size * (0.0 if key in OUTPUT_NAMES else 1.0)
    params = fake_params(size, key, strength, seed, adaptive=adaptive)
    name = f"n{size}-{key or 'none'}-{strength:g}-s{seed}-{'adaptive' if adaptive else 'plain'}"
    place = folder / name if folder is not None else _folder / f"{next(_numbers)}"
    with_config(place, params)
    if folder is not None:
        index = np.random.default_rng([size, seed]).permutation(60000)[: 2 * records]
        np.savez(folder / name / "scores.npz", index=index, member=is_member, **scores)
        rows = fake_per_class(rng, list(scores), leakage)
        with (folder / name / "per_class.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(k for row in rows for k in row)))
            writer.writeheader()
            writer.writerows(rows)
    words = [f"{k}={v}" for k, v in params.items() if k in ("split.size", "seed", "attacker.adaptive", key)]
    tags = {
        "mia.fingerprint": name,
        "mia.command": f"mia data=cifar10 model=cnn {' '.join(words)}",
        "mia.sweep": "frontier",
    }
    return StoredRun(name, name, "FINISHED", 1.7e9 + size + seed, params, metrics, tags, str(place))


def failed(run: StoredRun, reason: str) -> StoredRun:
    return dataclasses.replace(run, status="FAILED", metrics={}, tags={**run.tags, "mia.error": reason})


def fake_sweep(
    folder: Path | None,
    sizes: Sequence[int] = (2500, 5000),
    keys: Sequence[str] = ("train.l2", "train.dropout", "defence.k"),
    seeds: Sequence[int] = (0, 1),
    *,
    attackers: Sequence[bool] = (True, False),
    records: int = 300,
) -> list[StoredRun]:
    """All sizes, defences, strengths, attackers and seeds; the very last run has failed."""
    runs = []
    for size in sizes:
        for seed in seeds:
            runs.append(fake_run(folder, size, seed=seed, records=records))
            runs += [
                fake_run(folder, size, key, strength, seed, adaptive=adaptive, records=records)
                for key in keys
                for strength in STRENGTHS[key]
                for adaptive in attackers
            ]
    if len(runs) > 1:
        runs[-1] = failed(
            runs[-1], "DivergedError: the loss of models 3, 7 became NaN in epoch 12; lower train.learning_rate"
        )
    return runs


def fetch_file(run: StoredRun, name: str) -> Path | None:
    """What the report takes to find artifacts."""
    path = Path(run.artifacts) / name
    return path if run.artifacts and path.is_file() else None


def run_of(
    name: str = "r",
    started: float = 0.0,
    metrics: dict[str, float] | None = None,
    *,
    status: str = "FINISHED",
    **params: Any,
) -> StoredRun:
    """A run without files but its config; two underscores in a param's name stand for a dot."""
    given = {key.replace("__", "."): value for key, value in params.items()}
    place = with_config(_folder / f"{next(_numbers)}", given)
    flat = {key: str(value) for key, value in given.items()}
    return StoredRun(name, name, status, started, flat, metrics or {}, {}, place)
