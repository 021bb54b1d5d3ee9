"""How a defence divides an owner's training records: those that gradients are taken of, held-out ones, reference ones.

Takes the members of one model, its seed and options; gives index arrays. Never looks at any other record.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mia.checks import RequestError
from mia.train.options import TrainOptions


@dataclass(frozen=True)
class Parts:
    """The members of one model, divided; the parts are disjoint and make up the whole."""

    trained_on: Int[np.ndarray, "n"]
    held_out: Int[np.ndarray, "h"]  # early stopping looks at them
    reference: Int[np.ndarray, "r"]  # the adversary compares with them
    distilled_on: Int[np.ndarray, "d"]  # the student learns the teacher's answers to them


def sizes(options: TrainOptions, num_members: int) -> tuple[int, int, int, int]:
    """Return the sizes of the parts, in the order of `Parts`.

    Raises:
        RequestError: a part that is asked for, or what is left to train on, would be empty.
    """
    shares = {
        "train.early_stopping.holdout": options.early_stopping.holdout,
        "train.adversarial.reference": options.adversarial.reference if options.adversarial.strength else 0.0,
        "train.distillation.reference": options.distillation.reference,
    }
    counts = [round(share * num_members) for share in shares.values()]
    for (key, share), count in zip(shares.items(), counts, strict=True):
        if share and not count:
            raise RequestError(f"{key}={share!r} of {num_members} training records is none; give a larger share")
    left = num_members - sum(counts)
    if left < 1:
        given = ", ".join(f"{key}={share!r}" for key, share in shares.items() if share)
        raise RequestError(f"{given} leave none of {num_members} records to train on; give smaller shares")
    return (left, *counts)  # type: ignore[return-value]


def divide(options: TrainOptions, members: Int[np.ndarray, "m"], seed: int) -> Parts:
    """Return the parts of one model's members, drawn by its seed; all members in their order where nothing is divided.

    Raises:
        RequestError: a part would be empty.
    """
    counts = sizes(options, len(members))
    if counts[0] == len(members):
        none = members[:0]
        return Parts(members, none, none, none)
    mixed = np.random.default_rng([int(seed), 1]).permutation(members)
    return Parts(*np.split(mixed, np.cumsum(counts)[:-1]))
