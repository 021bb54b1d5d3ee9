"""The owner's view: how widely a record's loss ranged while the target was trained (Pollock et al. 2024).

Takes signals with the target's losses by epoch; gives their interquartile range. Records whose loss fell late are those
that attacks find: it ranks an owner's members by how exposed they are, at no cost, rather than tell members from
others. Sees no shadow.
"""

from dataclasses import dataclass

import numpy as np

from mia.attacks.spec import attack
from mia.attacks.ties import settle
from mia.checks import RequestError, at_least
from mia.records import Scores, Signals


@dataclass
class LossIqrOptions:
    """The owner's view: interquartile range of a record's loss over the epochs (Pollock et al. 2024)."""

    skip: int = 0  # first epochs that do not count

    def __post_init__(self) -> None:
        at_least("attack.loss_iqr.skip", self.skip, 0)


@attack(
    "loss_iqr",
    options=LossIqrOptions,
    needs=("trace",),
    citation="Pollock, Shilov, Dodd, de Montjoye: Free record-level privacy risk evaluation, arXiv 2411.05743, 2024",
    label="loss IQR",
    view="owner",
)
def loss_iqr(signals: Signals, options: LossIqrOptions, seed: int) -> Scores:
    """Score by the third less the first quartile of the loss over the epochs."""
    del seed
    assert signals.trace is not None, "it was checked that there is a trace"
    trace = signals.trace[options.skip :]
    if len(trace) < 2:
        raise RequestError(
            f"attack.loss_iqr.skip={options.skip} must leave two of the target's {len(signals.trace)} epochs"
        )
    low, high = np.quantile(trace.astype(np.float64), (0.25, 0.75), axis=0)
    none = np.zeros(len(low), np.int64)
    line = "the owner's view: it ranks members by how exposed they are, from losses while the target was trained"
    return Scores(settle(high - low), None, none, none, (line,), {"epochs": float(len(trace))})
