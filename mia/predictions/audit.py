"""What is attacked: targets with what models say, and what else is known of the records.

Takes arrays in order; gives `Audit`, `Beside` and `Signals`. Also the simplest form: scores made elsewhere.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int8

from mia.checks import RequestError, did_you_mean
from mia.metrics.slices import number_name
from mia.predictions.tidy import as_array, check_name, tidy_column, tidy_member
from mia.records import IN, UNUSED, AttackTask, Scores, Signals

BESIDE = ("index", "groups", "class_names", "independent")
OWN = ("member", "labels", *BESIDE)
"""Arrays that stand beside scores."""
NO_SCORE = re.compile(rf"{'|'.join(OWN)}|slice_.*|(target|shadow|population)_(member|labels|loss|logits|probabilities)")
"""Arrays that are no attack's score, whatever they hold."""


@dataclass(frozen=True)
class Audit:
    """Targets to attack, or what attacks made elsewhere say of one."""

    tasks: Sequence[AttackTask]
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    scores: Mapping[str, Scores] = field(default_factory=dict)  # made elsewhere


@dataclass(frozen=True)
class Beside:
    """What is known of the records besides what models say about them."""

    index: np.ndarray  # [N]
    groups: np.ndarray | None
    slices: Mapping[str, np.ndarray]
    is_independent: np.ndarray  # [N]: drawn by a coin of its own

    def task(self, signals: Signals, member: Int8[np.ndarray, "N"], target: int = 0) -> AttackTask:
        """Return the task of guessing `member` where it is 1 or 0."""
        asked = signals.candidates
        return AttackTask(
            signals,
            self.index[asked],
            member[asked] == IN,
            target,
            None if self.groups is None else self.groups[asked],
            {name: values[asked] for name, values in self.slices.items()},
            self.is_independent[asked],
        )


def read_beside(arrays: Mapping[str, Any], count: int) -> Beside:
    """Return what is known of `count` records besides predictions.

    Raises:
        RequestError: shapes that disagree.
    """
    index = tidy_column("index", arrays["index"], count) if "index" in arrays else np.arange(count)
    groups = tidy_column("groups", arrays["groups"], count) if "groups" in arrays else None
    slices = {
        check_name(name.removeprefix("slice_"), "the slice"): tidy_column(name, given, count)
        for name, given in arrays.items()
        if name.startswith("slice_")
    }
    independent = as_array("independent", arrays.get("independent", False))
    is_truth = independent.dtype.kind in "bui" and np.isin(independent, (0, 1)).all()
    if independent.shape not in ((), (1,), (count,)) or not is_truth:
        raise RequestError(
            f"independent has shape {independent.shape} and type {independent.dtype}; it must be one true or false, or "
            f"one for each of {count}"
        )
    return Beside(index, groups, slices, np.broadcast_to(independent.astype(bool), count))


def make_signals(
    target: np.ndarray,
    shadows: np.ndarray,
    member: np.ndarray,
    membership: np.ndarray,
    *,
    kind: str = "logits",
    labels: np.ndarray | None = None,
) -> Signals:
    """Return what the models say; records of membership -1 are no candidates.

    Raises:
        RequestError: there is no candidate.
    """
    is_candidate = member != UNUSED
    if not is_candidate.any():
        raise RequestError("no record has a target's membership of 1 or 0: there is nothing to evaluate")
    return Signals(
        labels=np.zeros(len(target), np.int32) if labels is None else labels,
        is_candidate=is_candidate,
        target_outputs=target,
        shadow_outputs=shadows,
        shadow_membership=membership,
        shadow_own=membership != UNUSED,
        is_probability=kind == "probabilities",
    )


def check_both_sides(name: str, member: np.ndarray) -> None:
    """Refuse membership of one kind alone, where nobody can be told apart.

    Raises:
        RequestError: it is all 1, or all 0, among the records to be evaluated.
    """
    only = np.unique(member[member != UNUSED])
    if len(only) == 1:
        raise RequestError(
            f"{name} holds {only[0]} for every record that is to be evaluated: there is nobody to tell apart"
        )


def make_audit_of_scores(arrays: Mapping[str, Any], scores: Mapping[str, Any] | None = None) -> Audit:
    """Return an audit of scores made elsewhere: `member [N]`, and what attacks say, each an array [N].

    Args:
        arrays: `member`, and what is known of the records; `labels` are the slice `class`.
        scores: By attack; None: they lie among `arrays`, of which any that has no meaning of its own is one.

    Raises:
        RequestError: no membership, no score, an array that says nothing here, or shapes that disagree.
    """
    if scores is None:
        scores = {name: given for name, given in arrays.items() if not NO_SCORE.fullmatch(name)}
        arrays = {name: given for name, given in arrays.items() if name not in scores}
    if wrong := [name for name in scores if NO_SCORE.fullmatch(name)]:
        raise RequestError(f"scores holds {wrong[0]!r}, which is no attack's name: give it beside scores, or rename it")
    if "member" not in arrays:
        raise RequestError(f"there is no member [N] beside the scores{did_you_mean('member', {**arrays, **scores})}")
    member = tidy_member("member", arrays["member"], (None,))
    check_both_sides("member", member)
    if wrong := [name for name in arrays if name not in OWN and not name.startswith("slice_")]:
        raise RequestError(
            f"there is {wrong[0]!r}, which says nothing beside scores: leave it out, or leave scores out"
        )
    if "labels" in arrays:
        labels = tidy_column("labels", arrays["labels"], len(member))
        classes = labels if labels.dtype.kind in "US" else np.array([number_name(one) for one in labels.tolist()])
        arrays = {"slice_class": classes, **arrays}
    beside = read_beside(arrays, len(member))
    if not scores:
        raise RequestError("there are no scores beside member: give each attack's as an array [N], high = member")
    nothing = np.empty((len(member), 0), np.float32)
    task = beside.task(make_signals(nothing, nothing[None][:0], member, np.empty((0, len(member)), np.int8)), member)
    return Audit(
        (task,),
        scores={check_name(name, "the score"): _score(name, one, member != UNUSED) for name, one in scores.items()},
    )


def _score(name: str, given: Any, is_candidate: np.ndarray) -> Scores:
    score = tidy_column(name, given, len(is_candidate))
    if score.dtype.kind not in "fiub":
        raise RequestError(f"{name} has type {score.dtype}; a score must be numbers, high = member")
    score = score[is_candidate].astype(np.float64)
    if np.isnan(score).all():
        raise RequestError(f"{name} scores no record: all are NaN")
    none = np.zeros(len(score), np.int64)
    return Scores(score, None, none, none)
