"""What DP-SGD costs in privacy: epsilon for the noise, and the noise for an epsilon, by Google's dp-accounting.

Takes options and the number of training records; gives plain numbers. Adding or removing one record is what is
compared, with Poisson sampling and privacy loss distributions; batches that are shuffled instead are accounted as if
they were Poisson, which is customary and not proven. The cost is that of one training: choosing the best of several
runs costs more.
"""

import math
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from mia.checks import RequestError
from mia.train.options import TrainOptions

TOLERANCE = 1e-3  # of the noise multiplier that is found for an epsilon
FINEST = 1e-4  # dp-accounting's own distance between the privacy losses that it keeps
DEVIATIONS = 10  # of the noise, beyond which it is hardly ever drawn
WIDE = 50.0  # range of privacy losses in one step up to which the finest grid serves
POINTS = 1e5  # of a coarser grid, about


def epsilon_of(options: TrainOptions, num_records: int) -> float:
    """Return the epsilon of one training at `train.dp.delta`; infinite without noise."""
    dp = with_noise(options, num_records).dp
    if not dp.noise_multiplier:
        return math.inf
    return _epsilon(dp.noise_multiplier, *_batches(options, num_records), dp.delta)


def with_noise(options: TrainOptions, num_records: int) -> TrainOptions:
    """Return options with the noise multiplier that the wanted epsilon takes; unchanged where none is wanted.

    Raises:
        RequestError: no noise is enough.
    """
    dp = options.dp
    if dp.epsilon is None:
        return options
    noise = _noise(dp.epsilon, *_batches(options, num_records), dp.delta)
    return replace(options, dp=replace(dp, epsilon=None, noise_multiplier=noise))  # type: ignore[call-arg]


def _batches(options: TrainOptions, num_records: int) -> tuple[float, int]:
    """Return the share of the records in a batch, and the number of batches."""
    batch_size = min(options.batch_size, num_records)
    return batch_size / num_records, options.epochs * -(-num_records // batch_size)


def _event(noise_multiplier: float, share: float, steps: int) -> Any:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    return SelfComposedDpEvent(PoissonSampledDpEvent(share, GaussianDpEvent(noise_multiplier)), steps)


@lru_cache
def _epsilon(noise_multiplier: float, share: float, steps: int, delta: float) -> float:
    return float(_composed(_event(noise_multiplier, share, steps)).get_epsilon(delta))


def _composed(event: Any) -> Any:
    """Return an accountant that has seen what `_event` gives."""
    from dp_accounting.pld import PLDAccountant

    sampled = event.event
    step = grid_step(sampled.event.noise_multiplier, sampled.sampling_probability, event.count)
    return PLDAccountant(value_discretization_interval=step).compose(event)


def grid_step(noise_multiplier: float, share: float, steps: int) -> float:
    """Return the distance of the points at which privacy losses are kept: the library's, unless they would be too many.

    Losses are rounded up, so that a coarser grid never gives less than the true epsilon. It grows with the range of
    losses, which is estimated for draws of `DEVIATIONS`: z / noise + 1 / (2 noise^2) in a step.
    """
    if not noise_multiplier:
        return FINEST
    drawn = steps * share
    one = DEVIATIONS / noise_multiplier + 1 / (2 * noise_multiplier**2)
    every = DEVIATIONS * math.sqrt(drawn) / noise_multiplier + drawn / (2 * noise_multiplier**2)
    if one <= WIDE and every <= 40 * WIDE:
        return FINEST
    return max(FINEST, one / POINTS, every / (10 * POINTS))


@lru_cache
def _noise(epsilon: float, share: float, steps: int, delta: float) -> float:
    """Return the least noise that keeps to an epsilon, up to a tolerance."""
    from dp_accounting import LowerEndpointAndGuess, NoOpDpEvent, calibrate_dp_mechanism
    from dp_accounting.mechanism_calibration import NoBracketIntervalFoundError

    fresh = SimpleNamespace(ledger=NoOpDpEvent(), compose=_composed)  # its grid depends on the event
    try:
        found = calibrate_dp_mechanism(
            lambda: fresh,
            lambda noise: _event(noise, share, steps),
            epsilon,
            delta,
            LowerEndpointAndGuess(0.0, 1.0),
            tol=TOLERANCE,
        )
    except NoBracketIntervalFoundError:
        raise RequestError(
            f"train.dp.epsilon={epsilon!r} cannot be reached at train.dp.delta={delta!r}, whatever the noise; "
            "give a larger epsilon or delta"
        ) from None
    return float(found)
