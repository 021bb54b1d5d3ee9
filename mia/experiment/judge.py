"""Utility and leakage as flat metrics: the target's accuracy, the shadows', and every attack's achievements.

Takes signals, scores and the truth; gives contract names. The truth enters here and nowhere earlier.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from mia.metrics.epsilon import epsilon_lower_bound
from mia.metrics.evaluation import evaluate
from mia.records import IN, OUT, Scores, Signals
from mia.seeds import stage_seed
from mia.train.options import TrainOptions
from mia.train.privacy import epsilon_of, with_noise

SELECTION = "privacy/epsilon is the cost of one training; choosing the best of several runs costs more"
DELTA, CONFIDENCE = 1e-5, 0.95
"""Of `privacy/epsilon_lower_bound`: the delta of the guarantee it tests, and how sure it is."""


def judge_attacks(
    scores: Mapping[str, Scores], is_member: Bool[np.ndarray, "Q"], prior: float, seed: int, target: int = 0
) -> tuple[dict[str, float], list[str]]:
    """Return `attack/<name>/<metric>` of every attack, and one line for each thing a person should know."""
    metrics: dict[str, float] = {}
    heard: dict[str, list[str]] = {}  # which attacks say the same
    for name, one in scores.items():
        evaluation = evaluate(one, is_member, prior=prior, seed=stage_seed(seed, "null", target))
        metrics |= {f"attack/{name}/{metric}": value for metric, value in evaluation.metrics.items()}
        for line in (*one.warnings, *evaluation.warnings):
            heard.setdefault(line.removeprefix(f"{name}: "), []).append(name)
    if is_member.any() and not is_member.all():
        bound = epsilon_lower_bound(
            list(scores.values()),
            is_member,
            delta=DELTA,
            confidence=CONFIDENCE,
            seed=stage_seed(seed, "epsilon", target),
        )
        metrics["privacy/epsilon_lower_bound"] = bound
    everyone = len(scores)
    return metrics, [
        line if len(names) == everyone > 1 else f"{', '.join(names)}: {line}" for line, names in heard.items()
    ]


def utility(signals: Signals, is_member: Bool[np.ndarray, "Q"]) -> dict[str, float]:
    """Return the accuracies of the target and, as means, of the shadows; what has no record is absent.

    Where there are no classes but losses, `target/train_loss` and `target/test_loss` instead.
    """
    if signals.num_classes < 2:
        loss = -signals.target_outputs[signals.candidates].sum(axis=1, dtype=np.float64)
        sides = {"train": is_member, "test": ~is_member} if signals.num_classes else {}
        return {f"target/{name}_loss": float(loss[chosen].mean()) for name, chosen in sides.items() if chosen.any()}
    correct = _is_correct(signals.target_outputs, signals.labels)[signals.candidates]
    found = {}
    for name, chosen in (("train", is_member), ("test", ~is_member)):
        if chosen.any():
            found[f"target/{name}_accuracy"] = float(correct[chosen].mean())
    if len(found) == 2:
        found["target/generalization_gap"] = found["target/train_accuracy"] - found["target/test_accuracy"]
    shadows = shadow_accuracies(signals)
    for column, name in enumerate(("train", "test")):
        known = shadows[~np.isnan(shadows[:, column]), column]
        if len(known):
            found[f"shadow/{name}_accuracy"] = float(known.mean())
    return found


def shadow_accuracies(signals: Signals) -> Float[np.ndarray, "K 2"]:
    """Return each shadow's accuracy on its own in and out records; NaN where it has none."""
    accuracies = np.full((signals.num_shadows, 2), np.nan)
    for shadow, outputs in enumerate(signals.shadow_outputs):
        correct, own = _is_correct(outputs, signals.labels), signals.shadow_own[shadow]
        for column, side in enumerate((IN, OUT)):
            chosen = own & (signals.shadow_membership[shadow] == side)
            if chosen.any():
                accuracies[shadow, column] = correct[chosen].mean()
    return accuracies


def _is_correct(outputs: Float[np.ndarray, "N C"], labels: np.ndarray) -> np.ndarray:
    return outputs.argmax(axis=-1) == labels


def privacy_cost(train: TrainOptions, num_records: int) -> tuple[dict[str, float], list[str]]:
    """Return what DP-SGD guarantees, and what must be known about that; nothing for other training."""
    dp = train.dp
    if not dp.is_on:
        return {}, []
    noise = with_noise(train, num_records).dp.noise_multiplier
    if not noise:
        return {}, ["train.dp: clipping without noise guarantees nothing, so there is no privacy/epsilon"]
    found = {
        "privacy/epsilon": epsilon_of(train, num_records),
        "privacy/delta": dp.delta,
        "privacy/noise_multiplier": noise,
    }
    if dp.sampling == "shuffled":
        return found, [
            SELECTION,
            "train.dp.sampling=shuffled is accounted as if batches were drawn by poisson sampling",
        ]
    return found, [SELECTION]
