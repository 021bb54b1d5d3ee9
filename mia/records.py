"""What travels between the stages: data sets, splits, signals, scores, results.

Frozen dataclasses of NumPy arrays; each field's comment gives its axes and meaning. Takes no decisions, reads no files
and imports neither JAX nor scikit-learn.

Axes: N records, M models (the target and its K shadows), Q candidate records, C classes, E epochs, Z population
records.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, Int8, Shaped

UNUSED, OUT, IN = -1, 0, 1
"""Membership of a record in a model's training set; UNUSED: not to be used, or not evaluated."""


def array_digest(*arrays: np.ndarray) -> str:
    """Return a SHA-256 hex digest of the arrays' types, shapes and bytes, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class FeatureGroup:
    """Columns [start, stop) of a tabular data set that hold one feature: one bit, one number, or a one-hot category."""

    name: str
    kind: str  # "bit", "number", "category" or "pixel"
    start: int
    stop: int


@dataclass(frozen=True)
class ColumnSummary:
    """What was made of one column of a table: a row that people read before training, and that is stored."""

    name: str
    kind: str  # "number", "date", "bit", "category", "label", "group" or "left out"
    values: int  # different ones
    missing: int  # records without a value
    low: str = ""  # the range of numbers and dates, as text
    high: str = ""
    read_as: str = ""  # what was not plain: "amounts in €, decimal comma"

    @property
    def words(self) -> str:
        """One line for people: `wage: number, 1000 to 9000 (amounts in €, decimal comma), 3 missing`."""
        parts = [self.kind]
        if self.kind in ("category", "label"):
            parts[0] += f" of {self.values:,} values"
        if self.low:
            parts.append(f"{self.low} to {self.high}")
        if self.read_as:
            parts[-1] += f" ({self.read_as})"
        return f"{self.name}: {', '.join(parts)}" + (f", {self.missing:,} missing" if self.missing else "")


@dataclass(frozen=True)
class Dataset:
    """Records with their labels, as they lie in memory; a model sees `x * scale` as float32."""

    name: str
    x: Shaped[np.ndarray, "N *features"]  # uint8 or float32; images are [N height width channels]
    y: Int[np.ndarray, "N"]  # int32, 0 .. num_classes - 1
    num_classes: int
    scale: float = 1.0  # 1/255 for pixels; 1 for tables, whose bits must stay 0 and 1
    class_names: tuple[str, ...] = ()  # one per class, or empty
    features: tuple[FeatureGroup, ...] = ()  # the columns of a table; empty for images
    notes: tuple[str, ...] = ()  # what a person should read before believing results, one line each
    columns: tuple[ColumnSummary, ...] = ()  # what was made of each column of a table
    groups: Int[np.ndarray, "N"] | None = None  # whose record it is, int32 counted from 0; None: nobody said
    slices: Mapping[str, Shaped[np.ndarray, "N"]] = field(default_factory=dict)  # text, or float64 with NaN for missing

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that can change what a model learns from this data set (not of its name, notes or groups)."""
        return array_digest(self.x, self.y, np.array([self.num_classes]), np.array([self.scale]))

    @cached_property
    def first_copy(self) -> Int[np.ndarray, "N"]:
        """Position of the first record with the same features and label, for every record; its own where it is new."""
        firsts: dict[tuple[bytes, int], int] = {}
        first = np.empty(len(self.x), np.int64)
        rows = self.x.reshape(len(self.x), -1)
        width = rows.shape[1] * rows.itemsize
        at_once = max(1, (1 << 24) // max(1, width))
        for start in range(0, len(rows), at_once):
            block = rows[start : start + at_once]
            content = memoryview(
                (block + 0.0 if block.dtype.kind == "f" else block).tobytes()
            )  # -0 and 0 are one value
            for i, label in enumerate(self.y[start : start + at_once].tolist()):
                digest = hashlib.blake2b(content[i * width : (i + 1) * width], digest_size=16).digest()
                first[start + i] = firsts.setdefault((digest, label), start + i)
        return first

    def duplicates(self) -> int:
        """Return how many records are exact copies, features and label, of an earlier one."""
        return int((self.first_copy != np.arange(len(self.x))).sum())

    @property
    def is_image(self) -> bool:
        """Whether records are pictures, [height width channels]."""
        return self.x.ndim == 4


@dataclass(frozen=True)
class Split:
    """Which records each model trains on and which it is tested on: indices into a data set. Model 0 is the target."""

    protocol: str  # "disjoint", "pool" or "canary"
    members: Int[np.ndarray, "M n"]  # training records of each model, int32, sorted; -1: an empty place, last
    nonmembers: Int[np.ndarray, "M t"]  # records that the model never trains on; but for canaries as many
    num_records: int  # of the data set
    canaries: Int[np.ndarray, "c"] | None = None  # sorted: those whose membership is a coin, and in question

    @property
    def num_models(self) -> int:
        """The target and its shadows."""
        return len(self.members)

    def members_of(self, model: int) -> Int[np.ndarray, "n"]:
        """Return the training records of a model, without its empty places."""
        members = self.members[model]
        return members[members >= 0]

    def judged(self, model: int) -> Int[np.ndarray, "q"]:
        """Return the records whose membership in a model is asked: its members and non-members, or the canaries."""
        return np.concatenate([self.members[model], self.nonmembers[model]]) if self.canaries is None else self.canaries


class Oracle(Protocol):
    """Answers further queries to the models, for attacks that need more than one answer per record."""

    def features(self, records: Int[np.ndarray, "B"] | None = None) -> Shaped[np.ndarray, "B *features"]:
        """Return the features, as they lie in the data set, of records of the signals (None: of the candidates)."""
        ...

    def ask(self, model: int, x: Shaped[np.ndarray, "B *features"]) -> Float[np.ndarray, "B C"]:
        """Return what a model (0: the target, k: shadow k, counted from 1) says of `x`, in the form of the signals."""
        ...


class Features(Protocol):
    """Fetches the records themselves, as they lie in the data set, when an attack asks for them."""

    def of_records(self, records: Int[np.ndarray, "B"]) -> Shaped[np.ndarray, "B *features"]:
        """Return records of the signals, given as positions along their record axis."""
        ...

    def of_population(self) -> Shaped[np.ndarray, "Z *features"]:
        """Return the records of the population, in its order."""
        ...


@dataclass(frozen=True)
class LastLayer:
    """The last dense layer of a model, logits = inputs @ kernel + bias, and what it takes of some records."""

    inputs: Float[np.ndarray, "B D"]
    kernel: Float[np.ndarray, "D C"]
    bias: Float[np.ndarray, "C"]


class Models(Protocol):
    """Looks into the models, for whoever holds them: the owner all, an attacker the shadows.

    Models are counted as by `Oracle`; no output defence stands before what is seen here.
    """

    def gradient_norms(
        self, model: int, x: Shaped[np.ndarray, "B *features"], labels: Int[np.ndarray, "B"]
    ) -> Float[np.ndarray, "B"]:
        """Return the norm of the gradient of each record's cross-entropy, by all of a model's parameters."""
        ...

    def last_layer(self, model: int, x: Shaped[np.ndarray, "B *features"]) -> LastLayer:
        """Return a model's last layer and what it takes of the records."""
        ...


@dataclass(frozen=True)
class Signals:
    """All that an attack may see. The target's membership is not in here, so that no attack can use it.

    Outputs are logits, or probabilities where `is_probability` (an output defence or an audit file made them). Where
    only losses are known there is one class, and the output is minus the loss; without answers there is none.
    """

    labels: Int[np.ndarray, "N"]
    is_candidate: Bool[np.ndarray, "N"]  # records whose membership in the target is asked
    target_outputs: Float[np.ndarray, "N C"]
    shadow_outputs: Float[np.ndarray, "K N C"]  # K may be 0
    shadow_membership: Int8[np.ndarray, "K N"]  # 1 in, 0 out, -1 not to be used
    shadow_own: Bool[np.ndarray, "K N"]  # the balanced in and out sets an attack model may be fitted on
    is_probability: bool = False
    population_outputs: Float[np.ndarray, "M Z C"] | None = None  # the target is the last row
    population_labels: Int[np.ndarray, "Z"] | None = None
    oracle: Oracle | None = None
    trace: Float[np.ndarray, "E Q"] | None = None  # the target's cross-entropy on the candidates after each epoch
    features: Features | None = None  # the records themselves; None where a file holds predictions alone
    models: Models | None = None  # None where they are not at hand, or of a kind that cannot be looked into
    # what attacks worked out of the fields above and share; a changed copy starts with nothing
    shared: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def num_shadows(self) -> int:
        """K."""
        return len(self.shadow_outputs)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.target_outputs.shape[-1]

    @cached_property
    def candidates(self) -> Int[np.ndarray, "Q"]:
        """Positions of the candidate records along the record axis."""
        return np.flatnonzero(self.is_candidate)


@dataclass(frozen=True)
class AttackTask:
    """One target to attack: what the attacker sees, and the truth to judge by."""

    signals: Signals
    index: Shaped[np.ndarray, "Q"]  # candidate records: positions in the data set, or what an audit's file calls them
    is_member: Bool[np.ndarray, "Q"]
    target: int = 0  # which model it is, for the seeds of its own
    groups: Shaped[np.ndarray, "Q"] | None = None  # whose record each is; None: each its own
    slices: Mapping[str, Shaped[np.ndarray, "Q"]] = field(default_factory=dict)  # values to tell records apart by
    is_independent: bool | Bool[np.ndarray, "Q"] = False  # members, or these records, were drawn by fair coins


@dataclass(frozen=True)
class StandIn:
    """The same attack on shadows in the target's place, whose members are known: what thresholds are learnt from."""

    score: Float[np.ndarray, "S"]  # of the shadows' own records, one shadow after another
    is_member: Bool[np.ndarray, "S"]
    labels: Int[np.ndarray, "S"]
    is_predicted: Bool[np.ndarray, "S"] | None = None  # by the rule that the target's records are predicted by
    model: Int[np.ndarray, "S"] | None = None  # which shadow, counted from 1; None: not told
    record: Int[np.ndarray, "S"] | None = None  # position along the signals' record axis; None: not told


@dataclass(frozen=True)
class Scores:
    """What an attack says about the candidate records, in their order. High = member; NaN = could not be scored."""

    score: Float[np.ndarray, "Q"]
    is_predicted: Bool[np.ndarray, "Q"] | None  # predicted member, by a rule learnt without the target's membership
    num_in: Int[np.ndarray, "Q"]  # IN models behind each score
    num_out: Int[np.ndarray, "Q"]  # OUT models behind each score
    warnings: tuple[str, ...] = ()  # one line each, for a person
    details: Mapping[str, str | float] = field(default_factory=dict)  # what was chosen: thresholds, C and gamma ...
    stand_in: StandIn | None = None  # None: there was no shadow to learn from, or the attack has none
    placebo: Float[np.ndarray, "Q"] | None = None  # the same attack on answers that cannot know the target's members


CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
"""Curves that every model has, by their fields in `Curves`."""


@dataclass(frozen=True)
class Curves:
    """Learning curves of every model."""

    train_loss: Float[np.ndarray, "M E"]
    train_accuracy: Float[np.ndarray, "M E"]  # running mean over each epoch
    test_loss: Float[np.ndarray, "M E"]
    test_accuracy: Float[np.ndarray, "M E"]
    loss_auc: Float[np.ndarray, "E"] | None = None  # of the target's losses, before any output defence; None: not kept


@dataclass(frozen=True)
class Result:
    """Everything an experiment found out, ready to be stored and drawn."""

    metrics: Mapping[str, float]  # flat contract names
    index: Shaped[np.ndarray, "Q"]  # candidate records: positions in the data set, or what an audit's file calls them
    is_member: Bool[np.ndarray, "Q"]
    labels: Int[np.ndarray, "Q"]
    confidence: Float[np.ndarray, "Q"]  # the target's probability of the true class, as the attacker sees it; or NaN
    scores: Mapping[str, Scores]  # by attack name
    per_class: Sequence[Mapping[str, str | float]]  # table rows: attack, class, metric values with intervals
    curves: Curves | None  # None for audits
    shadow_accuracy: Float[np.ndarray, "K 2"] | None  # final train and test accuracy of each shadow
    class_names: tuple[str, ...]
    warnings: tuple[str, ...]
    growth: Sequence[Mapping[str, str | float]] = ()  # table rows: attack, shadows, and metrics with only so many
    pools: tuple[str, ...] = ()  # fingerprints of the pools that hold the models; empty for audits
    slices: Sequence[Mapping[str, str | float]] = ()  # table rows: attack, slice, value, and what it finds there
    num_shadows: int = 0  # shadow models whose answers were there

    def with_metrics(self, metrics: Mapping[str, float]) -> "Result":
        """Return the same result with further metrics."""
        return replace(self, metrics={**self.metrics, **metrics})


@dataclass(frozen=True)
class StoredRun:
    """A run read back from the tracking store."""

    id: str
    name: str
    status: str  # FINISHED, FAILED, KILLED or RUNNING
    started: float  # seconds since 1970
    params: Mapping[str, str]  # flat config keys, such as split.size
    metrics: Mapping[str, float]  # last values
    tags: Mapping[str, str]
    artifacts: str  # a local folder, or a URI the store can fetch from
    ended: float = 0.0  # seconds since 1970; 0 as long as it goes on
