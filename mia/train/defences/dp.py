"""DP-SGD (Abadi et al. 2016): each record's gradient is clipped, and noise is added to their sum.

What it costs in privacy is told by `mia.train.privacy`; the compiled part is `mia.train.private`.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from mia.checks import RequestError, at_least, non_negative, one_of, positive
from mia.settings import Setting, number_words
from mia.train.defences import Strength, TrainDefence, train_defence

SAMPLING = ("poisson", "shuffled")
LEAST_NOISE = 1e-3  # above zero
LARGEST_EPSILON = 1e5


@dataclass
class DpOptions:
    """DP-SGD: on as soon as there is clipping or noise. Noise without clipping protects nothing and is refused."""

    noise_multiplier: float = 0.0  # deviation of the noise, in clipping norms; 0: no noise
    clipping_norm: float = math.inf  # largest norm of a record's gradient; inf: no clipping
    epsilon: float | None = None  # wanted; the noise multiplier follows from it
    delta: float = 1e-5
    sampling: str = "poisson"  # each record is in a batch independently; shuffled: epochs, accounted as if poisson
    microbatch: int = 64  # records at most whose gradients are clipped at once: changes round-off alone

    def __post_init__(self) -> None:
        non_negative("train.dp.noise_multiplier", self.noise_multiplier)
        if 0 < self.noise_multiplier < LEAST_NOISE:
            raise RequestError(
                f"train.dp.noise_multiplier={self.noise_multiplier!r} is as good as none: "
                f"give {LEAST_NOISE} or more, or 0 for clipping alone"
            )
        if not self.clipping_norm > 0:
            raise RequestError(f"train.dp.clipping_norm={self.clipping_norm!r} must be above 0; inf: no clipping")
        one_of("train.dp.sampling", self.sampling, SAMPLING)
        at_least("train.dp.microbatch", self.microbatch, 1)
        if not 0 < self.delta < 1:
            raise RequestError(f"train.dp.delta={self.delta!r} must lie between 0 and 1")
        if self.epsilon is not None:
            positive("train.dp.epsilon", self.epsilon)
            if self.epsilon > LARGEST_EPSILON:
                raise RequestError(
                    f"train.dp.epsilon={self.epsilon!r} promises nothing: give {LARGEST_EPSILON:g} or less, or the "
                    "noise itself as train.dp.noise_multiplier"
                )
            if self.noise_multiplier:
                raise RequestError(
                    f"train.dp.epsilon={self.epsilon!r} and train.dp.noise_multiplier={self.noise_multiplier!r} "
                    "say the same thing twice; give one of them"
                )
        if (self.noise_multiplier or self.epsilon is not None) and math.isinf(self.clipping_norm):
            raise RequestError(
                "train.dp.clipping_norm=inf leaves the noise without a scale; give a norm, for example 1"
            )

    @property
    def is_on(self) -> bool:
        """Whether gradients are taken record by record."""
        return math.isfinite(self.clipping_norm)


@train_defence("dp", options=DpOptions)
class Dp(TrainDefence):
    """Takes the gradient over; others may change each record by itself, and what comes after the noise."""

    strength = Strength("DP-SGD", "clipping_norm", neutral=math.inf, is_lower_stronger=True)
    rank = 120
    traced = ("noise_multiplier", "clipping_norm")
    is_private = True

    def setting(self, given: Any) -> Setting | None:
        """Return epsilon where it was asked for, else the noise, else the clipping norm: each is a key of its own."""
        if not self.is_on(given):
            return None
        if given.epsilon is not None:
            text = f"epsilon = {number_words(given.epsilon)}"
            return Setting(f"{self.key}.epsilon", self.strength.label, given.epsilon, text, is_lower_stronger=True)
        if given.noise_multiplier:
            text = f"noise {number_words(given.noise_multiplier)}"
            return Setting(f"{self.key}.noise_multiplier", self.strength.label, given.noise_multiplier, text)
        text = f"clipping norm {number_words(given.clipping_norm)}"
        return Setting(
            f"{self.key}.clipping_norm", self.strength.label, given.clipping_norm, text, is_lower_stronger=True
        )

    def depends_on_epochs(self, given: Any) -> bool:
        """Whether the noise follows from an epsilon: the more epochs share it, the more noise in each step."""
        return given.epsilon is not None

    def constants(self, given: Any, batch_size: int) -> tuple[tuple[str, Hashable], ...]:
        """Return how batches are drawn, and how many records may be clipped at once: as many as are in most batches."""
        is_poisson = given.sampling == "poisson"
        usual = math.ceil(1.25 * batch_size) if is_poisson else batch_size
        return ("is_poisson", is_poisson), ("microbatch", min(given.microbatch, usual))

    def step_gradient(self, work: Any) -> tuple[Any, Any]:
        """Return the noisy mean of clipped gradients."""
        from mia.train.private import private_gradient

        return private_gradient(work)
