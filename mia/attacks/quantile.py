"""Quantile regression: how sure the target would be of a record, at most, had it not seen it (Bertran et al. 2023).

Takes signals and the records themselves; gives z less the 1 - alpha quantile of z that boosted trees foretell from the
record and its class, where z is the logit of the true class less the highest of the others. Fitted on records that the
target surely was not trained on; needs no shadow. Pictures are seen through a small network that is taught their
classes on these same records: the target's own would know its members. Never sees the target's membership.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.attacks.placebo import placebo_model
from mia.attacks.shared_statistics import floor_of
from mia.attacks.spec import attack
from mia.attacks.ties import settle
from mia.checks import RequestError, at_least, one_of
from mia.records import OUT, Scores, Signals

FEWEST = 50
"""Records to learn a quantile from."""
FOLDS = 5
"""Of the records that it is fitted on: each fifth is foretold by the others, to say where the threshold lies."""
WIDTH = 64  # of the small network's only hidden layer
NETWORK_EPOCHS = 20

PerRecord = Float[np.ndarray, "n"]
Inputs = Float[np.ndarray, "_ d"]


@dataclass
class QuantileOptions:
    """Margin above the quantile that the record's features foretell for non-members (Bertran et al. 2023)."""

    alpha: float = 0.05  # false-positive rate of its rule; scores are margins above the 1 - alpha quantile
    rounds: int = 100  # of boosting
    max_leaves: int = 15
    through: str = "auto"  # records: as they are; network: a small one's hidden layer; auto: that for pictures

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise RequestError(f"attack.quantile.alpha={self.alpha!r} must lie between 0 and 1, both excluded")
        at_least("attack.quantile.rounds", self.rounds, 1)
        at_least("attack.quantile.max_leaves", self.max_leaves, 2)
        one_of("attack.quantile.through", self.through, ("auto", "records", "network"))


@attack(
    "quantile",
    options=QuantileOptions,
    needs=("features", "classes", "known_nonmembers"),
    citation="Bertran, Tang, Kearns, Morgenstern, Roth, Wu: Scalable membership inference attacks via quantile "
    "regression, NeurIPS 2023",
)
def quantile(
    signals: Signals, options: QuantileOptions, seed: int, progress: Callable[[int, int], None] | None = None
) -> Scores:
    """Score by z less its foretold 1 - alpha quantile; a member is whoever is above it, by cross-fitting."""
    known, asked = _Known.of(signals), signals.candidates
    inputs_known, inputs_asked = _inputs(signals, known, options, seed)
    placebo, done = placebo_model(signals), 0
    steps = FOLDS + 1 + (placebo is not None)

    def fit(rows: Bool[np.ndarray, "n"] | slice, margins: PerRecord) -> Any:
        nonlocal done
        model = _fit(options, seed, inputs_known[rows], margins[rows])
        done += 1
        if progress is not None:
            progress(done, steps)
        return model

    def score(outputs: Float[np.ndarray, "n C"], model: Any) -> PerRecord:
        return settle(margin(outputs, signals.labels[asked], signals) - model.predict(inputs_asked))

    margins = known.margins(0)
    found = score(signals.target_outputs[asked], fit(slice(None), margins))
    fold = np.arange(len(margins)) % FOLDS
    above = np.concatenate([(margins - fit(fold != k, margins).predict(inputs_known))[fold == k] for k in range(FOLDS)])
    threshold = float(np.quantile(above, 1 - options.alpha))
    of_nobody = None
    if placebo is not None:
        unseen = known.is_unseen(placebo)
        if unseen.sum() >= FEWEST:
            of_nobody = score(signals.shadow_outputs[placebo, asked], fit(unseen, known.margins(placebo + 1)))
    none = np.zeros(len(asked), np.int64)
    details: dict[str, str | float] = {"known_nonmembers": float(len(margins)), "threshold": threshold}
    return Scores(found, found > threshold, none, none, details=details, placebo=of_nobody)


def margin(outputs: Float[np.ndarray, "n C"], labels: Int[np.ndarray, "n"], signals: Signals) -> PerRecord:
    """Return the logit of the true class less the highest of the others; of probabilities, their logarithms'."""
    logits = outputs.astype(np.float64)
    if signals.is_probability:
        logits = np.log(np.maximum(logits, floor_of(signals)))
    records = np.arange(len(labels))
    own = logits[records, labels]
    logits[records, labels] = -np.inf
    return own - logits.max(axis=1)


@dataclass(frozen=True)
class _Known:
    """The records that the target surely was not trained on, in an order made of what they hold."""

    signals: Signals
    records: Int[np.ndarray, "r"]  # of the signals: those not in question
    order: Int[np.ndarray, "n"]  # of those and the population behind them

    @classmethod
    def of(cls, signals: Signals) -> "_Known":
        from mia.attacks.shadow_classifier.stable_order import Hasher, tell_apart

        records = np.flatnonzero(~signals.is_candidate)
        plain = cls(signals, records, np.arange(len(records) + cls._population_size(signals)))
        if len(plain.order) < FEWEST:
            raise RequestError(
                f"attack=quantile needs {FEWEST} records that the target was surely not trained on, there are "
                f"{len(plain.order)}: choose a smaller split.size"
            )
        hasher = Hasher(0, signals.num_classes)
        keys = hasher.rows(plain.outputs(0), plain.labels, np.zeros(len(plain.order), np.int64))
        return cls(signals, records, np.argsort(tell_apart(keys), kind="stable"))

    @staticmethod
    def _population_size(signals: Signals) -> int:
        return 0 if signals.population_outputs is None else signals.population_outputs.shape[1]

    def outputs(self, row: int) -> Float[np.ndarray, "n C"]:
        """Return what a model (0: the target) says of them."""
        signals = self.signals
        parts = [(signals.shadow_outputs[row - 1] if row else signals.target_outputs)[self.records]]
        if signals.population_outputs is not None:
            parts.append(signals.population_outputs[row - 1])
        return np.concatenate(parts)[self.order]

    @property
    def labels(self) -> Int[np.ndarray, "n"]:
        """Their classes."""
        beside = self.signals.population_labels
        parts = [self.signals.labels[self.records], *([] if beside is None else [beside])]
        return np.concatenate(parts)[self.order]

    def margins(self, row: int) -> PerRecord:
        """Return what a model makes of them."""
        return margin(self.outputs(row), self.labels, self.signals)

    def is_unseen(self, shadow: int) -> Bool[np.ndarray, "n"]:
        """Return which of them a shadow, counted from 0, was not trained on either."""
        is_out = self.signals.shadow_membership[shadow, self.records] == OUT
        return np.concatenate([is_out, np.ones(len(self.order) - len(is_out), bool)])[self.order]

    def features(self) -> Shaped[np.ndarray, "n *features"]:
        """Return the records themselves."""
        assert self.signals.features is not None, "it was checked that there are features"
        parts = [self.signals.features.of_records(self.records)]
        if self.signals.population_outputs is not None:
            parts.append(self.signals.features.of_population())
        return np.concatenate(parts)[self.order]


def _inputs(signals: Signals, known: _Known, options: QuantileOptions, seed: int) -> tuple[Inputs, Inputs]:
    """Return what the trees see of the known records and of those in question: the class is the last column."""
    assert signals.features is not None, "it was checked that there are features"
    taught, asked = known.features(), signals.features.of_records(signals.candidates)
    through = options.through
    if through == "auto":
        through = "network" if taught.ndim == 4 else "records"
    flat = [part.reshape(len(part), -1).astype(np.float32) for part in (taught, asked)]
    if through == "network" and len(np.unique(known.labels)) > 1:
        flat = _through_network(flat[0], known.labels, flat[1], seed)
    labels = known.labels, signals.labels[signals.candidates]
    one, other = (np.concatenate([x, y[:, None]], axis=1, dtype=np.float64) for x, y in zip(flat, labels, strict=True))
    return one, other


def _through_network(
    taught: Inputs, labels: Int[np.ndarray, "n"], asked: Inputs, seed: int
) -> list[Float[np.ndarray, "_ h"]]:
    """Return the hidden layer of a small network, taught the classes of the known records, on both."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    mean, spread = taught.mean(0), taught.std() or 1.0
    scaled = [(part - mean) / spread for part in (taught, asked)]
    network = MLPClassifier((WIDTH,), alpha=1e-2, max_iter=NETWORK_EPOCHS, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is to see, not to be sure
        network.fit(scaled[0], labels)
    return [np.maximum(part @ network.coefs_[0] + network.intercepts_[0], 0) for part in scaled]


def _fit(options: QuantileOptions, seed: int, inputs: Inputs, margins: PerRecord) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    model = HistGradientBoostingRegressor(
        loss="quantile",
        quantile=1 - options.alpha,
        max_iter=options.rounds,
        max_leaf_nodes=options.max_leaves,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    with threadpool_limits(1, "openmp"):  # many short steps: threads that wait for each other cost more than they help
        return model.fit(inputs, margins)
