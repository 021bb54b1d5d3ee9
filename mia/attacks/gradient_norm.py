"""The owner's view: how strongly a record still pulls at the target's parameters, which a member has done pulling.

Takes signals, the models and the records themselves; gives minus the norm of the gradient of each record's loss by all
parameters (Nasr, Shokri, Houmansadr 2019 use such gradients). No output defence stands before what it sees.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from mia.attacks.placebo import placebo_model
from mia.attacks.spec import attack
from mia.attacks.stand_ins import own_records
from mia.attacks.thresholds import learn_thresholds
from mia.attacks.ties import settle
from mia.checks import at_least
from mia.records import Scores, Signals, StandIn

OWNERS = "the owner's view: it looks into the target, which no attacker can"


@dataclass
class GradientNormOptions:
    """The owner's view: minus the norm of the loss's gradient by all parameters (Nasr et al. 2019)."""

    stand_ins: int = 2  # shadows that are looked into too, so that a threshold can be learnt

    def __post_init__(self) -> None:
        at_least("attack.gradient_norm.stand_ins", self.stand_ins, 0)


@attack(
    "gradient_norm",
    options=GradientNormOptions,
    needs=("features", "models", "classes"),
    citation="Nasr, Shokri, Houmansadr: Comprehensive privacy analysis of deep learning, S&P 2019",
    label="gradient norm",
    view="owner",
)
def gradient_norm(
    signals: Signals, options: GradientNormOptions, seed: int, progress: Callable[[int, int], None] | None = None
) -> Scores:
    """Score by minus the norm of the gradient of the record's cross-entropy."""
    del seed
    assert signals.features is not None, "it was checked that there are features"
    assert signals.models is not None, "it was checked that there are models"
    features, models = signals.features, signals.models
    asked, placebo = signals.candidates, placebo_model(signals)
    owns = [own for own, _ in zip(own_records(signals), range(options.stand_ins), strict=False)]
    done, steps = 0, 1 + (placebo is not None) + len(owns)

    def score(model: int, records: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        nonlocal done
        norms = models.gradient_norms(model, features.of_records(records), signals.labels[records])
        done += 1
        if progress is not None:
            progress(done, steps)
        return settle(-np.asarray(norms, np.float64))

    found = score(0, asked)
    of_nobody = None if placebo is None else score(placebo + 1, asked)
    none = np.zeros(len(asked), np.int64)
    scores = Scores(found, None, none, none, (OWNERS,), placebo=of_nobody)
    if not owns:
        return scores
    known = StandIn(
        np.concatenate([score(shadow + 1, records) for shadow, records, _ in owns]),
        np.concatenate([is_member for *_, is_member in owns]),
        np.concatenate([signals.labels[records] for _, records, _ in owns]),
    )
    thresholds = learn_thresholds(known.score, known.is_member, None, signals.num_classes)
    if thresholds is None:
        return scores
    return replace(
        scores,
        is_predicted=thresholds.predict(found, signals.labels[asked]),
        details={"stand_ins": float(len(owns)), **thresholds.details()},
        stand_in=replace(known, is_predicted=thresholds.predict(known.score, known.labels)),
    )
