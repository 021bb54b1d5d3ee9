"""Audits of differential privacy: takes canaries' scores and their coins, gives lower bounds on epsilon and GDP's mu.

Every bound rests on each canary having been put in or left out by its own fair coin. Beyond that they differ:

    epsilon_one_run          Steinke, Nasr and Jagielski 2023: one training, any (epsilon, delta)-DP algorithm
    epsilon_one_run_fdp      Mahloujifar, Melis and Chaudhuri 2024: one training, an algorithm whose trade-off curve is
                             the Gaussian mechanism's at that (epsilon, delta)
    epsilon_clopper_pearson  exact limits of two rates: canaries taken for independent trials, as if trained apart
    mu_gdp                   the same for the mu of Gaussian differential privacy
    bayesian_epsilon         an interval of belief, not a bound: Zanella-Beguelin et al. 2023, at a rule learnt before:
                             on shadows, or where there are none, on a random half of the canaries

The first three come from `jax_privacy.auditing`, which is imported when they are asked for.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.special import betainc, betaincinv, ndtri

from mia.checks import RequestError
from mia.metrics.clusters import group_codes
from mia.metrics.decision import Confusion, confusion
from mia.metrics.rates import Estimate, upper_limit

FAIR = 1e-6
"""Coins whose heads are this unlikely, on either side, are not fair ones."""
CLAIMED_FAIR = 0.01
"""The same of coins that somebody else says were fair: so unlikely numbers make a bound of themselves."""
ALIKE = 4.0
"""Standard deviations by which more people are wholly in or wholly out than coins for single records would give."""
NODES = 400
"""Of the quadrature for the Bayesian interval."""


def audit_privacy(
    scores: Mapping[str, Float[np.ndarray, "Q"]],
    is_member: Bool[np.ndarray, "Q"],
    *,
    delta: float,
    confidence: float = 0.95,
    seed: int = 0,
    threshold: str = "bonferroni",
) -> dict[str, float]:
    """Return every bound of every attack, and the best one-run bound of all as `privacy/epsilon_lower_bound`.

    `attack/<name>/epsilon_one_run`, `epsilon_one_run_fdp` (not at delta 0, where no Gaussian mechanism is),
    `epsilon_clopper_pearson` and `mu_gdp`, each at `confidence` by itself. `privacy/epsilon_lower_bound` is the largest
    of the attacks' one-run bounds, which assume the least, with the error divided by the number of attacks (Bonferroni)
    so that choosing the best costs what it should. With one attack it is that attack's. Never average over targets:
    each training has bounds of its own.

    Args:
        scores: of each attack, high = member; NaN: no guess on this canary, which counts as one scored lowest.
        is_member: how each canary's coin fell.
        delta: of the guarantee tested.
        confidence: that the true epsilon is not below a bound.
        seed: of the halves where `threshold` is `split`.
        threshold: `bonferroni`: the best of all, the error divided by their number; `split`: chosen on a random half,
            the bound computed on the other.

    Returns:
        Flat metrics; nothing where there is no member or no non-member.

    Raises:
        RequestError: the canaries cannot have had fair coins, or an argument is out of range.
    """
    _check(is_member, delta, confidence, threshold)
    if is_member.all() or not is_member.any():
        return {}
    error = 1 - confidence
    found: dict[str, float] = {}
    best = 0.0
    for name, score in scores.items():
        canaries = _Canaries(score, is_member, seed if threshold == "split" else None)
        bounds = canaries.bounds(error, delta)
        found |= {f"attack/{name}/{metric}": value for metric, value in bounds.items()}
        alone = len(scores) == 1
        best = max(best, bounds["epsilon_one_run"] if alone else canaries.one_run(error / len(scores), delta))
    return found | {"privacy/epsilon_lower_bound": best}


def why_no_bound(
    is_member: Bool[np.ndarray, "Q"], groups: Shaped[np.ndarray, "Q"] | None = None, *, fair: float = FAIR
) -> str | None:
    """Return why memberships cannot have come from fair independent coins, if they cannot; None if they may.

    Args:
        is_member: how each canary's coin fell.
        groups: whose record each is; None: nobody said.
        fair: how unlikely a number of members may be.
    """
    members, number = int(is_member.sum()), len(is_member)
    fewer = min(members, number - members)
    if groups is not None and (shared := _coins_for_several(is_member, groups)):
        return (
            f"all records of {shared:,} people with several are in or out together: a bound on epsilon needs each "
            "canary in or out by its own coin"
        )
    if number and 2 * betainc(number - fewer, fewer + 1, 0.5) < fair:
        return (
            f"{members:,} of {number:,} records are members, which fair coins do not give: "
            "a bound on epsilon needs each canary in or out by its own coin"
        )
    return None


def _coins_for_several(is_member: Bool[np.ndarray, "Q"], groups: Shaped[np.ndarray, "Q"]) -> int:
    """Return how many groups of several records are in or out as one, if that many cannot be by chance; else 0."""
    codes = group_codes(groups)
    sizes, members = np.bincount(codes), np.bincount(codes, is_member)
    several = sizes > 1
    is_whole = several & ((members == 0) | (members == sizes))
    chance = 2.0 ** (1 - sizes[several])
    most = chance.sum() + ALIKE * math.sqrt((chance * (1 - chance)).sum())
    return int(is_whole.sum()) if is_whole.sum() > most or (several.any() and is_whole.sum() == several.sum()) else 0


def _check(is_member: np.ndarray, delta: float, confidence: float, threshold: str) -> None:
    if not 0 <= delta < 1:
        raise RequestError(f"audit.delta={delta!r} must lie in [0, 1)")
    if not 0.5 < confidence < 1:
        raise RequestError(f"audit.confidence={confidence!r} must lie between 0.5 and 1")
    if threshold not in {"bonferroni", "split"}:
        raise RequestError(f"threshold={threshold!r} is not known; known: bonferroni, split")
    if reason := why_no_bound(is_member):
        raise RequestError(reason)


class _Canaries:
    """One attack's canaries: from ranks, so that infinite scores and scores that are absent have their place."""

    def __init__(self, score: np.ndarray, is_member: np.ndarray, split_seed: int | None) -> None:
        from jax_privacy import auditing

        rank = np.unique(np.where(np.isnan(score), -np.inf, score), return_inverse=True)[1].reshape(-1).astype(float)
        rank[np.isnan(score)] = -1
        self.hits, self.alarms = hull(rank, is_member)
        self.auditor: Any = auditing.CanaryScoreAuditor(rank[is_member], rank[~is_member])
        self.is_split = split_seed is not None
        self.strategy = auditing.Bonferroni() if split_seed is None else auditing.Split(seed=split_seed)
        # The corners of the hull were picked by the records themselves: counting them alone would be too lenient.
        self.tests = max(len(self.hits), 2 * math.log2(len(rank)))

    def bounds(self, error: float, delta: float) -> dict[str, float]:
        """Return all bounds, each at this error."""
        found = {"epsilon_one_run": self.one_run(error, delta)}
        if delta > 0:
            found["epsilon_one_run_fdp"] = self._ask(self.auditor.epsilon_one_run_fdp, error, delta)
        found["epsilon_clopper_pearson"] = self._ask(self.auditor.epsilon_clopper_pearson, error, delta)
        return found | {"mu_gdp": mu_lower_bound(self.hits, self.alarms, error, self.tests)}

    def one_run(self, error: float, delta: float) -> float:
        """Return the one-run bound."""
        return self._ask(self.auditor.epsilon_one_run, error, max(delta, 1e-300))

    def _ask(self, bound: Callable[..., float], error: float, delta: float) -> float:
        scale = 1.0 if self.is_split else len(self.hits) / self.tests
        return float(bound(error * scale, delta, threshold_strategy=self.strategy))


def hull(
    score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"]
) -> tuple[Int[np.ndarray, "T"], Int[np.ndarray, "T"]]:
    """Return true and false positives at the corners of the ROC's concave hull, from nobody to everybody predicted.

    No other threshold can be the best one for a bound that grows with one rate and falls with the other.
    """
    from mia.metrics.roc import roc

    curve = roc(score, is_member)
    corners: list[tuple[int, int]] = []
    for point in zip(curve.false_positives.tolist(), curve.true_positives.tolist(), strict=True):
        while len(corners) > 1 and _turns_left(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    alarms, hits = np.transpose(corners)
    return hits, alarms


def _turns_left(first: tuple[int, int], middle: tuple[int, int], last: tuple[int, int]) -> bool:
    """Whether the middle point lies on or below the line from the first to the last."""
    return (middle[1] - first[1]) * (last[0] - middle[0]) <= (last[1] - middle[1]) * (middle[0] - first[0])


def mu_lower_bound(
    hits: Int[np.ndarray, "T"], alarms: Int[np.ndarray, "T"], error: float, tests: float | None = None
) -> float:
    """Return the largest mu of Gaussian differential privacy that the rates at some thresholds refute, never negative.

    mu >= isf(FPR) - ppf(FNR) of their exact upper limits, each at `error` / (2 thresholds) (Dong, Roth and Su 2022).

    Args:
        hits: true positives at each threshold; the last is the number of members.
        alarms: false positives at each threshold; the last is the number of non-members.
        error: allowed probability of a bound above the truth.
        tests: number of thresholds that the error is divided by; those given where None.
    """
    members, nonmembers = int(hits[-1]), int(alarms[-1])
    each = error / (2 * (len(hits) if tests is None else tests))
    fpr, fnr = upper_limit(alarms, nonmembers, each), upper_limit(members - hits, members, each)
    return max(float(np.max(-ndtri(fpr) - ndtri(fnr))), 0.0)


def bayesian_epsilon(counts: Confusion, *, delta: float, confidence: float = 0.95) -> Estimate:
    """Return the median and an equal-tailed credible interval of epsilon (Zanella-Beguelin et al. 2023, ICML).

    The false-negative and false-positive rates of a rule have Jeffreys posteriors, FNR ~ Beta(FN + .5, TP + .5) and
    FPR ~ Beta(FP + .5, TN + .5), independent; epsilon is the smallest, not below 0, at which both rates and their
    complements satisfy (epsilon, delta)-DP. The distribution function is computed by quadrature over the FPR: no draws.

    Args:
        counts: of a rule that was fixed before the membership was known.
        delta: of the guarantee.
        confidence: of the interval.
    """
    from scipy.optimize import brentq

    missed, found = counts.num_members - counts.true_positives + 0.5, counts.true_positives + 0.5
    false, true = counts.false_positives + 0.5, counts.num_nonmembers - counts.false_positives + 0.5
    nodes, weights = _unit_quadrature()
    fpr = betaincinv(false, true, nodes)

    def below(epsilon: float) -> float:
        """P[epsilon of the two rates <= epsilon]."""
        ratio = math.exp(epsilon)
        least = np.maximum(1 - delta - ratio * fpr, (1 - delta - fpr) / ratio)
        most = np.minimum(delta + ratio * (1 - fpr), 1 - (fpr - delta) / ratio)
        least, most = np.clip(least, 0, 1), np.clip(most, 0, 1)
        return float(weights @ np.maximum(betainc(missed, found, most) - betainc(missed, found, least), 0))

    def quantile(share: float) -> float:
        if below(0.0) >= share:
            return 0.0
        highest = 1.0
        while below(highest) < share:
            highest *= 2
            if highest > 500:
                return math.inf
        return float(brentq(lambda epsilon: below(epsilon) - share, 0.0, highest, xtol=1e-9))

    tail = (1 - confidence) / 2
    return Estimate(quantile(0.5), quantile(tail), quantile(1 - tail))


def learn_on_half(
    score: Float[np.ndarray, "Q"], is_member: Bool[np.ndarray, "Q"], seed: int, error: float = 0.05
) -> Confusion | None:
    """Return what the best threshold of a random half of the canaries does on the other half: a rule fixed before.

    The best is the one that refutes the largest mu; None where a half has no member, or no non-member.

    Args:
        score: high = member; NaN: predicted to be out.
        is_member: how each canary's coin fell.
        seed: of the halves.
        error: of the limits that thresholds are compared by.
    """
    score = np.where(np.isnan(score), -np.inf, score)
    is_taught = np.zeros(len(score), bool)
    is_taught[np.random.default_rng(seed).permutation(len(score))[: len(score) // 2]] = True
    for half in (is_taught, ~is_taught):
        if is_member[half].all() or not is_member[half].any():
            return None
    from mia.metrics.roc import roc

    curve = roc(score[is_taught], is_member[is_taught])
    fpr = upper_limit(curve.false_positives, curve.num_nonmembers, error)
    fnr = upper_limit(curve.num_members - curve.true_positives, curve.num_members, error)
    threshold = curve.thresholds[int(np.argmax(-ndtri(fpr) - ndtri(fnr)))]
    return confusion(score[~is_taught] >= threshold, is_member[~is_taught])


def _unit_quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of an integral from 0 to 1, dense at both ends, where a Beta's quantiles bend (tanh-sinh)."""
    steps = np.linspace(-4, 4, NODES)
    inner = np.pi / 2 * np.sinh(steps)
    weights = np.pi / 2 * np.cosh(steps) / np.cosh(inner) ** 2
    return 1 / (1 + np.exp(-2 * inner)), weights / weights.sum()
