"""Who trained on what, and what that alone would tell: models that determine one another, and numbers of IN shadows.

Takes membership; gives pairs of models of which one must never be among the other's shadows, and membership in which
every record has equally many IN and equally many OUT shadows, where those numbers would otherwise tell who is a member.
Looks at no answer and never at the target's membership.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int, Int8

from mia.attacks.shared_statistics import shared_statistics
from mia.machine import one_blas_thread
from mia.records import IN, OUT, UNUSED, Signals
from mia.seeds import stage_generator

FEWEST_COMMON = 10
"""Records that two models must have in common before being opposites there says anything."""
FEWEST_ASKED = 20
"""Records in question with fewer of which nothing can be said about how their numbers of shadows scatter."""
CHUNK = 2**14
KEY, SAFE_KEY = "partners", "numbers of shadows tell nothing"

Membership = Int8[np.ndarray, "K N"]


def find_partners(membership: Int8[np.ndarray, "M N"]) -> Bool[np.ndarray, "M M"]:
    """Return which models determine one another's membership: complements, and models of the very same records.

    Were one the target and the other among its shadows, a member would have an OUT model (or an IN one) more than a
    non-member, whatever the models say. Compared are the records that some model was trained on and that are UNUSED for
    neither of the two. A model that was trained on none of the other's records, or on all of them, tells nothing: it is
    no partner, as the shadows of the disjoint protocol are none of the target.
    """
    agreement, common, num_in, num_out = (np.zeros((len(membership),) * 2, np.float32) for _ in range(4))
    with one_blas_thread():
        for start in range(0, membership.shape[1], CHUNK):  # float32 holds whole numbers to 2^24
            part = membership[:, start : start + CHUNK]
            is_in, is_used = part == IN, part != UNUSED
            is_trained_on = is_in.any(0)
            if is_used.all():  # each model alone says how many records there are of both
                num_in += is_in.sum(1, dtype=np.float32)[:, None]  # of the first model of a pair
                num_out += part.shape[1] - is_in.sum(1, dtype=np.float32)[:, None]
                common += np.count_nonzero(is_trained_on)
                sign = np.where(is_in[:, is_trained_on], np.float32(1), np.float32(-1))
            else:
                used = is_used.astype(np.float32)
                num_in += is_in.astype(np.float32) @ used.T
                num_out += (part == OUT).astype(np.float32) @ used.T
                used = used[:, is_trained_on]
                common += used @ used.T
                sign = np.where(is_in[:, is_trained_on], used, -used)
            agreement += sign @ sign.T
    varies = (num_in > 0) & (num_out > 0)
    are_partners = (np.abs(agreement) == common) & (common >= FEWEST_COMMON) & varies & varies.T
    np.fill_diagonal(are_partners, False)
    return are_partners


def partners(signals: Signals) -> Bool[np.ndarray, "K K"]:
    """Return the partners among the shadows of `signals`, found once.

    Two of the disjoint protocol look like complements, but saw no record in question: they are none.
    """
    if KEY not in signals.shared:
        has_seen = (signals.shadow_membership[:, signals.is_candidate] == IN).any(axis=1)
        signals.shared[KEY] = find_partners(signals.shadow_membership) & has_seen & has_seen[:, None]
    return signals.shared[KEY]


def with_equal_counts(signals: Signals, seed: int) -> tuple[Signals, tuple[str, ...]]:
    """Return signals whose numbers of shadows tell nothing, and a line for a person if some were left out.

    See `equal_counts`. Nothing is copied where nothing has to be left out.
    """
    if signals.num_shadows < 2 or not len(signals.candidates) or signals.shared.get(SAFE_KEY):
        return signals, ()
    generator = stage_generator(seed, "equal_counts")
    membership = equal_counts(signals.shadow_membership, signals.candidates, partners(signals), generator)
    left_out = np.count_nonzero(membership != signals.shadow_membership)
    if not left_out:
        signals.shared[SAFE_KEY] = True
        return signals, ()
    shared_statistics(signals)  # so that every attack finds them
    equal = replace(signals, shadow_membership=membership)
    equal.shared.update(signals.shared)
    line = (
        f"each record is in nearly the same number of models, so its number of IN shadows would tell who is a member: "
        f"{left_out / len(signals.candidates):.2g} of {signals.num_shadows} shadows per record are left out, drawn at "
        "random, so that all records have equally many"
    )
    return equal, (line,)


def equal_counts(
    membership: Membership,
    asked: Int[np.ndarray, "Q"],
    are_partners: Bool[np.ndarray, "K K"],
    generator: np.random.Generator,
) -> Membership:
    """Return the membership with some entries UNUSED, so that numbers of shadows tell nothing; often the very same.

    In a design that puts each record into a fixed number of models, the target among them, a member has one IN shadow
    less than a non-member. A random choice of equally many among them is distributed alike for both: given the answers,
    each choice of so many of the shadows is as likely. Records are compared with those that have as many shadows in all
    (an UNUSED entry says nothing of the target): their number of IN shadows becomes the smallest that occurs, and so
    does that of OUT shadows; but one in a hundred may have fewer yet, as long as it is not just one fewer, so that a
    few odd records do not take everyone's shadows.

    Which designs need it shows in the membership itself: shadows drawn independently of one another give numbers of IN
    shadows that scatter as coins do, a fixed number per record does not let them. Shadows in complementary pairs are
    left alone: a pair gives each record one IN and one OUT shadow, whoever the target is, and a design of pairs and one
    more shadow is balanced without the target. So are independent shadows, of which all are used.

    Args:
        membership: Of shadows; rows that are UNUSED throughout are not there.
        asked: Records in question; the others stay as they are.
        are_partners: Which shadows determine one another.
        generator: Draws who is left out.
    """
    is_there = (membership != UNUSED).any(1)
    rows = np.flatnonzero(is_there & ~_in_pairs(membership, asked, are_partners & is_there & is_there[:, None]))
    part = membership[np.ix_(rows, asked)]
    num_in, num_used = np.count_nonzero(part == IN, axis=0), np.count_nonzero(part != UNUSED, axis=0)
    if len(rows) < 2 or len(asked) < FEWEST_ASKED or not _is_balanced(num_in, num_used):
        return membership
    excess = {
        IN: num_in - _fewest(num_in, num_used),
        OUT: num_used - num_in - _fewest(num_used - num_in, num_used),
    }
    for kind, more in excess.items():
        _leave_out(part, kind, more, generator)
    equal = membership.copy()
    equal[np.ix_(rows, asked)] = part
    return equal


def _in_pairs(
    membership: Membership, asked: Int[np.ndarray, "Q"], are_partners: Bool[np.ndarray, "K K"]
) -> Bool[np.ndarray, "K"]:
    """Return which shadows have a complement that is IN wherever they are OUT, and the other way round."""
    found = np.zeros(len(membership), bool)
    for one, other in np.argwhere(np.triu(are_partners)):
        both = membership[one, asked], membership[other, asked]
        if not np.any((both[0] == both[1]) & (both[0] != UNUSED)):
            found[[one, other]] = True
    return found


def _is_balanced(num_in: Int[np.ndarray, "Q"], num_used: Int[np.ndarray, "Q"]) -> bool:
    """Tell whether numbers of IN shadows scatter less than independent membership lets them.

    Their variance over that of coins is 1 for independent shadows, give or take the square root of 2 / Q, and 1 / K or
    less where each record is in a fixed number of models.
    """
    total = num_used.sum()
    share = num_in.sum() / max(total, 1)
    if not 0 < share < 1:
        return False
    ratio = np.square(num_in - share * num_used).sum() / (share * (1 - share) * total)
    surely_less = min(0.9, 1 - 4 * np.sqrt(2 / len(num_in)))
    return bool(ratio <= max(surely_less, 1.2 * len(num_used) / total))


def _fewest(count: Int[np.ndarray, "Q"], num_used: Int[np.ndarray, "Q"]) -> Int[np.ndarray, "Q"]:
    """Return how many each record may keep."""
    fewest = np.empty_like(count)
    for stratum in np.unique(num_used):
        mine = num_used == stratum
        counts = np.sort(count[mine])
        low = min(counts[len(counts) // 100], counts[len(counts) // 2] - 1)
        fewest[mine] = np.minimum(count[mine], max(low, counts[0]))
    return fewest


def _leave_out(
    part: Int8[np.ndarray, "k Q"], kind: int, excess: Int[np.ndarray, "Q"], generator: np.random.Generator
) -> None:
    """Make `excess` of a kind UNUSED per record, each choice equally likely; one per record and round."""
    excess = excess.copy()
    while excess.any():
        for some in np.array_split(np.flatnonzero(excess), -(-np.count_nonzero(excess) // CHUNK)):
            rank = np.cumsum(part[:, some] == kind, axis=0, dtype=np.int32)
            chosen = generator.integers(1, rank[-1] + 1)
            part[np.argmax(rank >= chosen, axis=0), some] = UNUSED
        excess -= excess > 0
