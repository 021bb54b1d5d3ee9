"""What DP-SGD costs in privacy: epsilon for the noise, and the noise for an epsilon, by Google's dp-accounting.

Takes options and the number of training records; gives plain numbers. Adding or removing one record is what is
compared, with Poisson sampling and privacy loss distributions; batches that are shuffled instead are accounted as if
they were Poisson, which is customary and not proven. The cost is that of one training: choosing the best of several
runs costs more.
"""

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mia.checks import RequestError
from mia.train.options import TrainOptions

TOLERANCE = 1e-3  # of the noise multiplier that is found for an epsilon


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
    from dp_accounting.pld import PLDAccountant

    return float(PLDAccountant().compose(_event(noise_multiplier, share, steps)).get_epsilon(delta))


@lru_cache
def _noise(epsilon: float, share: float, steps: int, delta: float) -> float:
    from dp_accounting import LowerEndpointAndGuess, calibrate_dp_mechanism
    from dp_accounting.pld import PLDAccountant

    try:
        found = calibrate_dp_mechanism(
            PLDAccountant,
            lambda noise: _event(noise, share, steps),
            epsilon,
            delta,
            LowerEndpointAndGuess(0.0, 1.0),
            tol=TOLERANCE,
        )
    except Exception as error:
        raise RequestError(
            f"train.dp.epsilon={epsilon!r} cannot be reached at train.dp.delta={delta!r}: {error}"
        ) from error
    return float(found)
