"""Who trains on what: a plan for models that are trained elsewhere, in any framework.

Takes the number of records and of shadows, a protocol and a seed; gives `Plan`, a table of membership. Trains nothing,
copies no record. The same request gives the same plan on every machine.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Int8, Shaped

from mia.checks import RequestError, at_least, one_of
from mia.files import whole_file
from mia.machine import memory_bytes
from mia.records import IN, OUT, UNUSED
from mia.seeds import stage_generator
from mia.split import CANARIES, SplitOptions, make_split, wrong_classes

PROTOCOLS = ("pool", "disjoint", "canary")
BYTES_PER_RECORD = 16
"""What drawing a plan takes for each record, beside a byte for each record and model."""


@dataclass(frozen=True)
class Plan:
    """Who trains on what; model 0 is the target, 1 to K its shadows.

    Example:
        >>> plan = make_plan(1000, num_shadows=4)
        >>> plan.member.shape, plan.indices(0).shape
        ((5, 1000), (500,))
        >>> plan.complements.tolist()
        [-1, 2, 1, 4, 3]
    """

    member: Int8[np.ndarray, "M N"]  # 1 trained on, 0 not, -1 kept from the model and not to be used in judging it
    protocol: str = "pool"
    seed: int = 0
    canaries: Int[np.ndarray, "c"] | None = None  # the records whose membership is a coin; None: all
    labels: Shaped[np.ndarray, "N"] | None = None  # what to train with, wrong ones for canaries; None: the true ones

    @property
    def num_models(self) -> int:
        """The target and its shadows."""
        return len(self.member)

    @property
    def num_records(self) -> int:
        """N."""
        return self.member.shape[1]

    @property
    def complements(self) -> Int[np.ndarray, "M"]:
        """For each model the one that trains on exactly the other records, or -1."""
        return find_complements(self.member)

    @property
    def evaluated(self) -> Int8[np.ndarray, "M N"]:
        """Membership as an audit takes it: -1 where a record's membership is no question."""
        if self.canaries is None:
            return self.member
        is_canary = np.isin(np.arange(self.num_records), self.canaries)
        return np.where(is_canary, self.member, UNUSED).astype(np.int8)

    def indices(self, model: int) -> Int[np.ndarray, "n"]:
        """Return the records that a model trains on, ascending.

        Raises:
            RequestError: no such model.
        """
        if not 0 <= model < self.num_models:
            raise RequestError(f"model={model!r} is none of the plan's: 0, the target, to {self.num_models - 1}")
        return np.flatnonzero(self.member[model] == IN)

    def save(self, path: str | Path) -> Path:
        """Write the plan to an .npz file, whole or not at all, and return its path."""
        path = Path(path)
        beside = {"canaries": self.canaries, "labels": self.labels}
        known = {name: values for name, values in beside.items() if values is not None}
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file, allow_pickle=False, member=self.member, protocol=np.array(self.protocol),
                seed=np.array(self.seed), **known,
            )  # fmt: skip
        return path

    def __repr__(self) -> str:
        sizes = np.count_nonzero(self.member == IN, axis=1)
        size = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
        wrong = "" if self.labels is None else "; wrong labels for canaries in .labels"
        return (
            f"Plan({self.protocol}: a target and {self.num_models - 1} shadows, each trained on {size} of "
            f"{self.num_records:,} records{wrong}; seed {self.seed})"
        )


def make_plan(
    num_records: int,
    num_shadows: int = 16,
    protocol: str = "pool",
    seed: int = 0,
    *,
    size: int | None = None,
    canaries: int | None = None,
    mislabel: bool = False,
    labels: Any = None,
) -> Plan:
    """Return who trains on what.

    Args:
        num_records: N, the records that there are.
        num_shadows: K; 0 is allowed for `canary`, whose audit needs none.
        protocol: `pool`: every model trains on a random half, shadows in complementary pairs (LiRA, RMIA).
            `disjoint`: target and shadows never share a record (Shokri et al. 2017). `canary`: each canary is in each
            model by its own fair coin, all other records always are (for bounds on epsilon).
        seed: Of all that is drawn.
        size: Training records of each model; None: as many as fit, half of the records in `pool`, a quarter in
            `disjoint`. Records beyond it are in no model.
        canaries: Number of canaries; None: 1,000, or half of the records where these are fewer than 2,000.
        mislabel: Whether canaries get wrong labels, each other class equally likely: they are learnt by heart or not at
            all, which audits best. Train with the plan's `.labels` then.
        labels: The true labels [N], numbers or text, where canaries get wrong ones.

    Raises:
        RequestError: too few records or shadows, or labels that do not go with the request.

    Example:
        >>> plan = make_plan(100, num_shadows=2, protocol="disjoint", seed=1)
        >>> (plan.member == 1).sum(axis=1).tolist()
        [25, 25, 25]
    """
    one_of("split.protocol", protocol, PROTOCOLS)
    at_least("records", num_records, 2 if protocol != "disjoint" else 4)
    at_least("split.num_shadows", num_shadows, 0 if protocol == "canary" else 1)
    at_least("seed", seed, 0)
    needed, there = num_records * (num_shadows + 1 + BYTES_PER_RECORD), memory_bytes()
    if needed > there:
        raise RequestError(
            f"records={num_records} with split.num_shadows={num_shadows} needs {needed / 1e9:,.0f} GB of memory, there "
            f"are {there / 1e9:,.0f}: give fewer"
        )
    if mislabel != (labels is not None):
        raise RequestError(
            "split.mislabel=true needs labels=, the true ones: other classes are drawn for the canaries"
            if mislabel
            else "labels= are for split.mislabel=true alone, which draws wrong ones for the canaries"
        )
    if protocol == "canary":
        plan = _canary_plan(num_records, num_shadows, seed, canaries)
        return _with_wrong_labels(plan, labels) if mislabel else plan
    if canaries is not None or mislabel:
        given = "mislabel=true" if canaries is None else f"canaries={canaries!r}"
        raise RequestError(f"split.{given} needs split=canary")
    if protocol == "pool" and size is None:
        return Plan(_halves(num_records, num_shadows, seed), protocol, seed)
    parts = 2 if protocol == "pool" else 4
    if size is not None and parts * size > num_records:
        raise RequestError(
            f"split.size={size} needs {parts} x size = {parts * size} records under split.protocol={protocol}, there "
            f"are records={num_records}: at most split.size={num_records // parts}"
        )
    split = make_split(
        SplitOptions(protocol, num_records // parts if size is None else size, num_shadows), num_records, seed
    )
    member = np.full((num_shadows + 1, num_records), UNUSED, np.int8)
    for model, (members, nonmembers) in enumerate(zip(split.members, split.nonmembers, strict=True)):
        member[model, members], member[model, nonmembers] = IN, OUT
    return Plan(member, protocol, seed)


def _halves(num_records: int, num_shadows: int, seed: int) -> Int8[np.ndarray, "M N"]:
    """Return membership in random halves of all records, drawn as `make_split` draws them; an odd one is OUT or IN."""
    member = np.zeros((num_shadows + 1, num_records), np.int8)
    streams = [("split/target", 0), *(("split/shadow", pair) for pair in range((num_shadows + 1) // 2))]
    for position, (stage, pair) in enumerate(streams):
        drawn = stage_generator(seed, stage, pair).permutation(num_records)[: num_records // 2]
        first = 2 * position - 1 if position else 0
        member[first, drawn] = IN
        if 0 < first < num_shadows:
            member[first + 1] = 1 - member[first]
    return member


def _canary_plan(num_records: int, num_shadows: int, seed: int, canaries: int | None) -> Plan:
    count = min(CANARIES, num_records // 2) if canaries is None else at_least("split.canaries", canaries, 1)
    if count > num_records:
        raise RequestError(f"split.canaries={count} must be at most records={num_records}")
    chosen = np.sort(stage_generator(seed, "plan/canaries").permutation(num_records)[:count])
    member = np.ones((num_shadows + 1, num_records), np.int8)
    for model in range(num_shadows + 1):
        member[model, chosen] = stage_generator(seed, "plan/coins", model).integers(0, 2, count)
    return Plan(member, "canary", seed, chosen)


def _with_wrong_labels(plan: Plan, given: Any) -> Plan:
    """Return the plan with the labels to train with: the true ones, but for its canaries."""
    labels = np.asarray(given)
    if labels.shape != (plan.num_records,) or labels.dtype.kind not in "biufUS":
        raise RequestError(
            f"labels has shape {labels.shape} and type {labels.dtype}; it must hold a number or a text for each of "
            f"{plan.num_records} records"
        )
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise RequestError(f"labels holds {len(classes)} class: there is no wrong label to give to canaries")
    assert plan.canaries is not None, "a canary plan has canaries"
    wrong = labels.copy()
    wrong[plan.canaries] = classes[wrong_classes(codes.reshape(-1)[plan.canaries], len(classes), plan.seed)]
    return replace(plan, labels=wrong)


def find_complements(member: Int8[np.ndarray, "M N"]) -> Int[np.ndarray, "M"]:
    """Return for each model the one that trained on exactly the other records, or -1.

    Of such a pair, one's membership gives away the other's.
    """
    place = {row.tobytes(): model for model, row in enumerate(member)}
    opposite = np.where(member == UNUSED, UNUSED, 1 - member).astype(np.int8)
    is_told = (member != UNUSED).any(axis=1)
    return np.array([place.get(row.tobytes(), -1) if told else -1 for row, told in zip(opposite, is_told, strict=True)])
