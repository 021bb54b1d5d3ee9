"""Utility and leakage as flat metrics: the target's accuracy, the shadows', and every attack's achievements.

Takes signals, scores and the truth; gives contract names. The truth enters here and nowhere earlier.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mia.attacks import ATTACKS
from mia.checks import RequestError, one_of
from mia.experiment.assumed import doubts
from mia.experiment.shadows_say import judge_by_shadows
from mia.metrics.controls import numbers_control
from mia.metrics.decision import confusion
from mia.metrics.evaluation import evaluate
from mia.metrics.groups import GROUP_SCORES, group_metrics
from mia.metrics.privacy_bounds import CLAIMED_FAIR, FAIR, audit_privacy, bayesian_epsilon, learn_on_half, why_no_bound
from mia.records import IN, OUT, AttackTask, Scores, Signals
from mia.seeds import stage_seed
from mia.train.options import TrainOptions
from mia.train.privacy import epsilon_of, with_noise

SHADOW_ACCURACIES = "shadow accuracies"
SELECTION = "privacy/epsilon is the cost of one training; choosing the best of several runs costs more"


@dataclass(frozen=True)
class Terms:
    """On what terms attacks are judged."""

    prior: float = 0.5  # share of members that precision is stated for
    delta: float = 1e-5  # of the guarantee that bounds on epsilon test
    confidence: float = 0.95  # of those bounds
    group_score: str = "mean"  # how the scores of a group's records become one: mean, sum or max

    def __post_init__(self) -> None:
        if not 0 <= self.delta < 1:
            raise RequestError(f"audit.delta={self.delta!r} must lie in [0, 1)")
        if not 0.5 < self.confidence < 1:
            raise RequestError(f"audit.confidence={self.confidence!r} must lie between 0.5 and 1, both excluded")
        if not 0 < self.prior < 1:
            raise RequestError(f"attack.prior={self.prior!r} must lie between 0 and 1, both excluded")
        one_of("audit.group_score", self.group_score, GROUP_SCORES)


def judge_attacks(
    task: AttackTask, scores: Mapping[str, Scores], terms: Terms, seed: int
) -> tuple[dict[str, float], list[str]]:
    """Return `attack/<name>/<metric>` of every attack, and one line for each thing a person should know.

    Metrics over groups where records belong to some; bounds on epsilon where members were drawn by independent coins.
    """
    metrics: dict[str, float] = {}
    heard: dict[str, list[str]] = {}  # which attacks say the same
    for name, one in scores.items():
        evaluation = evaluate(
            one,
            task.is_member,
            prior=terms.prior,
            seed=stage_seed(seed, f"null/{name}", task.target),
            num_attacks=len(scores),
            groups=task.groups,
        )
        by_shadows, told = judge_by_shadows(
            one, task, num_attacks=len(scores), seed=stage_seed(seed, f"placebo/{name}", task.target)
        )
        assumed, doubtful = doubts(name, one, task)
        told += doubtful
        told += told_by_numbers(name, one, task, len(scores))
        found, lines = evaluation.metrics | by_shadows | assumed, [*one.warnings, *evaluation.warnings, *told]
        if task.groups is not None:
            of_groups, said = group_metrics(one.score, task.is_member, task.groups, terms.group_score)
            found, lines = found | of_groups, [*lines, *said]
        metrics |= {f"attack/{name}/{metric}": value for metric, value in found.items()}
        for line in lines:
            heard.setdefault(line.removeprefix(f"{name}: "), []).append(name)
    everyone = len(scores)
    warnings = [line if len(names) == everyone > 1 else f"{', '.join(names)}: {line}" for line, names in heard.items()]
    bounds, why_not = _bounds(task, scores, terms, seed)
    return metrics | bounds, [*why_not, *warnings]


def told_by_numbers(name: str, scores: Scores, task: AttackTask, num_attacks: int) -> list[str]:
    """Return lines where numbers of shadows tell who is a member, for attacks that compare a record with its own."""
    if name not in ATTACKS or not {"in_models", "out_models"} & set(ATTACKS[name].needs):
        return []
    is_scored = ~np.isnan(scores.score)
    return list(
        numbers_control(
            scores.num_in, scores.num_out, is_scored, task.is_member, num_attacks=num_attacks, groups=task.groups
        )
    )


def _bounds(
    task: AttackTask, scores: Mapping[str, Scores], terms: Terms, seed: int
) -> tuple[dict[str, float], list[str]]:
    """Return lower bounds on epsilon where members were drawn by coins; none, and why, where they cannot have been."""
    coins = np.broadcast_to(task.is_independent, len(task.is_member))
    if not coins.any():
        return {}, []
    is_claimed = isinstance(task.is_independent, np.ndarray)  # else the coins were ours
    whose = None if task.groups is None else task.groups[coins]
    if reason := why_no_bound(task.is_member[coins], whose, fair=CLAIMED_FAIR if is_claimed else FAIR):
        return {}, [reason]
    found = audit_privacy(
        {name: one.score[coins] for name, one in scores.items()},
        task.is_member[coins],
        delta=terms.delta,
        confidence=terms.confidence,
        seed=stage_seed(seed, "epsilon", task.target),
    )
    for name, one in scores.items():
        if one.is_predicted is None:
            counts = learn_on_half(one.score[coins], task.is_member[coins], stage_seed(seed, "halves", task.target))
        else:
            counts = confusion(one.is_predicted[coins], task.is_member[coins])
        if counts is not None:
            belief = bayesian_epsilon(counts, delta=terms.delta, confidence=terms.confidence)
            found |= belief.named(f"attack/{name}/bayesian_epsilon")
    return found, []


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
    """Return each shadow's accuracy on its own in and out records, worked out once; NaN where it has none."""
    if SHADOW_ACCURACIES not in signals.shared:
        signals.shared[SHADOW_ACCURACIES] = _shadow_accuracies(signals)
    return signals.shared[SHADOW_ACCURACIES]


def _shadow_accuracies(signals: Signals) -> Float[np.ndarray, "K 2"]:
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
