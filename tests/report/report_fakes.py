"""Invented results with known structure: what the report layer is tested and looked at with."""

import numpy as np

from mia.metrics.evaluation import evaluate
from mia.records import Curves, Result, Scores

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
            rows.append({"attack": attack, "class": name, "precision": precision,
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
        2.3 * (1 - rise) + 0.05 + noise[0], rise + 0 * noise[1], 1.6 + rise * 0.8 + noise[2], 0.5 * rise + noise[3]
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
