"""Splits: for every model the records it trains on and as many it never sees.

Takes the number of records, the options and the root seed; gives a `Split` of indices, checked before it is returned.
Never copies a record.

Guarantees:
- every model has `size` members and `size` non-members, each without repeats, and the two are disjoint;
- `disjoint` (Shokri et al. 2017, section V): no shadow uses any of the target's 2 x size records; shadows draw
  independently of one another and may overlap;
- `disjoint` with `overlap`: that guarantee alone is given up. Shadows draw from all records, uniformly and without
  regard to who is the target's member: drawing first from what the target leaves would make its non-members commoner
  among the shadows' non-members, and so tell the attacker who they are;
- `pool` (Carlini et al. 2022, section V): every model trains on a random half of the same 2 x size records; shadows
  2j-1 and 2j are each other's complement, so every record is IN for exactly half of an even number of shadows;
- `canary`: each canary is in each model by its own fair coin, all other training records are in every model, and as
  many further ones, if there are so many, are in none. Every model has `size` places; that of a canary that is out
  stays empty, so that models differ by added and removed records alone, which is what a guarantee of differential
  privacy speaks of. Were another record to take its place, it would be of exchanged ones;
- model k's records depend on the seed, the protocol, the size and k alone: adding shadows changes none of the others.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from mia.checks import RequestError, at_least, one_of
from mia.records import Dataset, Split
from mia.seeds import stage_generator

PROTOCOLS = ("disjoint", "pool", "canary")
CANARIES = 1000
"""Canaries unless a number is given: as many as published one-run audits take."""
EMPTY = -1
"""A place among the training records that nobody takes."""
MOST_SHADOWS = 100_000
"""Far more than anybody trains: the split of more would take longer than a person waits for a dry run."""
Indices = Int[np.ndarray, "_"]


@dataclass
class SplitOptions:
    """The protocol, the number of training records of every model, and the number of models."""

    protocol: str = "disjoint"
    size: int = 300
    num_shadows: int = 10
    num_targets: int = 1
    overlap: bool = False  # disjoint only: shadows draw from all records, the target's among them
    canaries: int | None = None  # canary only: records whose membership is a coin; null: 1,000, or half of the records
    mislabel: bool = False  # canary only: canaries have wrong labels, which a model must learn by heart

    def __post_init__(self) -> None:
        one_of("split.protocol", self.protocol, PROTOCOLS)
        at_least("split.size", self.size, 1)
        at_least("split.num_shadows", self.num_shadows, 0 if self.protocol == "canary" else 1)
        if self.num_shadows > MOST_SHADOWS:
            raise RequestError(f"split.num_shadows={self.num_shadows} must be at most {MOST_SHADOWS}")
        at_least("split.num_targets", self.num_targets, 1)
        if self.overlap and self.protocol != "disjoint":
            raise RequestError(
                f"split.overlap=true needs split.protocol=disjoint: under {self.protocol} models share records anyway"
            )
        if self.num_targets > 1 and self.protocol != "pool":
            raise RequestError(
                f"split.num_targets={self.num_targets} needs split.protocol=pool, where any model can be the target"
            )
        if self.canaries is not None:
            at_least("split.canaries", self.canaries, 1)
            if self.protocol != "canary":
                raise RequestError(f"split.canaries={self.canaries!r} needs split=canary")
        if self.mislabel and self.protocol != "canary":
            raise RequestError("split.mislabel=true needs split=canary: it gives canaries wrong labels")
        if self.num_targets > max(self.num_shadows, 1):
            raise RequestError(
                f"split.num_targets={self.num_targets} must be at most split.num_shadows={self.num_shadows}: "
                "every target is attacked with all other models of the pool"
            )


def make_split(
    options: SplitOptions,
    num_records: int,
    seed: int,
    *,
    shadow_records: Indices | None = None,
    groups: Indices | None = None,
) -> Split:
    """Return the split of a data set of `num_records` records.

    Args:
        options: Protocol, size and number of shadows.
        num_records: Records of the data set.
        seed: The root seed.
        shadow_records: The attacker's own records, where shadows draw from instead of from those that the target
            leaves; the target uses none of them (`disjoint` only).
        groups: Whose record each is [num_records]: a group's records are all members of a model, all non-members of
            it, or all unknown to it.

    Raises:
        RequestError: the data set has too few records, where the message says the largest size that fits; or whole
            groups do not add up to the size.
    """
    if options.protocol == "canary":
        return _canary_split(options, num_records, seed, groups)
    _check_size(options, num_records, shadow_records)
    halves = _pool_halves if options.protocol == "pool" else _disjoint_halves
    if groups is not None and len(groups) < num_records:  # the attacker's own records belong to nobody
        groups = np.concatenate([groups, groups.max() + 1 + np.arange(num_records - len(groups))])
    members, nonmembers = halves(options, num_records, seed, shadow_records, groups)
    split = Split(options.protocol, members.astype(np.int32), nonmembers.astype(np.int32), num_records)
    check_split(split, options.size, may_overlap=options.overlap)
    return split


def relaxed_rules(options: SplitOptions, split: Split) -> tuple[str, ...]:
    """Return what the split does not guarantee although the protocol does, one line each, for a person."""
    if not options.overlap:
        return ()
    target = np.concatenate([split.members[0], split.nonmembers[0]])
    shared = np.isin(np.stack([split.members[1:], split.nonmembers[1:]]), target).mean()
    line = (
        "split.overlap=true relaxes the rule that shadows never use the target's records: of each shadow's "
        f"{2 * options.size:,} records {shared:.0%} on average are among the target's {2 * options.size:,}, whether "
        "the target trained on them or not"
    )
    return (line,)


def check_split(split: Split, size: int, *, may_overlap: bool = False) -> None:
    """Assert the guarantees of the module docstring."""
    for members, nonmembers in zip(split.members, split.nonmembers, strict=True):
        assert len(members) == len(nonmembers) == size, "every model has size members and size non-members"
        assert len(np.union1d(members, nonmembers)) == 2 * size, "members and non-members are distinct and disjoint"
    assert split.members.min() >= 0, "indices lie in the data set"
    assert max(split.members.max(), split.nonmembers.max()) < split.num_records, "indices lie in the data set"
    if split.protocol == "disjoint" and not may_overlap:
        target = np.concatenate([split.members[0], split.nonmembers[0]])
        shadows = np.concatenate([split.members[1:].ravel(), split.nonmembers[1:].ravel()])
        assert not np.isin(shadows, target).any(), "shadows never use the target's records"


def _check_size(options: SplitOptions, num_records: int, shadow_records: Indices | None) -> None:
    size, pool = options.size, options.protocol == "pool"
    if shadow_records is not None:
        assert not pool, "the attacker's own records need the disjoint protocol"
        assert not options.overlap, "the attacker's own records are never the target's"
        if len(shadow_records) < 2 * size:
            raise RequestError(
                f"split.size={size} needs {2 * size} records for the shadows, the attacker has {len(shadow_records)}"
            )
        num_records -= len(shadow_records)
    parts = 2 if pool or options.overlap or shadow_records is not None else 4
    if num_records < parts * size:
        fits = (
            "; split.overlap=true lets shadows draw from the target's records too, and needs 2 x size"
            if parts == 4 and num_records >= 2 * size
            else ""
        )
        raise RequestError(
            f"split.size={size} needs {parts} x size = {parts * size} records under split.protocol={options.protocol}, "
            f"the data set has {num_records}: at most split.size={num_records // parts}{fits}"
        )


def _halve(
    generator: np.random.Generator, records: Indices, size: int, groups: Indices | None = None
) -> tuple[Indices, Indices]:
    if groups is not None:
        first = draw_groups(generator, records, size, groups)
        return first, draw_groups(generator, np.setdiff1d(records, first), size, groups)
    drawn = generator.permutation(records)[: 2 * size]
    return np.sort(drawn[:size]), np.sort(drawn[size:])


def draw_groups(generator: np.random.Generator, records: Indices, size: int, groups: Indices) -> Indices:
    """Return `size` of the records, sorted, in whole groups of a random order.

    Groups are taken one after another as long as others are left that can fill what remains exactly: the last few are
    chosen for their sizes, all before them by chance alone.

    Raises:
        RequestError: no choice of whole groups has that size.
    """
    order = generator.permutation(np.unique(groups[records]))
    place = {group: number for number, group in enumerate(order.tolist())}
    number = np.array([place[group] for group in groups[records].tolist()])
    sizes = np.bincount(number, minlength=len(order))
    total = np.cumsum(sizes)
    slack = 4 * int(sizes.max(initial=0))  # what the last groups may have to make up for
    taken = int(np.searchsorted(total, max(size - slack, 0), side="right"))
    chosen = np.zeros(len(order), bool)
    chosen[:taken] = True
    rest = _exact_sum(sizes[taken:], size - int(total[taken - 1] if taken else 0))
    if rest is None:
        raise RequestError(
            f"split.size={size} cannot be made of whole groups of data.group: they have {sizes.min(initial=0)} to "
            f"{sizes.max(initial=0)} records; choose a size that they add up to, or fewer records"
        )
    chosen[taken + rest] = True
    return np.sort(records[chosen[number]])


def _exact_sum(sizes: np.ndarray, wanted: int) -> Indices | None:
    """Return positions whose sizes add up to `wanted`, the first ones that do; None where there are none."""
    reached: dict[int, list[int]] = {0: []}
    for position, one in enumerate(sizes.tolist()):
        if wanted in reached:
            break
        for total, chosen in sorted(reached.items(), reverse=True):
            if total + one <= wanted:
                reached.setdefault(total + one, [*chosen, position])
    return np.array(reached[wanted], np.int64) if wanted in reached else None


def _disjoint_halves(
    options: SplitOptions, num_records: int, seed: int, shadow_records: Indices | None, groups: Indices | None
) -> tuple[np.ndarray, np.ndarray]:
    own = np.arange(num_records) if shadow_records is None else np.setdiff1d(np.arange(num_records), shadow_records)
    target = _halve(stage_generator(seed, "split/target"), own, options.size, groups)
    left = own if options.overlap else np.setdiff1d(own, np.concatenate(target))
    rest = left if shadow_records is None else shadow_records
    shadows = [
        _halve(stage_generator(seed, "split/shadow", shadow), rest, options.size, groups)
        for shadow in range(1, options.num_shadows + 1)
    ]
    members, nonmembers = zip(target, *shadows, strict=True)
    return np.stack(members), np.stack(nonmembers)


def _canary_split(options: SplitOptions, num_records: int, seed: int, groups: Indices | None) -> Split:
    size = options.size
    count = min(CANARIES, max(size // 2, 1)) if options.canaries is None else options.canaries
    if groups is not None:
        raise RequestError("split=canary draws records one by one: leave data.group out, whose records stay together")
    if count > size:
        raise RequestError(f"split.canaries={count} must be at most split.size={size}: they are among so many records")
    if num_records <= size:
        raise RequestError(
            f"split.size={size} must be below {num_records}, the records that there are: some are kept for testing"
        )
    drawn = stage_generator(seed, "split/canary").permutation(num_records).astype(np.int32)
    canaries, always, others = np.sort(drawn[:count]), np.sort(drawn[count:size]), np.sort(drawn[size : 2 * size])
    models = range(options.num_shadows + 1)
    coins = [stage_generator(seed, "split/coins", model).integers(0, 2, count) == 1 for model in models]
    members = [np.concatenate([always, canaries[coin], np.full(count - coin.sum(), EMPTY, np.int32)]) for coin in coins]
    return Split("canary", np.stack(members), np.stack([others for _ in models]), num_records, canaries)


def mislabelled(data: Dataset, options: SplitOptions, split: Split, seed: int) -> Dataset:
    """Return the data set with wrong labels for the canaries, each equally likely, where that is asked for."""
    if not options.mislabel or split.canaries is None:
        return data
    y = data.y.copy()
    y[split.canaries] = wrong_classes(y[split.canaries], data.num_classes, seed)
    return replace(data, y=y)


def wrong_classes(labels: Int[np.ndarray, "c"], num_classes: int, seed: int) -> Int[np.ndarray, "c"]:
    """Return another class for each label, all others equally likely."""
    off = stage_generator(seed, "split/mislabel").integers(1, num_classes, len(labels))
    return ((labels + off) % num_classes).astype(labels.dtype)


def _pool_halves(
    options: SplitOptions, num_records: int, seed: int, _: Indices | None, groups: Indices | None
) -> tuple[np.ndarray, np.ndarray]:
    generator = stage_generator(seed, "split/pool")
    if groups is None:
        pool = np.sort(generator.permutation(num_records)[: 2 * options.size])
    else:
        pool = draw_groups(generator, np.arange(num_records), 2 * options.size, groups)
    halves = [_halve(stage_generator(seed, "split/target"), pool, options.size, groups)]
    for pair in range((options.num_shadows + 1) // 2):
        first, second = _halve(stage_generator(seed, "split/shadow", pair), pool, options.size, groups)
        halves += [(first, second), (second, first)]
    members, nonmembers = zip(*halves[: options.num_shadows + 1], strict=True)
    return np.stack(members), np.stack(nonmembers)
