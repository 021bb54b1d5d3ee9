"""What can be set about the sweepers (`hydra/sweeper=NAME`, `hydra.sweeper.*`). Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class GridOptions:
    """The grid: every combination of the values that are listed."""

    params: dict[str, Any] = field(default_factory=dict)  # key -> values, as one would type them: 1,2,3


@dataclass
class OptunaOptions:
    """The search: trials that a sampler of Optuna's chooses."""

    params: dict[str, Any] = field(default_factory=dict)  # key -> values or ranges, as one types them: interval(1,2)
    n_trials: int = 20
    maximize: list[str] = field(default_factory=list)  # metrics, such as target/test_accuracy
    minimize: list[str] = field(default_factory=list)  # metrics, such as attack/loss/auc_high
    sampler: str = "tpe"  # tpe (which begins with qmc), nsga2 or qmc (Sobol's sequence, which learns nothing)
    n_jobs: int = 0  # trials that are chosen at a time; 0: as many as the launcher runs at once
    floor: str | None = None  # METRIC=VALUE of the target alone: below it, its shadows are not trained
    confirm: int = 0  # run what is on the front again with so many fresh seeds


SWEEPERS: dict[str, type] = {"grid": GridOptions, "optuna": OptunaOptions}
