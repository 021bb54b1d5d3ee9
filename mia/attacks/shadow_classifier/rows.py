"""The rows that classifiers are fitted on: the shadows' answers for their own records, in and out.

Takes signals; gives rows per true class, or of all classes, in an order that records' and shadows' positions cannot
influence, cut to a stated number, and the fold of each row. Never looks at the target.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mia.attacks.options import ShadowClassifierOptions
from mia.attacks.shadow_classifier.features import make_features
from mia.attacks.shadow_classifier.order import Hasher, sort_shadows, tell_apart
from mia.records import IN, OUT, Signals


@dataclass(frozen=True)
class Rows:
    """Rows to fit a classifier on, in pseudo-random order: the first m are a sample of all."""

    features: Float[np.ndarray, "R F"]
    is_member: Bool[np.ndarray, "R"]  # of the shadow that gave the answer
    shadow: Int[np.ndarray, "R"]  # which that was

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

    def are_enough(self, num_folds: int) -> bool:
        """Whether every fold can have members and non-members."""
        members = int(self.is_member.sum())
        return min(members, len(self) - members) >= num_folds


class RowSource:
    """Gathers rows from signals, a class at a time, so that no more than that is copied."""

    def __init__(self, signals: Signals, options: ShadowClassifierOptions, seed: int) -> None:
        self._signals = signals
        self._options = options
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
        features = make_features(
            outputs[chosen],
            labels[chosen],
            self._options,
            is_probability=self._signals.is_probability,
            is_pooled=label is None,
        )
        return Rows(features, is_member[chosen], position[chosen])


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
