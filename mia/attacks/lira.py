"""LiRA: how likely the target's answer is for models that saw the record, against those that did not.

Carlini et al. 2022. Takes signals; gives per record the log-likelihood ratio of two Gaussians fitted to phi of the IN
and the OUT shadows (online), or what the OUT Gaussian alone says (offline). Standard deviations are population ones.
Unless told otherwise, variances are moderated by those of all records (Smyth 2004), and Student's t takes the
Gaussian's place: what a new answer is like, given so few. `variance=auto` is the paper's rule.
Of several views of a picture, each is scored by itself and the mean is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int8

from mia.attacks.augmented_queries import MOST_QUERIES, phi_of_views
from mia.attacks.fits import Answers, Fits, all_agree, lend_spread, moderate, stand_in_for_none
from mia.attacks.masked_statistics import count_models
from mia.attacks.moderated import student_log_tail
from mia.attacks.per_record import Needs, compare, records_in_question
from mia.attacks.shared_statistics import check_floor, describe_floor, shared_statistics
from mia.attacks.spec import attack
from mia.attacks.ties import settle
from mia.checks import RequestError, at_least, one_of
from mia.records import IN, OUT, Scores, Signals

CITATION = "Carlini, Chien, Nasr, Song, Terzis, Tramer: Membership inference attacks from first principles, S&P 2022"
GLOBAL_BELOW = 64
"""Shadows below which one global variance beats one per record (Carlini et al. 2022, section VI)."""
VARIANCES = ("auto", "per_record", "global", "moderated")
MEDIAN_SQUARE = 0.4549364231195724
"""The median square of a standard Gaussian."""

PerRecord = Float[np.ndarray, "N"]
Membership = Int8[np.ndarray, "K N"]


def _check(name: str, options: "LiraOnlineOptions | LiraOfflineOptions") -> None:
    one_of(f"attack.{name}.variance", options.variance, VARIANCES)
    one_of(f"attack.{name}.location", options.location, ("mean", "median"))
    at_least(f"attack.{name}.queries", options.queries, 1)
    if options.queries > MOST_QUERIES:
        raise RequestError(
            f"attack.{name}.queries={options.queries} must be at most {MOST_QUERIES}: nine shifts, mirrored or not"
        )
    at_least(f"attack.{name}.shift", options.shift, 1)
    check_floor(f"attack.{name}.floor", options.floor)


@dataclass
class LiraOnlineOptions:
    """Likelihood ratio of Gaussians fitted to IN and OUT shadows (Carlini et al. 2022)."""

    variance: str = "moderated"  # per_record, global, moderated: both; auto: global below 64 shadows, else per_record
    location: str = "mean"  # mean or median
    queries: int = 1  # views of a picture: itself, mirrored, shifted ...
    shift: int = 1  # pixels
    floor: Any = "auto"  # what a probability of exactly 0 counts as; auto: half the smallest above 0

    def __post_init__(self) -> None:
        _check("lira_online", self)


@dataclass
class LiraOfflineOptions:
    """How unusual the answer would be for a model that never saw the record (Carlini et al. 2022)."""

    variance: str = "moderated"  # per_record, global, moderated: both; auto: global below 64 shadows, else per_record
    location: str = "mean"  # mean or median
    offline: str = "one_sided"  # log P(OUT answer <= this one), as in the paper; density: minus log density under OUT
    queries: int = 1  # views of a picture: itself, mirrored, shifted ...
    shift: int = 1  # pixels
    floor: Any = "auto"  # what a probability of exactly 0 counts as; auto: half the smallest above 0

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
    version=2,  # 1: variance=auto
)
def online(signals: Signals, options: LiraOnlineOptions, seed: int) -> Scores:
    """Score by log N(phi; IN) - log N(phi; OUT) (section V)."""

    def ratio(fits: Fits) -> PerRecord:
        inside, outside = fits[IN], fits[OUT]
        return settle(inside.log_density - outside.log_density, inside.log_density_size + outside.log_density_size)

    return _compare("lira_online", signals, options, seed, Form((IN, OUT), ratio, lambda _: 0.0))


@attack(
    "lira_offline",
    options=LiraOfflineOptions,
    needs=("shadows", "out_models"),
    citation=CITATION,
    label="LiRA offline",
    fewest_shadows=_fewest_offline,
    version=2,  # 1: variance=auto
)
def offline(signals: Signals, options: LiraOfflineOptions, seed: int) -> Scores:
    """Score by log P(OUT answer <= phi), or by minus the log density of phi under OUT (section VI)."""
    from scipy.special import log_ndtr

    def tail(fits: Fits) -> PerRecord:
        fit = fits[OUT]
        z = settle(fit.z, fit.size)
        return log_ndtr(z) if fit.freedom is None else student_log_tail(z, fit.freedom)

    def density(fits: Fits) -> PerRecord:
        return settle(-fits[OUT].log_density, fits[OUT].log_density_size)

    def median_density(fits: Fits) -> float:
        return 0.5 * MEDIAN_SQUARE + np.log(fits[OUT].pooled or 1.0) + 0.5 * np.log(2 * np.pi)

    if options.offline == "one_sided":
        return _compare("lira_offline", signals, options, seed, Form((OUT,), tail, lambda _: np.log(0.5)))
    return _compare("lira_offline", signals, options, seed, Form((OUT,), density, median_density))


@dataclass(frozen=True)
class Form:
    """One form of the attack."""

    kinds: tuple[int, ...]  # of shadows that Gaussians are fitted to
    score: Callable[[Fits], PerRecord]
    neutral: Callable[[Fits], float]  # the score of a record whose shadows tell nothing, for they all agree


def _compare(
    name: str, signals: Signals, options: LiraOnlineOptions | LiraOfflineOptions, seed: int, form: Form
) -> Scores:
    variance = options.variance
    if variance == "auto":
        variance = "global" if signals.num_shadows < GLOBAL_BELOW else "per_record"
    is_alone = variance == "per_record"  # a record's deviation is its own, and no other's
    _check_spread(name, signals, form.kinds)
    shared, records = shared_statistics(signals, options.floor), np.arange(len(signals.labels))
    of = f"phi above {shared.floor!r}"
    views = [Answers(signals, shared.phi, of)]
    if options.queries > 1:
        records = records_in_question(signals)
        phi = phi_of_views(name, signals, shared, records, options.queries, options.shift)
        of = f"{of} on {options.queries} views, shift {options.shift}"
        views = [Answers(signals, view, f"{of}: {number}", records) for number, view in enumerate(phi)]
    rigid = np.zeros(len(signals.labels), bool)  # records whose shadows all say the same, of some view
    of_target: list[Fits] = []  # by view

    def score(row: int, membership: Membership) -> PerRecord:
        found = []
        for number, answers in enumerate(views):
            fits = {kind: answers.fit(row, membership, kind, options.location, variance) for kind in form.kinds}
            if variance == "moderated":
                fits = moderate(fits, of_target[number] if row else fits)
            if row == 0:
                of_target.append(fits)
            elif variance == "global":
                fits = lend_spread(fits, of_target[number])
            is_neutral = all_agree(fits, is_alone)
            found.append(np.where(is_neutral, form.neutral(fits), form.score(stand_in_for_none(fits))))
            if row == 0:
                rigid[records] |= is_neutral
        answer = np.full(len(signals.labels), np.nan)
        answer[records] = found[0] if len(found) == 1 else settle(np.mean(found, axis=0))
        return answer

    each = 2 if is_alone else 1
    is_ratio = IN in form.kinds
    needs = Needs(each if is_ratio else 0, each)
    scores = compare(signals, score, needs, seed, fallback=0.0 if is_ratio else None)
    details = {**scores.details, "variance": variance, **_describe_priors(of_target[0])}
    said = (_describe_rigid(rigid[signals.candidates]), describe_floor(signals, shared))
    return replace(scores, details=details, warnings=(*scores.warnings, *filter(None, said)))


def _check_spread(name: str, signals: Signals, kinds: tuple[int, ...]) -> None:
    for kind in kinds:
        if count_models(signals.shadow_membership == kind).max(initial=0) < 2:
            word = "IN" if kind == IN else "OUT"
            raise RequestError(
                f"attack={name} needs records with two {word} shadows to estimate a variance, "
                f"with {signals.num_shadows} shadows there are none: raise split.num_shadows"
            )


def _describe_priors(fits: Fits) -> dict[str, str | float]:
    """Return how many further shadows the prior is worth, by side."""
    names = {IN: "prior_freedom_in", OUT: "prior_freedom_out"}
    known = {names[kind]: fit.prior.freedom for kind, fit in fits.items() if fit.prior is not None}
    return {name: "infinite" if np.isinf(value) else value for name, value in known.items()}


def _describe_rigid(rigid: Bool[np.ndarray, "Q"]) -> str:
    if not rigid.any():
        return ""
    return f"{rigid.sum()} of {len(rigid)} records have shadows that all agree: they get the neutral score"
