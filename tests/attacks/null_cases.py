"""Models that learnt nothing, in any design and with any kind of answer: whoever finds members is wrong."""

import numpy as np
from designs import membership

from mia.attacks.design import find_partners
from mia.records import Signals

CLASSES = 3


def answers(kind, models, labels, generator):
    """Return what models say that know how hard a record is, but not who is a member; and whether in probabilities."""
    records = np.arange(len(labels))
    logits = generator.normal(size=(models, len(labels), CLASSES))
    logits[:, records, labels] += 1 + generator.normal(0, 1.5, len(labels))
    if kind == "logits":
        return logits.astype(np.float32), False
    p = np.exp(logits)
    p /= p.sum(-1, keepdims=True)
    match kind:
        case "constant":
            p = np.broadcast_to(p[:1, :1], p.shape).copy()
        case "uniform":
            p = np.full_like(p, 1 / CLASSES)
        case "alike":  # all models the same, records not
            p = np.broadcast_to(p[:1], p.shape).copy()
        case "label":
            p = np.eye(CLASSES)[p.argmax(-1)]
        case "votes":
            p = generator.multinomial(20, p) / 20
        case _:
            p = np.round(p, int(kind.removeprefix("digits")))
    return p, True


def question(member, outputs, is_probability, labels, target=0, unused=None) -> Signals:
    """Return the signals of one target, as experiments make them: its complement is not among the shadows."""
    membership = np.where(False if unused is None else unused, -1, member).astype(np.int8)
    membership[target] = member[target]
    tells_all = find_partners(membership)[target]
    shadows = [row for row in range(len(member)) if row != target and not tells_all[row]]
    return Signals(
        labels=labels,
        is_candidate=np.ones(len(labels), bool),
        target_outputs=outputs[target],
        shadow_outputs=outputs[shadows],
        shadow_membership=membership[shadows],
        shadow_own=membership[shadows] >= 0,
        is_probability=is_probability,
    )


def null_case(seed, design, kind, models, target=0, records=400, unused=0.0):
    """Return signals and the target's membership."""
    generator = np.random.default_rng((seed, models, target))
    labels = generator.integers(0, CLASSES, records).astype(np.int32)
    member = membership(design, models, records, generator)
    outputs, is_probability = answers(kind, models, labels, generator)
    masked = generator.random(member.shape) < unused if unused else None
    return question(member, outputs, is_probability, labels, target, masked), member[target]


def area(score, is_member):
    """Return the AUC."""
    others = np.sort(score[~is_member])
    below, up_to = (np.searchsorted(others, score[is_member], side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(others))
