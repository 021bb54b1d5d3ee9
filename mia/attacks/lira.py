"""LiRA: how likely the target's answer is for models that saw the record, against those that did not.

Carlini et al. 2022. Takes signals; gives per record the log-likelihood ratio of two Gaussians fitted to phi of the IN
and the OUT shadows (online), or what the OUT Gaussian alone says (offline). Standard deviations are population ones.
Of several views of a picture, each is scored by itself and the mean is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int8

from mia.attacks.augmented_queries import MOST_QUERIES, phi_of_views
from mia.attacks.masked_statistics import count_models, masked_mean, masked_median, masked_std, pooled_std
from mia.attacks.per_record import Needs, compare, records_in_question
from mia.attacks.shared_statistics import shared_statistics
from mia.attacks.spec import attack
from mia.checks import RequestError, at_least, one_of
from mia.records import IN, OUT, Scores, Signals

CITATION = "Carlini, Chien, Nasr, Song, Terzis, Tramer: Membership inference attacks from first principles, S&P 2022"
GLOBAL_BELOW = 64
"""Shadows below which one global variance beats one per record (Carlini et al. 2022, section VI)."""
SPREAD_FLOOR = 1e-30
"""Added to every standard deviation, so that no division is by zero."""
NO_SPREAD = 1e-9
"""A standard deviation below this is as good as none: shadows agree to the last digit, as rounded answers do."""

PerRecord = Float[np.ndarray, "N"]
Membership = Int8[np.ndarray, "K N"]
Fit = tuple[PerRecord, PerRecord]
"""Location and standard deviation of a Gaussian per record."""
FitsScore = Callable[[PerRecord, dict[int, Fit]], PerRecord]
"""From phi of the model attacked and the fits to IN and OUT shadows to a score."""


def _check(name: str, options: "LiraOnlineOptions | LiraOfflineOptions") -> None:
    one_of(f"attack.{name}.variance", options.variance, ("auto", "per_record", "global"))
    one_of(f"attack.{name}.location", options.location, ("mean", "median"))
    at_least(f"attack.{name}.queries", options.queries, 1)
    if options.queries > MOST_QUERIES:
        raise RequestError(
            f"attack.{name}.queries={options.queries} must be at most {MOST_QUERIES}: nine shifts, mirrored or not"
        )
    at_least(f"attack.{name}.shift", options.shift, 1)


@dataclass
class LiraOnlineOptions:
    """Likelihood ratio of Gaussians fitted to IN and OUT shadows (Carlini et al. 2022)."""

    variance: str = "auto"  # per_record, global, or auto: global below 64 shadows
    location: str = "mean"  # mean or median
    queries: int = 1  # views of a picture: itself, mirrored, shifted ...
    shift: int = 1  # pixels

    def __post_init__(self) -> None:
        _check("lira_online", self)


@dataclass
class LiraOfflineOptions:
    """How unusual the answer would be for a model that never saw the record (Carlini et al. 2022)."""

    variance: str = "auto"  # per_record, global, or auto: global below 64 shadows
    location: str = "mean"  # mean or median
    offline: str = "one_sided"  # log P(OUT answer <= this one), as in the paper; density: minus log density under OUT
    queries: int = 1  # views of a picture: itself, mirrored, shifted ...
    shift: int = 1  # pixels

    def __post_init__(self) -> None:
        _check("lira_offline", self)
        one_of("attack.lira_offline.offline", self.offline, ("one_sided", "density"))


def _fewest_online(options: LiraOnlineOptions, protocol: str) -> int:
    """In `pool`, shadows come in complementary pairs: of three, a record has two IN and one OUT, or one and two."""
    del protocol
    return 4 if options.variance == "per_record" else 3


def _fewest_offline(options: LiraOfflineOptions, protocol: str) -> int:
    del options
    return 3 if protocol == "pool" else 2


@attack(
    "lira_online",
    options=LiraOnlineOptions,
    needs=("shadows", "in_models", "out_models"),
    citation=CITATION,
    label="LiRA online",
    instead="lira_offline",
    fewest_shadows=_fewest_online,
)
def online(signals: Signals, options: LiraOnlineOptions, seed: int) -> Scores:
    """Score by log N(phi; IN) - log N(phi; OUT) (section V)."""
    del seed

    def ratio(phi: PerRecord, fits: dict[int, Fit]) -> PerRecord:
        return _log_density(phi, fits[IN]) - _log_density(phi, fits[OUT])

    return _compare("lira_online", signals, options, ratio, (IN, OUT))


@attack(
    "lira_offline",
    options=LiraOfflineOptions,
    needs=("shadows", "out_models"),
    citation=CITATION,
    label="LiRA offline",
    fewest_shadows=_fewest_offline,
)
def offline(signals: Signals, options: LiraOfflineOptions, seed: int) -> Scores:
    """Score by log P(OUT answer <= phi), or by minus the log density of phi under OUT (section VI)."""
    del seed
    from scipy.special import log_ndtr

    def tail(phi: PerRecord, fits: dict[int, Fit]) -> PerRecord:
        location, spread = fits[OUT]
        return log_ndtr((phi - location) / (spread + SPREAD_FLOOR))

    def density(phi: PerRecord, fits: dict[int, Fit]) -> PerRecord:
        return -_log_density(phi, fits[OUT])

    return _compare("lira_offline", signals, options, tail if options.offline == "one_sided" else density, (OUT,))


def _compare(
    name: str,
    signals: Signals,
    options: LiraOnlineOptions | LiraOfflineOptions,
    of_fits: FitsScore,
    kinds: tuple[int, ...],
) -> Scores:
    is_global = options.variance == "global" or (options.variance == "auto" and signals.num_shadows < GLOBAL_BELOW)
    _check_spread(name, signals, kinds)
    asked, records = signals.candidates, np.arange(len(signals.labels))
    views = shared_statistics(signals).phi[None]
    if options.queries > 1:
        records = records_in_question(signals)
        views = phi_of_views(name, signals, records, options.queries, options.shift)
    rigid = np.zeros(len(signals.labels), bool)  # records whose shadows all say the same, of some view

    def score(row: int, membership: Membership) -> PerRecord:
        found, used = [], membership if len(records) == len(signals.labels) else membership[:, records]
        for phi in views:
            fits = {kind: _fit(phi[1:], used == kind, options.location, is_global) for kind in kinds}
            found.append(of_fits(phi[row], fits))
            if row == 0:
                rigid[records] |= np.min([spread for _, spread in fits.values()], axis=0) < NO_SPREAD
        answer = np.full(len(signals.labels), np.nan)
        answer[records] = found[0] if len(found) == 1 else np.mean(found, axis=0)
        return answer

    each = 1 if is_global else 2
    is_ratio = IN in kinds
    scores = compare(signals, score, Needs(each if is_ratio else 0, each), fallback=0.0 if is_ratio else None)
    details = {**scores.details, "variance": "global" if is_global else "per_record"}
    return replace(scores, details=details, warnings=(*scores.warnings, *_warn_rigid(rigid[asked])))


def _fit(phi: Float[np.ndarray, "K N"], is_used: Bool[np.ndarray, "K N"], location: str, is_global: bool) -> Fit:
    """Fit a Gaussian per record; NaN where there are too few models to."""
    centre = (masked_mean if location == "mean" else masked_median)(phi, is_used)
    if is_global:
        return centre, np.full(len(centre), pooled_std(phi, is_used, centre))
    return centre, masked_std(phi, is_used)


def _log_density(phi: PerRecord, fit: Fit) -> PerRecord:
    location, spread = fit[0], fit[1] + SPREAD_FLOOR
    return -0.5 * ((phi - location) / spread) ** 2 - np.log(spread) - 0.5 * np.log(2 * np.pi)


def _check_spread(name: str, signals: Signals, kinds: tuple[int, ...]) -> None:
    for kind in kinds:
        if count_models(signals.shadow_membership == kind).max(initial=0) < 2:
            word = "IN" if kind == IN else "OUT"
            raise RequestError(
                f"attack={name} needs records with two {word} shadows to estimate a variance, "
                f"with {signals.num_shadows} shadows there are none: raise split.num_shadows"
            )


def _warn_rigid(rigid: Bool[np.ndarray, "Q"]) -> tuple[str, ...]:
    if not rigid.any():
        return ()
    return (f"{rigid.sum()} of {len(rigid)} records have shadows that all agree: scores are extreme",)
