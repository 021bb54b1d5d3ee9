"""An ensemble: several attacks at once, with weights learnt on shadows in the target's place (after Wang et al. 2025).

Takes signals; runs attacks by their defaults, which score stand-ins beside the target. What each says is turned into
log odds (how often members of stand-ins scored like that, and how often others), and a logistic regression whose
weights are never below zero adds them up; the surest records are ranked by one attack alone, where stand-ins show that
it does so better. The target's membership plays no part. Shadows are brought into an order of their own first, for the
first of them stand in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.run import run_attack
from mia.attacks.shared_statistics import reorder_shadows, shared_statistics
from mia.attacks.spec import ATTACKS, attack
from mia.attacks.thresholds import learn_thresholds
from mia.attacks.ties import settle
from mia.attacks.together import fit_with_leader
from mia.checks import RequestError
from mia.machine import one_blas_thread
from mia.records import UNUSED, Scores, Signals, StandIn
from mia.seeds import stage_seed

AUTO = (
    *("loss", "modified_entropy", "calibration", "lira_online", "lira_offline", "rmia_online", "rmia_offline"),
    *("base_online", "base_offline", "pmia"),
)
"""Attacks that take CPU seconds; those that are impossible are left out."""
CITATION = (
    "Wang, Zhang, Chen, Baracaldo, Kadhe, Yu: Membership inference attacks as privacy tools: reliability, disparity "
    "and ensemble, CCS 2025"
)
ENOUGH = 0.9
"""Share of the records that an attack must score; what one of the ensemble cannot score is masked."""
DIGITS = 9  # of a shadow's mean confidence, by which shadows are ordered: what lies below is rounding


@dataclass
class EnsembleOptions:
    """Several attacks at once, with weights learnt on shadows (after Wang et al. 2025)."""

    of: Any = "auto"  # attacks, by their defaults; auto: the quick ones that are possible

    def __post_init__(self) -> None:
        if self.of == "auto":
            return
        if isinstance(self.of, str) or not isinstance(self.of, Sequence) or len(set(self.of)) < 2:
            raise RequestError(f"attack.ensemble.of={self.of!r} must be auto or a list of two attacks or more")
        self.of = list(self.of)
        for name in self.of:
            if name == "ensemble" or ATTACKS[name].is_owners or not ATTACKS[name].is_offline:
                raise RequestError(
                    f"attack.ensemble.of={name} must be an attack that needs predictions and shadows alone"
                )


def _fewest(options: EnsembleOptions, protocol: str) -> int:
    """One stands in, with another behind it that is no complement of it."""
    del options
    return 3 if protocol == "pool" else 2


@attack(
    "ensemble",
    options=EnsembleOptions,
    needs=("shadows", "classes"),
    citation=CITATION,
    label="ensemble of attacks",
    fewest_shadows=_fewest,
    version=2,  # 1: the weighted sum at the top, too
)
def ensemble(
    signals: Signals, options: EnsembleOptions, seed: int, progress: Callable[[int, int], None] | None = None
) -> Scores:
    """Score by the weighted sum of the log odds that each attack gives, the surest by the best attack's own score."""
    signals = reorder_shadows(signals, _order(signals))
    members, left_out = _run(signals, options, seed, progress)
    rows, members = _common_rows(members)
    lines = [f"the ensemble is of {', '.join(members)}"]
    lines += [f"the ensemble leaves out {name}: {why}" for name, why in left_out.items()]
    fold = rows.model if len(np.unique(rows.model)) > 1 else rows.record % 2  # of a sole stand-in, other records
    with one_blas_thread():
        rule, fitted = fit_with_leader(rows.scores, rows.is_member, fold)

    def together(scores: Sequence[Float[np.ndarray, "R"]]) -> Float[np.ndarray, "R"]:
        return settle(rule(np.stack(scores, axis=1)))

    score = together([one.score for one in members.values()])
    if unscored := np.count_nonzero(np.isnan(score)):
        lines.append(f"{unscored} of {len(score)} records have no score by one of these: left out, not filled in")
    placebos = [one.placebo for one in members.values() if one.placebo is not None]
    placebo = together(placebos) if len(placebos) == len(members) else None
    known = StandIn(fitted, rows.is_member, rows.labels(signals), model=rows.model, record=rows.record)
    thresholds = learn_thresholds(known.score, known.is_member, None, signals.num_classes)
    assert thresholds is not None, "stand-ins have members and non-members"
    labels = signals.labels[signals.candidates]
    details: dict[str, str | float] = {
        f"weight_{name}": float(w) for name, w in zip(members, rule.weights, strict=True)
    }
    if rule.head is not None:
        details |= {"surest_by": list(members)[rule.head.attack], "surest_above": rule.head.start}
    return Scores(
        score,
        thresholds.predict(score, labels),
        np.max([one.num_in for one in members.values()], axis=0),
        np.max([one.num_out for one in members.values()], axis=0),
        tuple(lines),
        {"stand_ins": float(len(np.unique(rows.model))), **details, **thresholds.details()},
        replace(known, is_predicted=thresholds.predict(known.score, known.labels)),
        placebo,
    )


@dataclass(frozen=True)
class _Rows:
    """Records of stand-ins that all the attacks have scored."""

    scores: Float[np.ndarray, "S A"]  # a column per attack
    is_member: Bool[np.ndarray, "S"]
    model: Int[np.ndarray, "S"]
    record: Int[np.ndarray, "S"]

    def labels(self, signals: Signals) -> Int[np.ndarray, "S"]:
        return signals.labels[self.record]


def _order(signals: Signals) -> Int[np.ndarray, "K"]:
    """Return the shadows by how sure they are of their own records."""
    own = signals.shadow_own & (signals.shadow_membership != UNUSED)
    sure = shared_statistics(signals).confidence[1:]
    mean = [p[mine].mean() if mine.any() else 0.0 for p, mine in zip(sure, own, strict=True)]
    return np.argsort(np.round(mean, DIGITS), kind="stable")


def _run(
    signals: Signals, options: EnsembleOptions, seed: int, progress: Callable[[int, int], None] | None
) -> tuple[dict[str, Scores], dict[str, str]]:
    """Return what the attacks say that have stand-ins to learn from, and why the others are left out."""
    names = AUTO if options.of == "auto" else tuple(options.of)
    found: dict[str, Scores] = {}
    left_out: dict[str, str] = {}
    for done, name in enumerate(names, start=1):
        try:
            scores = run_attack(name, signals, ATTACKS[name].options(), stage_seed(seed, name))
        except RequestError:
            if options.of != "auto":
                raise
        else:
            if scores.stand_in is None or scores.stand_in.record is None or scores.stand_in.model is None:
                left_out[name] = "no shadow of it can stand in for the target"
            else:
                found[name] = scores
        if progress is not None:
            progress(done, len(names))
    most = max((np.count_nonzero(~np.isnan(one.score)) for one in found.values()), default=0)
    for name in [name for name, one in found.items() if np.count_nonzero(~np.isnan(one.score)) < ENOUGH * most]:
        left_out[name] = f"it cannot score {1 - ENOUGH:.0%} of the records that others can"
        del found[name]
    return found, left_out


def _common_rows(members: dict[str, Scores]) -> tuple[_Rows, dict[str, Scores]]:
    """Return the stand-ins' records that all attacks score, without the attacks that would leave none of a kind."""
    members = dict(members)
    while len(members) >= 2:
        known = {name: one.stand_in for name, one in members.items() if one.stand_in is not None}
        keys = {name: _keys(one) for name, one in known.items()}
        common = reduce(np.intersect1d, keys.values())
        first = next(iter(known))
        is_member = _taken(known[first].is_member, keys[first], common)
        if is_member.any() and not is_member.all():
            scores = np.stack([_taken(one.score, keys[name], common) for name, one in known.items()], axis=1)
            return _Rows(scores, is_member, common >> 32, common & (2**32 - 1)), members
        del members[min(keys, key=lambda name: len(keys[name]))]
    raise RequestError(
        "attack=ensemble needs two attacks that shadows in the target's place can be scored by: raise split.num_shadows"
    )


def _keys(known: StandIn) -> Int[np.ndarray, "S"]:
    assert known.model is not None, "it was checked that it tells the model"
    assert known.record is not None, "it was checked that it tells the record"
    return (known.model.astype(np.int64) << 32) | known.record


def _taken(values: np.ndarray, keys: Int[np.ndarray, "S"], wanted: Int[np.ndarray, "R"]) -> np.ndarray:
    order = np.argsort(keys)
    return values[order][np.searchsorted(keys[order], wanted)]
