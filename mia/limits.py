"""Limits on leakage, for pipelines (`limit.*`): exceeded where even the lower end of an attack's interval lies above.

Takes metrics and limits; gives a line for each limit that is exceeded, and for each that could not be checked.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from mia.checks import fraction, non_negative

EXCEEDED = 3
"""The command's exit code where a limit is exceeded."""
METRICS = {"tpr_at_0_1pct_fpr": "tpr_at_0.1pct_fpr"}
"""Name of the metric, where no field can be called like it: a dot divides keys."""
EPSILONS = re.compile(r"privacy/epsilon_lower_bound|attack/[^/]+/epsilon_\w+")
NO_BOUND = re.compile(r"_(sd|high|low)$")


@dataclass
class LimitOptions:
    """The most that any attack may achieve; null: no limit."""

    auc: float | None = None
    advantage: float | None = None
    tpr_at_1pct_fpr: float | None = None
    tpr_at_0_1pct_fpr: float | None = None  # written limit.tpr_at_0.1pct_fpr
    epsilon: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            if name == "epsilon":
                non_negative("limit.epsilon", value)
            else:
                fraction(f"limit.{name}", value)

    def given(self) -> dict[str, float]:
        """Return the limits that are set, by metric."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {METRICS.get(name, name): value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Verdict:
    """What became of the limits, one line each."""

    exceeded: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def check_limits(metrics: Mapping[str, float], limits: LimitOptions) -> Verdict:
    """Return which limits are exceeded.

    A limit is exceeded where the lower end of the 95% interval of any attack lies above it (for epsilon: a lower bound
    itself), so that chance alone seldom stops a pipeline; it is unchecked where no attack has that metric.

    Args:
        metrics: Flat names, of a run or an audit.
        limits: What is allowed.
    """
    exceeded, unchecked = [], []
    for metric, limit in limits.given().items():
        found = _epsilons(metrics) if metric == "epsilon" else _lower_ends(metrics, metric)
        if not found:
            unchecked.append(f"limit.{metric}={limit:g} was not checked: no attack has {metric}{_why(metric)}")
            continue
        low, name = max((low, name) for name, low in found.items())
        if low > limit:
            exceeded.append(
                f"limit.{metric}={limit:g} is exceeded: {name} has at least {low:.4g}"
                + (f" ({metrics[f'attack/{name}/{metric}']:.4g})" if f"attack/{name}/{metric}" in metrics else "")
            )
    return Verdict(tuple(exceeded), tuple(unchecked))


def _lower_ends(metrics: Mapping[str, float], metric: str) -> dict[str, float]:
    """Return the lower end of each attack's interval, by attack."""
    ending = f"/{metric}_low"
    return {
        name.removeprefix("attack/").removesuffix(ending): value
        for name, value in metrics.items()
        if name.startswith("attack/") and name.endswith(ending) and not math.isnan(value)
    }


def _epsilons(metrics: Mapping[str, float]) -> dict[str, float]:
    return {
        name: value
        for name, value in metrics.items()
        if EPSILONS.fullmatch(name) and not NO_BOUND.search(name) and not math.isnan(value)
    }


def _why(metric: str) -> str:
    return (
        " (bounds are given where members were drawn by independent coins: split=canary)" if metric == "epsilon" else ""
    )


def spell_limits(overrides: Iterable[str]) -> list[str]:
    """Return overrides in which `limit.tpr_at_0.1pct_fpr` has the name of its field."""
    names = "|".join(map(re.escape, METRICS.values()))
    return [
        re.sub(rf"^([+~]*limit\.)({names})(?==|$)", lambda one: one[1] + limit_field(one[2]), text)
        for text in overrides
    ]


def spoken(text: str) -> str:
    """Return a text with limits called as people write them."""
    for field, name in METRICS.items():
        text = text.replace(field, name)
    return text


def limit_field(metric: str) -> str:
    """Return the name of a limit's field."""
    return next((field for field, name in METRICS.items() if name == metric), metric)
