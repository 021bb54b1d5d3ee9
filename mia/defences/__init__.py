"""Output defences, one file each: take a model's logits, give what people get to see instead; never see a true label.

`@defence` enters one; an installed package adds one through an entry point of the group `mia.defences`. `make_defence`
builds the defence of one model, to be asked as often as one likes; `defend` builds one and asks it once.

Loads no NumPy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mia.registry import Registry
from mia.settings import Setting, Strength, setting_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

    from mia.defences.answers import Answers, Defence, Own

__all__ = ["DEFENCES", "DefenceKind", "DefenceOptions", "Strength", "defence", "defend", "make_defence", "needs_fit",
           "setting"]  # fmt: skip

Make = Callable[..., Any]
"""(options, seed, fit_on) -> a function from logits to (outputs, whether these are probabilities)."""
Function = TypeVar("Function", bound=Make)


@dataclass
class DefenceOptions:
    """What all output defences of ours have: a name."""

    name: str = "none"


@dataclass(frozen=True)
class DefenceKind:
    """What is known of an output defence."""

    name: str
    options: type
    make: Make
    needs_fit: bool  # on what its model says of its own members and of others
    version: int = 1


DEFENCES: Registry[DefenceKind] = Registry("defence", "mia.defences", "mia.defences")


def defence(name: str, *, options: type, needs_fit: bool = False, version: int = 1) -> Callable[[Function], Function]:
    """Enter an output defence: stands on its maker, (options, seed, fit_on) -> (logits -> (outputs, is_probability)).

    The maker is not called at the neutral strength, which leaves the very logits.

    Args:
        name: What it is called in configs.
        options: A dataclass with a default for every field, and what it says of its strength as the class variable
            `strength`.
        needs_fit: Whether the maker looks at `fit_on`, the model's logits on members and on non-members; else it gets
            None.
        version: Raised when the same options give other answers than before: runs of an older one are not used again.
    """

    def enter(make: Function) -> Function:
        if not hasattr(options, "name"):
            options.name = name  # type: ignore[attr-defined]  # so that an instance says what it is
        DEFENCES.add(name, DefenceKind(name, options, make, needs_fit, version), make.__module__, options)
        return make

    return enter


def setting(options: Any) -> Setting | None:
    """Return how strong a defence is, for people; None where it changes nothing.

    Of one that is not known today, as a stored run may have it, its name alone.
    """
    if options.name not in DEFENCES:
        return Setting(f"defence.{options.name}", str(options.name))
    kind = DEFENCES[options.name]
    strength = getattr(kind.options, "strength", Strength(kind.name))
    return None if strength is None else setting_of(options, strength, f"defence.{kind.name}")


def needs_fit(options: Any) -> bool:
    """Whether `make_defence` wants to know what the model says of its own members and of others."""
    return DEFENCES[options.name].needs_fit and setting(options) is not None


def make_defence(options: Any, *, seed: int = 0, fit_on: "Own | None" = None) -> "Defence":
    """Return the defence of one model: a function from logits to (outputs, whether these are probabilities).

    Each record is answered by itself and always in the same way: the same logits get the same answer, whatever else is
    asked; of MemGuard, up to the round-off of matrix products. At its neutral strength a defence returns the very
    logits. One of another package gets logits that it cannot write into, and its answers are checked.

    Args:
        options: Which defence, and how strong.
        seed: Of random answers and of MemGuard's classifier; one of its own for every model.
        fit_on: The model's logits on members and non-members that its owner knows, if `needs_fit`.

    Raises:
        RequestError: a defence of another package gave something else than outputs for each record.
        ExtensionError: it failed.
    """
    if setting(options) is None:
        return lambda logits: (logits, False)
    kind = DEFENCES[options.name]
    assert fit_on is not None or not kind.needs_fit, f"{kind.name} is fitted on the model's own members and non-members"
    known = fit_on if kind.needs_fit else None
    if not DEFENCES.is_ours(kind.name):
        from mia.defences.answers import checked

        return checked(DEFENCES.outside(kind.name), lambda: kind.make(options, seed, known))
    defended: Defence = kind.make(options, seed, known)
    return defended


def defend(logits: "Float[ndarray, '*R C']", options: Any, *, seed: int = 0, fit_on: "Own | None" = None) -> "Answers":
    """Return what a defended model gives for `logits`, and whether that is probabilities; see `make_defence`."""
    return make_defence(options, seed=seed, fit_on=fit_on)(logits)
