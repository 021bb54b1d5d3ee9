"""Several arrays together, made into targets to attack: the forms in which people have predictions.

Takes arrays by name; gives an `Audit`. Attacks nothing, and refuses in one line what cannot be meant.

    a target and shadows    target_logits [N C] (or _probabilities), target_member [N], labels [N];
                            shadow_logits [K N C], shadow_member [K N];
                            population_logits [K+1 Z C] (the target last), population_labels [Z]
    losses alone            target_loss [N], shadow_loss [K N] in place of logits: no labels, no classes
    all models in turn      logits [M N C] (or probabilities, loss [M N]), member [M N], labels [N]

Membership is 1, 0, or -1 for "not evaluated". With any of these: index [N] (what records are called), groups [N] (whose
they are), slice_<name> [N], class_names [C], independent (whether members, or each of
[N] records, were drawn by fair coins of their own).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Int8

from mia.attacks.design import find_partners
from mia.attacks.shared_statistics import for_target
from mia.checks import RequestError, did_you_mean
from mia.plans import find_complements
from mia.predictions.audit import BESIDE, Audit, Beside, check_both_sides, make_signals, read_beside
from mia.predictions.labels import tidy_labels, tidy_names
from mia.predictions.reversed import warn_reversed
from mia.predictions.tidy import as_array, tidy_member, tidy_outputs
from mia.records import IN, OUT, AttackTask, Signals

SUFFIX = {"logits": "logits", "probabilities": "probabilities", "losses": "loss"}
"""Ending of the array's name, by kind."""
KNOWN = (
    *(f"{who}_{ending}" for who in ("target", "shadow", "population") for ending in SUFFIX.values()), "target_member",
    "shadow_member", "labels", "population_labels", *SUFFIX.values(), "member", *BESIDE,
)  # fmt: skip
NO_SHADOWS = (
    "there are no shadows: scores have no thresholds, so no accuracy, and records are not compared with what models "
    "that never saw them say, as the strongest attacks do; mia plan says who would train on what"
)


def make_audit(arrays: Mapping[str, Any], *, is_strict: bool = True) -> Audit:
    """Return the targets that the arrays describe.

    Args:
        arrays: By name; values are anything `numpy.asarray` takes.
        is_strict: Whether a name that is none of the known, but nearly one that is absent, is refused.

    Raises:
        RequestError: arrays that are missing, disagree or hold what cannot be.
    """
    if is_strict:
        _refuse_nearly_right(arrays)
    if "member" in arrays and any(ending in arrays for ending in SUFFIX.values()):
        return _all_in_turn(arrays)
    if "target_member" not in arrays:
        hint = did_you_mean("target_member", arrays)
        raise RequestError(
            f"there is no target_member [N]{hint or ''}; with target_logits [N C] and labels [N] it is the least that "
            "an audit needs (or logits [M N C], member [M N] and labels [N]; or target_loss [N])"
        )
    return _one_target(arrays)


def _refuse_nearly_right(arrays: Mapping[str, Any]) -> None:
    """Refuse an array that would be ignored, though its name seems to be meant for one that is not there."""
    for name in arrays:
        absent = [one for one in KNOWN if one not in arrays]
        if name not in KNOWN and not name.startswith("slice_") and (hint := did_you_mean(name, absent)):
            raise RequestError(f"there is {name!r}, which is none of {', '.join(KNOWN)}{hint}")


def kind_of(arrays: Mapping[str, Any], prefix: str) -> str:
    """Return which kind of predictions there is, one of `KINDS`.

    Raises:
        RequestError: none, or several.
    """
    kinds = [kind for kind, ending in SUFFIX.items() if f"{prefix}{ending}" in arrays]
    if len(kinds) != 1:
        names = ", ".join(f"{prefix}{ending}" for ending in SUFFIX.values())
        raise RequestError(f"there must be one of {names}; there are {len(kinds)}")
    return kinds[0]


def _one_target(arrays: Mapping[str, Any]) -> Audit:
    notes: list[str] = []
    kind = kind_of(arrays, "target_")
    target = tidy_outputs(f"target_{SUFFIX[kind]}", arrays[f"target_{SUFFIX[kind]}"], kind, 2, notes)
    member = tidy_member("target_member", arrays["target_member"], (len(target),))
    shadows, membership = _shadows(arrays, kind, target, notes)
    return one_target(arrays, kind, target, member, shadows, membership, notes)


def one_target(
    arrays: Mapping[str, Any],
    kind: str,
    target: np.ndarray,
    member: np.ndarray,
    shadows: np.ndarray,
    membership: np.ndarray,
    notes: list[str],
) -> Audit:
    """Return the audit of one target, whose outputs and membership are in order; the rest is read from `arrays`.

    Raises:
        RequestError: labels or a population that do not go with the outputs.
    """
    check_both_sides("target_member", member)
    labels, names = _labels(arrays, kind, target.shape, notes)
    population = _population(arrays, kind, len(shadows), target.shape, names, notes)
    shadows, membership, population, dropped = _without_complements(member, shadows, membership, population)
    signals = make_signals(target, shadows, member, membership, kind=kind, labels=labels)
    if population is not None:
        signals = replace(signals, population_outputs=population[0], population_labels=population[1])
    beside = read_beside(arrays, len(target))
    task = beside.task(signals, member)
    costs = [] if len(shadows) else [NO_SHADOWS]
    warnings = [*warn_reversed(task), *dropped, *costs, *notes, *_uncovered(signals)]
    return Audit((task,), names, tuple(dict.fromkeys(warnings)))


def _labels(
    arrays: Mapping[str, Any], kind: str, shape: tuple[int, int], notes: list[str]
) -> tuple[Int[np.ndarray, "N"], tuple[str, ...]]:
    if kind == "losses":
        return np.zeros(shape[0], np.int32), ()
    names = tidy_names(arrays["class_names"], shape[1]) if "class_names" in arrays else ()
    if "labels" not in arrays:
        raise RequestError(f"there are no labels [N]{did_you_mean('labels', arrays)}: the true class of each record")
    return tidy_labels("labels", arrays["labels"], *shape, names, notes)


def _shadows(arrays: Mapping[str, Any], kind: str, target: np.ndarray, notes: list[str]) -> tuple[np.ndarray, ...]:
    """Return the shadows' outputs and membership; empty arrays where there are none."""
    given = [ending for ending in SUFFIX.values() if f"shadow_{ending}" in arrays]
    if "shadow_member" not in arrays and not given:
        return np.empty((0, *target.shape), target.dtype), np.empty((0, len(target)), np.int8)
    name = f"shadow_{SUFFIX[kind]}"
    if "shadow_member" not in arrays or name not in arrays:
        raise RequestError(f"{name} and shadow_member must be there together, of the same kind as the target's")
    outputs = tidy_outputs(name, arrays[name], kind, 3, notes)
    if outputs.shape[1:] != target.shape:
        raise RequestError(
            f"{name} has shape {outputs.shape}, the target's predictions ask for (K, {target.shape[0]}, "
            f"{target.shape[1]}); a model that never saw a class lacks its column: add one of probability 0"
        )
    return outputs, tidy_member("shadow_member", arrays["shadow_member"], outputs.shape[:2])


def _population(
    arrays: Mapping[str, Any],
    kind: str,
    num_shadows: int,
    shape: tuple[int, int],
    names: Sequence[str],
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray] | None:
    given = [ending for ending in SUFFIX.values() if f"population_{ending}" in arrays]
    if not given and "population_labels" not in arrays:
        return None
    name = f"population_{SUFFIX[kind]}"
    if name not in arrays or ("population_labels" not in arrays and kind != "losses"):
        raise RequestError(f"{name} and population_labels must be there together, of the same kind as the target's")
    outputs, classes = tidy_outputs(name, arrays[name], kind, 3, notes), shape[1]
    if outputs.shape[0] != num_shadows + 1 or outputs.shape[2] != classes:
        raise RequestError(
            f"{name} has shape {outputs.shape}, it must be ({num_shadows + 1}, Z, {classes}): shadows, then the target"
        )
    if kind == "losses":
        return outputs, np.zeros(outputs.shape[1], np.int32)
    count = outputs.shape[1]
    own = [as_array(one, arrays[one]) for one in ("labels", "population_labels")]
    are_texts = [one.dtype.kind in "US" for one in own]
    if [one.shape for one in own] == [(shape[0],), (count,)] and are_texts[0] == are_texts[1]:
        # Both by one rule: whether numbers count from 1, or are names, is seen of all of them.
        both = np.concatenate(own)
        labels, _ = tidy_labels("labels with population_labels", both, len(both), classes, names, [])
        labels = labels[shape[0] :]
    else:
        labels, _ = tidy_labels("population_labels", own[1], count, classes, names, notes)
    return outputs, labels


def _without_complements(
    member: np.ndarray, shadows: np.ndarray, membership: np.ndarray, population: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray] | None, list[str]]:
    """Leave out shadows that are the target's complement: who is in them tells who is not in the target."""
    is_opposite = _tell_all(np.stack([member, *membership]))[0, 1:]
    if not is_opposite.any():
        return shadows, membership, population, []
    if is_opposite.all():
        line = "every shadow trained on exactly what the target did not: who is in them gives the target's members away"
        return shadows, membership, population, [line]
    kept = np.flatnonzero(~is_opposite)
    if population is not None:
        population = population[0][[*kept, len(shadows)]], population[1]
    line = (
        f"{int(is_opposite.sum())} shadow(s) left out: trained on exactly what the target was not, as its complement, "
        "or on the very same records"
    )
    return shadows[kept], membership[kept], population, [line]


def _tell_all(member: Int8[np.ndarray, "M N"]) -> Bool[np.ndarray, "M M"]:
    """Return which models give another's membership away; opposites of only a few records as well."""
    found, complements = find_partners(member), find_complements(member)
    some = np.flatnonzero(complements >= 0)
    found[some, complements[some]] = True
    return found


def _uncovered(signals: Signals) -> list[str]:
    """Return a line that counts the records that not all attacks can judge, where others can be."""
    membership = signals.shadow_membership[:, signals.candidates]
    has_in, has_out = (membership == IN).any(axis=0), (membership == OUT).any(axis=0)
    lacking = int((~(has_in & has_out)).sum())
    if not (has_in & has_out).any() or not lacking:
        return []
    line = (
        f"{lacking:,} of {len(has_in):,} records have no shadow trained with them, or none without: attacks that need "
        "both leave them out; mia plan draws halves in pairs, so that none is lost"
    )
    return [line]


class Turns(Sequence[AttackTask]):
    """Every model as the target in turn, the others as its shadows, but for its complement; made when asked for."""

    def __init__(self, outputs: np.ndarray, member: np.ndarray, labels: np.ndarray, kind: str, beside: Beside) -> None:
        self.outputs, self.member, self.labels, self.kind, self.beside = outputs, member, labels, kind, beside
        self.tell_all = _tell_all(member)
        self.targets = [
            model for model in range(len(member)) if (member[model] == IN).any() and (member[model] == OUT).any()
        ]

        self.order = [*self.targets[:1], *(model for model in range(len(member)) if model not in self.targets[:1])]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: Any) -> Any:
        target = self.targets[position]
        shadows = [model for model in range(len(self.member)) if model != target and not self.tell_all[target, model]]
        rows = [self.order.index(model) for model in (target, *shadows)]
        signals = for_target(self._all, self._signals(target, shadows), rows)
        return self.beside.task(signals, self.member[target], target)

    @cached_property
    def _all(self) -> Signals:
        """All models together, in `order`, which what attacks share is worked out of once."""
        return self._signals(self.order[0], self.order[1:])

    def _signals(self, target: int, shadows: list[int]) -> Signals:
        return make_signals(
            self.outputs[target],
            self.outputs[shadows],
            self.member[target],
            self.member[shadows],
            kind=self.kind,
            labels=self.labels,
        )


def _all_in_turn(arrays: Mapping[str, Any]) -> Audit:
    notes: list[str] = []
    kind = kind_of(arrays, "")
    outputs = tidy_outputs(SUFFIX[kind], arrays[SUFFIX[kind]], kind, 3, notes)
    if len(outputs) < 2:
        raise RequestError(
            f"{SUFFIX[kind]} holds {len(outputs)} models; each in turn is attacked with the others: at least 2"
        )
    member = tidy_member("member", arrays["member"], outputs.shape[:2])
    labels, names = _labels(arrays, kind, outputs.shape[1:], notes)
    turns = Turns(outputs, member, labels, kind, read_beside(arrays, outputs.shape[1]))
    if not len(turns):
        raise RequestError("member holds no model with both 1 and 0: there is nothing to evaluate")
    pairs = int(turns.tell_all.any(axis=1).sum())
    one_sided = len(outputs) - len(turns)
    no_turn = (
        [f"{one_sided} of {len(outputs)} models have no 1, or no 0, in member: never the target"] if one_sided else []
    )
    left_out = [f"{pairs} of {len(outputs)} models have a complement: never among their shadows"] if pairs else []
    return Audit(turns, names, tuple(dict.fromkeys([*notes, *no_turn, *left_out, *_uncovered(turns[0].signals)])))
