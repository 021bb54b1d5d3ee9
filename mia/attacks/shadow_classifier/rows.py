"""The rows that classifiers are fitted on: the shadows' answers for their own records, in and out.

Takes signals; gives rows per true class, or of all classes, in an order that records' and shadows' positions cannot
influence, cut to a stated number, and the fold of each row; and the features of any answers: probabilities, the largest
few, or logits. Rows never influence one another.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.shadow_classifier import ShadowClassifierOptions
from mia.attacks.shadow_classifier.losses import Losses
from mia.attacks.shadow_classifier.stable_order import Hasher, sort_shadows, tell_apart
from mia.checks import RequestError
from mia.probabilities import softmax
from mia.records import IN, OUT, Signals

SMALLEST = 1e-12
"""What a probability of zero, which output defences make, counts as where its logarithm is wanted."""


@dataclass(frozen=True)
class Rows:
    """Rows to fit a classifier on, in pseudo-random order: the first m are a sample of all."""

    features: Float[np.ndarray, "R F"]
    is_member: Bool[np.ndarray, "R"]  # of the shadow that gave the answer
    shadow: Int[np.ndarray, "R"]  # which that was
    labels: Int[np.ndarray, "R"]  # true classes

    def __len__(self) -> int:
        return len(self.is_member)

    @property
    def num_in(self) -> int:
        """Shadows that gave member rows."""
        return len(np.unique(self.shadow[self.is_member]))

    @property
    def num_out(self) -> int:
        """Shadows that gave non-member rows."""
        return len(np.unique(self.shadow[~self.is_member]))


class RowSource:
    """Gathers rows from signals, a class at a time, so that no more than that is copied."""

    def __init__(self, signals: Signals, options: ShadowClassifierOptions, seed: int) -> None:
        self._signals = signals
        self._options = options
        self._losses = Losses(signals, seed) if options.has_losses else None
        self._hasher = Hasher(seed, signals.num_classes)
        self._shadows = sort_shadows(signals, self._hasher)
        self._is_own = signals.shadow_own[self._shadows] & np.isin(signals.shadow_membership[self._shadows], (IN, OUT))

    def gather(self, label: int | None, fewest_shadows: int) -> Rows:
        """Return the rows of one true class, or of all classes for None.

        With more than `max_rows`, only the first shadows (in their pseudo-random order) are used, as many as fit but
        no fewer than `fewest_shadows`; each then gives an equal share of its members and of its non-members.
        """
        records = (
            np.flatnonzero(self._signals.labels == label) if label is not None else np.arange(len(self._signals.labels))
        )
        is_own = self._is_own[:, records]
        limit = self._options.max_rows or is_own.size
        if is_own.sum() > limit:
            is_own = is_own[: _shadows_that_fit(is_own.sum(axis=1), limit, fewest_shadows)]
        position, column = np.nonzero(is_own)
        shadow, record = self._shadows[position], records[column]
        outputs = self._signals.shadow_outputs[shadow, record]
        labels = self._signals.labels[record]
        is_member = self._signals.shadow_membership[shadow, record] == IN
        keys = tell_apart(self._hasher.rows(outputs, labels, is_member))
        chosen = np.argsort(keys, kind="stable")
        if len(chosen) > limit:
            chosen = chosen[_equal_shares(position[chosen] * 2 + is_member[chosen], limit / len(chosen))]
        features = self._features(outputs[chosen], shadow[chosen] + 1, record[chosen], is_pooled=label is None)
        known = ~np.isnan(features).any(axis=1)
        kept = chosen[known]
        return Rows(features[known], is_member[kept], position[kept], labels[kept])

    def questions(self, place: Int[np.ndarray, "q"], *, is_pooled: bool, row: int = 0) -> Float[np.ndarray, "q F"]:
        """Return the features of a model's answers for some of the candidates; NaN where one cannot be had.

        Args:
            place: Of the records among the candidates.
            is_pooled: As for `make_features`.
            row: 0: the target; k: shadow k, counted from 1.
        """
        record = self._signals.candidates[place]
        outputs = self._signals.shadow_outputs[row - 1] if row else self._signals.target_outputs
        return self._features(outputs[record], np.full(len(record), row), record, is_pooled=is_pooled)

    def _features(
        self,
        outputs: Float[np.ndarray, "R C"],
        row: Int[np.ndarray, "R"],
        record: Int[np.ndarray, "R"],
        *,
        is_pooled: bool,
    ) -> Float[np.ndarray, "R F"]:
        return make_features(
            outputs,
            self._signals.labels[record],
            self._options,
            is_probability=self._signals.is_probability,
            is_pooled=is_pooled,
            losses=self._losses.of(row, record) if self._losses else None,
        )


def check_features(name: str, options: ShadowClassifierOptions, num_classes: int, num_shadows: int) -> None:
    """Check that the features exist.

    Raises:
        RequestError: more of the largest probabilities are wanted than there are classes, or a calibrated loss without
            a second shadow.
    """
    if "calibrated_loss" in options.kinds and num_shadows < 2:
        raise RequestError(
            f"attack.{name}.features=calibrated_loss needs 2 shadows or more, there is {num_shadows}: set features=loss"
        )
    if "top_k" in options.kinds and options.top_k > num_classes:
        raise RequestError(f"attack.{name}.top_k={options.top_k} must be at most {num_classes}, the number of classes")


def make_features(
    outputs: Float[np.ndarray, "R C"],
    labels: Int[np.ndarray, "R"],
    options: ShadowClassifierOptions,
    *,
    is_probability: bool,
    is_pooled: bool,
    losses: Float[np.ndarray, "R 2"] | None = None,
) -> Float[np.ndarray, "R F"]:
    """Return the features of R answers.

    Args:
        outputs: Logits, or probabilities.
        labels: True classes.
        options: Which features.
        is_probability: What the outputs are.
        is_pooled: Whether the classifier serves all classes: the true class's value then comes first, since such a
            classifier cannot know the class from anything else.
        losses: Plain and calibrated, where they are among the features.
    """
    given = np.asarray(outputs, np.float64)
    index = labels[:, None].astype(np.intp)
    blocks: list[Float[np.ndarray, "R f"]] = []
    for kind in options.kinds:
        if kind in ("loss", "calibrated_loss"):
            assert losses is not None, "losses that are features are given"
            column = int(kind == "calibrated_loss")
            blocks.append(losses[:, column : column + 1])
            continue
        if kind == "logits":
            values = np.log(np.maximum(given, SMALLEST)) if is_probability else given
        else:
            values = given if is_probability else softmax(given)
        of_true_class = np.take_along_axis(values, index, axis=1)
        if kind == "true_class" or is_pooled:
            blocks.append(of_true_class)
        if kind in ("top_k", "sorted"):
            blocks.append(-np.sort(-values, axis=1)[:, : options.top_k if kind == "top_k" else None])
        elif kind != "true_class":
            blocks.append(values)
    return np.ascontiguousarray(np.hstack(blocks))


def assign_folds(rows: Rows, num_folds: int) -> Int[np.ndarray, "R"]:
    """Return the fold of each row: no shadow is in two folds.

    Only where a single shadow gave all rows, its rows are split, members and non-members evenly.
    """
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    num_shadows = len(np.unique(rows.shadow))
    if num_shadows > 1:
        parts = GroupKFold(min(num_folds, num_shadows)).split(rows.features, rows.is_member, rows.shadow)
    else:
        parts = StratifiedKFold(num_folds).split(rows.features, rows.is_member)
    fold = np.empty(len(rows), np.int64)
    for number, (_, held_out) in enumerate(parts):
        fold[held_out] = number
    return fold


def _shadows_that_fit(counts: Int[np.ndarray, "K"], limit: int, fewest: int) -> int:
    """Return how many of the first shadows give at most `limit` rows, at least `fewest` with rows."""
    fitting = int((np.cumsum(counts) <= limit).sum())
    with_rows = np.flatnonzero(counts)
    return max(fitting, int(with_rows[min(fewest, len(with_rows)) - 1]) + 1)


def _equal_shares(group: Int[np.ndarray, "R"], share: float) -> Int[np.ndarray, "S"]:
    """Return the positions of the first `share` of each group's rows, and of one at least, in order."""
    order = np.argsort(group, kind="stable")
    _, start, size = np.unique(group[order], return_index=True, return_counts=True)
    rank = np.arange(len(group)) - np.repeat(start, size)
    is_kept = rank < np.maximum(1, np.floor(share * np.repeat(size, size)))
    return np.sort(order[is_kept])
