"""Which function serves which defence: takes options, gives a function from logits to answers."""

from functools import partial

from jaxtyping import Float
from numpy import ndarray

from mia.defences import filters
from mia.defences.filters import Answers, Defence
from mia.defences.memguard import fit_memguard
from mia.defences.noise import add_noise
from mia.defences.options import (
    DefenceOptions,
    LabelOnlyOptions,
    MemguardOptions,
    NoiseOptions,
    RoundingOptions,
    TemperatureOptions,
    TopKOptions,
)

Own = tuple[Float[ndarray, "m C"], Float[ndarray, "n C"]]
"""A model's logits on records it was trained on, and on records it was not."""


def make_defence(options: DefenceOptions, *, seed: int = 0, fit_on: Own | None = None) -> Defence:
    """Return the defence of one model: a function from logits to (outputs, whether these are probabilities).

    Each record is answered by itself and always in the same way: the same logits get the same answer, whatever else is
    asked. At its neutral strength a defence returns the very logits.

    Args:
        options: which defence, and how strong.
        seed: of random answers and of MemGuard's classifier; one of its own for every model.
        fit_on: the model's logits on members and non-members that its owner knows; only MemGuard looks at them.
    """
    defence: Defence = unchanged
    match options:
        case TopKOptions(k=k) if k > 0:
            defence = partial(filters.top_k, k=k)
        case RoundingOptions(digits=digits) if digits > 0:
            defence = partial(filters.rounding, digits=digits)
        case TemperatureOptions(temperature=temperature) if temperature != 1:
            defence = partial(filters.temperature, temperature=temperature)
        case LabelOnlyOptions():
            defence = filters.label_only
        case NoiseOptions(scale=scale, distribution=distribution) if scale > 0:
            defence = partial(add_noise, distribution=distribution, scale=scale, seed=seed)
        case MemguardOptions(epsilon=budget) if budget > 0:
            assert fit_on is not None, "MemGuard is fitted on the model's own members and non-members"
            defence = fit_memguard(*fit_on, budget=budget, seed=seed)
    return defence


def defend(
    logits: Float[ndarray, "*R C"], options: DefenceOptions, *, seed: int = 0, fit_on: Own | None = None
) -> Answers:
    """Return what a defended model gives for `logits`, and whether that is probabilities; see `make_defence`."""
    return make_defence(options, seed=seed, fit_on=fit_on)(logits)


def unchanged(logits: Float[ndarray, "*R C"]) -> Answers:
    """Return the very logits."""
    return logits, False
