"""What a search seeks, read from `hydra.sweeper.*` and checked before anything runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan

from mia.checks import RequestError, at_least, did_you_mean, one_of
from mia.metrics.words import METRICS, metric_of
from mia.sweep_options import OptunaOptions
from mia.sweeper.check import Configuration

SAMPLERS = ("tpe", "nsga2", "qmc")


@dataclass(frozen=True)
class Objectives:
    """The metrics that are to be high, and those that are to be low."""

    maximize: tuple[str, ...]
    minimize: tuple[str, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names, in the order of a trial's values."""
        return self.maximize + self.minimize

    def values(self, metrics: Mapping[str, float]) -> list[float] | None:
        """Return a run's values; None if it lacks one."""
        found = [metrics.get(name, nan) for name in self.metrics]
        return None if any(map(isnan, found)) else found


def read_objectives(options: OptunaOptions) -> Objectives:
    """Return what is sought.

    Raises:
        RequestError: nothing is, or something twice, or an option is impossible.
    """
    one_of("hydra.sweeper.sampler", options.sampler, SAMPLERS)
    at_least("hydra.sweeper.n_trials", options.n_trials, 1)
    at_least("hydra.sweeper.confirm", options.confirm, 0)
    at_least("hydra.sweeper.n_jobs", options.n_jobs, 0)
    found = Objectives(tuple(options.maximize), tuple(options.minimize))
    if not found.metrics or len(set(found.metrics)) < len(found.metrics):
        raise RequestError(
            "a search needs something to seek, each once: hydra.sweeper.maximize=[target/test_accuracy] "
            "hydra.sweeper.minimize=[attack/loss/auc]"
        )
    return found


def read_floor(options: OptunaOptions) -> tuple[str, float] | None:
    """Return a metric of the target and the least that it may be for its shadows to be trained.

    Raises:
        RequestError: it is no METRIC=VALUE of the target.
    """
    from mia.experiment.floor import KNOWN

    if options.floor is None:
        return None
    name, _, text = options.floor.partition("=")
    try:
        value = float(text)
    except ValueError:
        value = nan
    if name not in KNOWN or not 0 <= value <= 1:
        raise RequestError(
            f"hydra.sweeper.floor={options.floor!r} must be METRIC=VALUE, from 0 to 1, such as '{KNOWN[1]}=0.45'; "
            f"known: {', '.join(KNOWN)}"
        )
    return name, value


def check_metrics(objectives: Objectives, example: Configuration) -> None:
    """Refuse metrics that no run of a search would have: those of attacks that do not run, and misspelt ones.

    Raises:
        RequestError: one of them is.
    """
    attacks = list(example.config.experiment().attack.chosen)
    for name in objectives.metrics:
        parts = name.split("/")
        if parts[0] == "attack" and (len(parts) != 3 or parts[1] not in attacks):
            meant = did_you_mean(parts[1], attacks) if len(parts) > 1 else ""
            raise RequestError(f"{name} is no metric of these runs{meant}; attacks: {', '.join(attacks)}")
        if not is_metric(name):
            own = f"attack/{parts[1]}/" if parts[0] == "attack" else ""
            known = [own + one.name for one in METRICS if ("/" in one.name) != bool(own)]
            listed = ", ".join(known)
            raise RequestError(f"{name} is no metric of these runs{did_you_mean(name, known)}; known: {listed}")


def is_metric(name: str) -> bool:
    """Tell whether runs may have a metric of this name."""
    whole = re.sub(r"_(low|high|sd)$", "", name)
    tail = whole.split("/", 2)[-1] if whole.startswith("attack/") else whole
    about = metric_of(whole)
    if about is not None:
        return whole.startswith("attack/") != ("/" in about.name)
    return whole.startswith("time/") or (tail != whole and tail.startswith(("precision_at_", "null_", "hindsight_")))
