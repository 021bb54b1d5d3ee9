"""The owner's view: who loses more than nearly every member does, and so gives himself away as none (Dodd et al. 2025).

Takes signals and, as the owner's attacks alone do, the target's membership; gives log p_y, as `loss` does, with another
rule: the threshold lets all but a share `fnr` of the members through. The share of non-members that it catches
(`tnr` of the details) is a guide to what attacks with many shadows find at as low a false-positive rate, without any:
hard records among the members have left the tail of the losses, which those among the others are still in. Of targets
that fit every member perfectly it says too much.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mia.attacks.shared_statistics import floor_of
from mia.attacks.spec import attack
from mia.attacks.statistics import log_confidence
from mia.attacks.ties import reaches, settle
from mia.checks import RequestError
from mia.records import Scores, Signals


@dataclass
class LossTnrOptions:
    """The owner's view: non-members that lose more than nearly all members (Dodd et al. 2025)."""

    fnr: float = 0.001  # share of members that may lose more than the threshold

    def __post_init__(self) -> None:
        if not 0 <= self.fnr < 1:
            raise RequestError(f"attack.loss_tnr.fnr={self.fnr!r} must lie in [0, 1)")


@attack(
    "loss_tnr",
    options=LossTnrOptions,
    needs=("membership",),
    citation="Dodd, Krco, Shilov, de Montjoye: The tail tells all, arXiv 2510.19773, 2025",
    label="loss TNR",
    view="owner",
)
def loss_tnr(signals: Signals, options: LossTnrOptions, seed: int, *, is_member: Bool[np.ndarray, "Q"]) -> Scores:
    """Score by log p_y; a member is whoever loses no more than all but a share `fnr` of the members."""
    del seed
    if is_member.all() or not is_member.any():
        raise RequestError("attack=loss_tnr needs members and non-members among the records in question")
    asked = signals.candidates
    outputs, labels = signals.target_outputs[asked], signals.labels[asked]
    score = settle(log_confidence(outputs, labels, signals.is_probability, floor_of(signals)))
    members = np.sort(score[is_member])
    threshold = float(members[int(np.floor(options.fnr * len(members) * (1 + 1e-12)))])
    is_predicted = reaches(score, np.full(len(score), threshold))
    tnr = float((~is_predicted[~is_member]).mean())
    none = np.zeros(len(score), np.int64)
    line = (
        f"the owner's view: {tnr:.1%} of the non-members lose more than all but {options.fnr:.1%} of the members, a "
        "guide to what attacks with many shadows find at that false-positive rate, and no bound"
    )
    return Scores(score, is_predicted, none, none, (line,), {"tnr": tnr, "threshold": threshold})
