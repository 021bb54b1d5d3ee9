"""PMIA: the likelihood ratio where no shadow saw the record: what members of its class look like stands in.

The class variant of Du et al. 2026. Takes signals; gives per record log N(phi; IN) - log N(phi; OUT), as LiRA does, but
IN is fitted to all answers of shadows to records of the same class that they were trained on, whichever these are. OUT
is the record's own. It needs no shadow trained on the candidates.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from mia.attacks.fits import Answers, Fit, Fits, all_agree, lend_spread, moderate, stand_in_for_none
from mia.attacks.masked_statistics import count_models, grouped_mean, grouped_median, grouped_std
from mia.attacks.per_record import Needs, compare
from mia.attacks.shared_statistics import check_floor, describe_floor, shared_statistics
from mia.attacks.spec import attack
from mia.attacks.ties import settle
from mia.checks import RequestError, one_of
from mia.records import IN, OUT, Scores, Signals

PerRecord = Float[np.ndarray, "N"]
Membership = Int8[np.ndarray, "K N"]


@dataclass
class PmiaOptions:
    """Likelihood ratio whose IN side is the members of the record's class (Du et al. 2026)."""

    variance: str = "per_record"  # of the OUT side: per_record, global or moderated
    location: str = "mean"  # mean or median
    floor: Any = "auto"  # what a probability of exactly 0 counts as; auto: half the smallest above 0

    def __post_init__(self) -> None:
        one_of("attack.pmia.variance", self.variance, ("per_record", "global", "moderated"))
        one_of("attack.pmia.location", self.location, ("mean", "median"))
        check_floor("attack.pmia.floor", self.floor)


def _fewest(options: PmiaOptions, protocol: str) -> int:
    """In `pool`, shadows come in complementary pairs: of three, a record has two OUT ones, or one."""
    del options
    return 3 if protocol == "pool" else 2


@attack(
    "pmia",
    options=PmiaOptions,
    needs=("shadows", "out_models", "classes"),
    citation="Du, Li, Chen, Zhang, Yuan, Xiao, Ribeiro, Li: Cascading and proxy membership inference, NDSS 2026",
    label="PMIA",
    fewest_shadows=_fewest,
)
def pmia(signals: Signals, options: PmiaOptions, seed: int) -> Scores:
    """Score by log N(phi; members of the class) - log N(phi; the record's OUT shadows)."""
    if count_models(signals.shadow_membership == OUT).max(initial=0) < 2:
        raise RequestError(
            f"attack=pmia needs records with two OUT shadows to estimate a variance, with {signals.num_shadows} "
            "shadows there are none: raise split.num_shadows"
        )
    if not (signals.shadow_membership == IN).any():
        raise RequestError("attack=pmia needs records that shadows were trained on, of any kind, there are none")
    shared = shared_statistics(signals, options.floor)
    answers, is_alone = Answers(signals, shared.phi, f"phi above {shared.floor!r}"), options.variance == "per_record"
    of_target: list[Fits] = []

    def score(row: int, membership: Membership) -> PerRecord:
        outside = {OUT: answers.fit(row, membership, OUT, options.location, options.variance)}
        if options.variance == "moderated":
            outside = moderate(outside, of_target[0] if row else outside)
        if row == 0:
            of_target.append(outside)
        elif options.variance == "global":
            outside = lend_spread(outside, of_target[0])
        fits = {IN: _fit_classes(shared.phi, row, membership == IN, signals.labels, options.location), **outside}
        is_neutral, fits = all_agree(fits, is_alone), stand_in_for_none(fits)
        ratio = fits[IN].log_density - fits[OUT].log_density
        return np.where(is_neutral, 0.0, settle(ratio, fits[IN].log_density_size + fits[OUT].log_density_size))

    scores = compare(signals, score, Needs(0, 2 if is_alone else 1), seed, fallback=0.0)
    unknown = _classes_without(signals)
    said = (
        f"shadows were trained on no record of class {', '.join(map(str, unknown))}" if len(unknown) else "",
        describe_floor(signals, shared),
    )
    return replace(scores, warnings=(*scores.warnings, *filter(None, said)))


def _fit_classes(
    phi: Float[np.ndarray, "M N"],
    row: int,
    is_used: Bool[np.ndarray, "K N"],
    labels: Int[np.ndarray, "N"],
    location: str,
) -> Fit:
    """Fit one Gaussian per class to all answers used; NaN for records of a class without any."""
    mean = grouped_mean(phi[1:], is_used, labels)
    spread = grouped_std(phi[1:], is_used, labels, mean)
    centre = mean if location == "mean" else grouped_median(phi[1:], is_used, labels)
    weight = np.bincount(labels, count_models(is_used), minlength=len(mean))
    pooled = np.sqrt(np.nansum(weight * spread**2) / weight.sum()) if weight.any() else np.nan
    return Fit(centre[labels], spread[labels], float(pooled), phi[row])


def _classes_without(signals: Signals) -> Int[np.ndarray, "c"]:
    known = signals.labels[(signals.shadow_membership == IN).any(0)]
    return np.setdiff1d(signals.labels[signals.candidates], known)
