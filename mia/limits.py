"""Limits on leakage, for pipelines (`limit.*`): exceeded where even the lower end of an attack's interval lies above.

Takes metrics, limits and which attacks are the owner's; gives a line for each limit that is exceeded, and for each that
could not be checked. What only the model's owner can do is no attack that others must fear: limits do not count it, and
a line says so where it lies above one.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

from mia.checks import fraction, non_negative

EXCEEDED = 3
"""The command's exit code where a limit is exceeded."""
METRICS = {"tpr_at_0_1pct_fpr": "tpr_at_0.1pct_fpr"}
"""Name of the metric, where no field can be called like it: a dot divides keys."""
OF_ALL = "privacy/epsilon_lower_bound"
EPSILONS = re.compile(rf"{OF_ALL}|attack/[^/]+/epsilon_\w+")
NO_BOUND = re.compile(r"_(sd|high|low)$")


@dataclass
class LimitOptions:
    """The most that any attack but the owner's may achieve; null: no limit."""

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
    not_counted: tuple[str, ...] = ()  # an attack of the owner's lies above


def check_limits(metrics: Mapping[str, float], limits: LimitOptions, is_owners: Callable[[str], bool]) -> Verdict:
    """Return which limits are exceeded.

    A limit is exceeded where the lower end of the 95% interval of any attack lies above it (for epsilon: a lower bound
    itself), so that chance alone seldom stops a pipeline; it is unchecked where no attack has that metric. The owner's
    attacks do not count.

    Args:
        metrics: Flat names, of a run or an audit.
        limits: What is allowed.
        is_owners: Tells of an attack's name whether only the model's owner can do it.
    """
    exceeded, unchecked, not_counted = [], [], []
    for metric, limit in limits.given().items():
        found = _epsilons(metrics) if metric == "epsilon" else _lower_ends(metrics, metric)
        owners = {name: low for name, low in found.items() if is_owners(_attack_of(name))}
        counted = {name: low for name, low in found.items() if name not in owners}
        if owners:
            counted.pop(OF_ALL, None)  # the best of all attacks: each one's own bound is no lower
            if max(owners.values()) > limit:
                not_counted.append(
                    f"limit.{metric}={limit:g} does not count what only the model's owner can do: "
                    f"{_at_least(metrics, metric, owners)}"
                )
        if not counted:
            whose = "no attack but the owner's" if owners else "no attack"
            unchecked.append(f"limit.{metric}={limit:g} was not checked: {whose} has {metric}{_why(metric)}")
        elif max(counted.values()) > limit:
            exceeded.append(f"limit.{metric}={limit:g} is exceeded: {_at_least(metrics, metric, counted)}")
    return Verdict(tuple(exceeded), tuple(unchecked), tuple(not_counted))


def _at_least(metrics: Mapping[str, float], metric: str, found: Mapping[str, float]) -> str:
    """Return which attack has the largest lower end, and how much that is."""
    low, name = max((low, name) for name, low in found.items())
    value = metrics.get(f"attack/{name}/{metric}")
    return f"{name} has at least {low:.4g}" + ("" if value is None else f" ({value:.4g})")


def _attack_of(name: str) -> str:
    """Return the attack of a bound on epsilon, which is named in full; a plain name is an attack's."""
    return name.split("/")[1] if "/" in name else name


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
