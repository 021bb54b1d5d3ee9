"""BASE: how much surer the target is of the true class than models are on average (Lassila et al. 2025).

Takes signals; gives per record l = log softmax(z / T)_y of the target, less log mean exp l of the shadows: of all of
them (online), or alpha times that of the OUT shadows (offline). Of given probabilities, z is their logarithm.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int8

from mia.attacks.masked_statistics import masked_log_mean_exp
from mia.attacks.per_record import Needs, compare
from mia.attacks.shared_statistics import CHUNK, floor_of
from mia.attacks.spec import attack
from mia.attacks.statistics import true_class
from mia.attacks.ties import difference, settle
from mia.checks import fraction, positive
from mia.machine import usable_cores
from mia.records import IN, OUT, Scores, Signals

CITATION = "Lassila, Ostman, Ngo, Graell i Amat: Practical Bayes-optimal membership inference attacks, NeurIPS 2025"

PerRecord = Float[np.ndarray, "N"]
Membership = Int8[np.ndarray, "K N"]


@dataclass
class BaseOnlineOptions:
    """Log probability less the log of the mean over all shadows, at a temperature (Lassila et al. 2025)."""

    temperature: float = 2.0  # that logits are divided by

    def __post_init__(self) -> None:
        positive("attack.base_online.temperature", self.temperature)


@dataclass
class BaseOfflineOptions:
    """Log probability less alpha times the log of the mean over OUT shadows (Lassila et al. 2025)."""

    temperature: float = 2.0  # that logits are divided by
    alpha: float = 0.33  # how much of the OUT shadows' mean is taken off

    def __post_init__(self) -> None:
        positive("attack.base_offline.temperature", self.temperature)
        fraction("attack.base_offline.alpha", self.alpha)


@attack(
    "base_online",
    options=BaseOnlineOptions,
    needs=("shadows", "in_models", "out_models", "classes"),
    citation=CITATION,
    label="BASE online",
    instead="base_offline",
)
def online(signals: Signals, options: BaseOnlineOptions, seed: int) -> Scores:
    """Score by l less log mean exp l of all shadows; a record that no shadow has seen, or all have, has no score."""
    values = _tempered(signals, options.temperature)

    def score(row: int, membership: Membership) -> PerRecord:
        has_both = (membership == IN).any(0) & (membership == OUT).any(0)
        mean = masked_log_mean_exp(values[1:], (membership == IN) | (membership == OUT))
        found = settle(difference(values[row], mean), np.abs(values[row]) + np.abs(mean))
        return np.where(has_both, found, np.nan)

    return compare(signals, score, Needs(1, 1), seed)


@attack(
    "base_offline",
    options=BaseOfflineOptions,
    needs=("shadows", "out_models", "classes"),
    citation=CITATION,
    label="BASE offline",
)
def offline(signals: Signals, options: BaseOfflineOptions, seed: int) -> Scores:
    """Score by l less alpha times log mean exp l of the OUT shadows."""
    values = _tempered(signals, options.temperature)

    def score(row: int, membership: Membership) -> PerRecord:
        mean = options.alpha * masked_log_mean_exp(values[1:], membership == OUT)
        return settle(difference(values[row], mean), np.abs(values[row]) + np.abs(mean))

    return compare(signals, score, Needs(0, 1), seed)


def _tempered(signals: Signals, temperature: float) -> Float[np.ndarray, "M N"]:
    """Return l of every model, the target first; kept with the signals."""
    key = f"log confidence at {temperature!r}"
    if key not in signals.shared:
        outputs = [signals.target_outputs, *signals.shadow_outputs]
        floor = floor_of(signals)
        found = np.empty((len(outputs), len(signals.labels)))

        def fill(row: int) -> None:
            for start in range(0, len(signals.labels), CHUNK):
                part = slice(start, start + CHUNK)
                logits = outputs[row][part].T.astype(np.float64, order="C")  # as `true_class` needs it
                if signals.is_probability:
                    np.log(np.maximum(logits, floor, out=logits), out=logits)
                logits /= temperature
                found[row, part] = true_class(logits.T, signals.labels[part], False, floor)[1]

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(fill, range(len(outputs))))
        signals.shared[key] = found
    return signals.shared[key]
