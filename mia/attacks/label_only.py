"""Label-only attack: members keep their predicted label when they are changed a little (Choquette-Choo et al. 2021).

Takes signals with an oracle; gives, per record, the share of changed copies that are still classified correctly. Uses
nothing of an answer but its highest class, so that no output defence that keeps the label can help.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.attacks.augmented_queries import Noise, check_shift, picture_view, picture_views
from mia.attacks.placebo import placebo_model
from mia.attacks.spec import attack
from mia.attacks.statistics import is_correct
from mia.attacks.thresholds import learn_thresholds
from mia.checks import at_least, positive
from mia.records import IN, OUT, Scores, Signals, StandIn

CHUNK = 4096
"""Records changed and asked about at a time."""

Records = Shaped[np.ndarray, "B *features"]


@dataclass
class LabelOnlyOptions:
    """Robustness of the predicted label to noise, flips and shifts (Choquette-Choo et al. 2021)."""

    queries: int = 20  # questions per record and model, the record itself among them
    noise: float = 0.1  # deviation of the noise in units of a feature's own; for bits, the share flipped
    shift: int = 1  # pixels that pictures move by
    stand_ins: int = 2  # shadows that are asked too, so that a threshold can be learnt

    def __post_init__(self) -> None:
        at_least("attack.label_only.queries", self.queries, 2)
        positive("attack.label_only.noise", self.noise)
        at_least("attack.label_only.shift", self.shift, 1)
        at_least("attack.label_only.stand_ins", self.stand_ins, 0)


@attack(
    "label_only",
    options=LabelOnlyOptions,
    needs=("oracle", "classes"),
    citation="Choquette-Choo, Tramer, Carlini, Papernot: Label-only membership inference attacks, ICML 2021",
    label="label only",
)
def label_only(
    signals: Signals, options: LabelOnlyOptions, seed: int, progress: Callable[[int, int], None] | None = None
) -> Scores:
    """Score by the share of correct answers among `queries`, the record itself and changed copies of it.

    Of pictures, up to half of the copies are mirrored and shifted; the others, and all copies of tables, carry noise
    that grows evenly up to `noise`.
    """
    assert signals.oracle is not None, "it was checked that there is one"
    asked = signals.candidates
    noise = Noise.like(signals.oracle.features())
    owns = [_own(signals, row) for row in range(1, min(options.stand_ins, signals.num_shadows) + 1)]
    other = placebo_model(signals)  # one model more to ask
    steps, done = 1 + len(owns) + (other is not None), 0

    def robustness(model: int, records: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        nonlocal done
        found = _robustness(signals, model, records, _Changes(options, noise, seed))
        done += 1
        if progress is not None:
            progress(done, steps)
        return found

    score = robustness(0, asked)
    placebo = None if other is None else robustness(other + 1, asked)
    asked_of = [(robustness(row, own), is_member, own) for row, (own, is_member) in enumerate(owns, start=1)]
    thresholds = known = None
    if asked_of:
        scores, membership, records = (np.concatenate(parts) for parts in zip(*asked_of, strict=True))
        models = np.concatenate([np.full(len(own), row) for row, (own, _) in enumerate(owns, start=1)])
        known = StandIn(scores, membership, signals.labels[records], model=models, record=records)
        thresholds = learn_thresholds(scores, membership, None, signals.num_classes)
    none = np.zeros(len(asked), np.int64)
    if thresholds is None or known is None:
        warning = "no shadow to learn a threshold from: no accuracy, precision or recall"
        return Scores(score, None, none, none, (warning,), placebo=placebo)
    is_predicted = thresholds.predict(score, signals.labels[asked])
    details = {"stand_ins": float(len(asked_of)), **thresholds.details()}
    known = replace(known, is_predicted=thresholds.predict(known.score, known.labels))
    return Scores(score, is_predicted, none, none, details=details, stand_in=known, placebo=placebo)


def _own(signals: Signals, row: int) -> tuple[Int[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Return the records of a shadow's own members and non-members, and which are members."""
    membership = signals.shadow_membership[row - 1]
    own = np.flatnonzero(signals.shadow_own[row - 1] & ((membership == IN) | (membership == OUT)))
    return own, membership[own] == IN


@dataclass(frozen=True)
class _Changes:
    """How records are changed: the same way for every model."""

    options: LabelOnlyOptions
    noise: Noise
    seed: int

    def copies(self, x: Records, start: int) -> Iterator[Records]:
        """Yield `queries` - 1 changed copies of a chunk of records."""
        options, generator = self.options, np.random.default_rng((self.seed, start))
        copies, views = options.queries - 1, []
        if x.ndim == 4:
            check_shift("label_only", x, options.shift)
            views = picture_views(options.shift)[1 : 1 + copies // 2]
        for view in views:
            yield picture_view(x, view)
        noisy = copies - len(views)
        for number in range(1, noisy + 1):
            yield self.noise.add(x, options.noise * number / noisy, generator)


def _robustness(
    signals: Signals, model: int, records: Int[np.ndarray, "n"], changes: _Changes
) -> Float[np.ndarray, "n"]:
    oracle = signals.oracle
    assert oracle is not None, "it was checked that there is one"
    plain = signals.target_outputs if model == 0 else signals.shadow_outputs[model - 1]
    labels = signals.labels[records]
    correct = is_correct(plain[records], labels).astype(np.int64)
    for start in range(0, len(records), CHUNK):
        part = slice(start, start + CHUNK)
        for changed in changes.copies(oracle.features(records[part]), start):
            correct[part] += is_correct(oracle.ask(model, changed), labels[part])
    return correct / changes.options.queries
