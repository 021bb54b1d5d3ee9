"""What an attack says of itself: the decorator that enters it, and all attacks by name.

Takes functions; gives `ATTACKS`. Imports nothing heavy and runs nothing.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mia.checks import RequestError, one_of
from mia.registry import Registry

Function = TypeVar("Function", bound=Callable[..., Any])

NEEDS = (
    *("shadows", "in_models", "out_models", "classes", "oracle", "features", "models", "trace"),
    *("known_nonmembers", "membership"),
)
"""What an attack may be unable to do without; `in_models`: shadows trained on the candidates; `classes`: an answer
for each class, which losses alone are not; `oracle`: models that answer further questions; `features`: the records
themselves; `models`: models to look into; `trace`: the target's losses while it was trained; `known_nonmembers`:
records that it surely was not trained on; `membership`: the truth itself, for attacks of the owner's view alone."""
AT_HAND = ("oracle", "features", "models", "trace")
"""Needs that predictions from a file never meet."""
VIEWS = ("attacker", "owner")
SHARED_KEYS = ("prior", "growth")
"""Keys beside the attacks' names in `attack.*`."""


@dataclass(frozen=True)
class AttackSpec:
    """One attack."""

    name: str
    function: Callable[..., Any]  # (signals, options, seed) -> Scores, or an array [Q]; a slow one takes `progress` too
    options: type  # a dataclass whose defaults work
    needs: tuple[str, ...] = ()  # of NEEDS
    citation: str = ""
    label: str = ""  # for people
    view: str = "attacker"  # who can do it: an attacker, or the owner alone, who sees into the models
    instead: str = ""  # the attack that does the same without shadows trained on the candidates
    fewest_shadows: Callable[[Any, str], int] | None = None  # from options and protocol; None: by its needs
    is_slow: bool = False  # says how far it has come
    version: int = 1  # raised when the same options give other scores than before

    @property
    def is_owners(self) -> bool:
        """Whether only the model's owner can do it: such a one is no attack that others must fear."""
        return self.view == "owner"

    @property
    def is_offline(self) -> bool:
        """Whether predictions are all it needs, from wherever they come."""
        return not set(AT_HAND) & set(self.needs)

    @property
    def summary(self) -> str:
        """One line for the help: the first of the options' docstring."""
        return (inspect.getdoc(self.options) or "").partition("\n")[0]


ATTACKS: Registry[AttackSpec] = Registry("attack", "mia.attacks", "mia.attacks")


def attack(
    name: str,
    *,
    options: type,
    needs: tuple[str, ...] = (),
    citation: str = "",
    label: str = "",
    view: str = "attacker",
    instead: str = "",
    fewest_shadows: Callable[[Any, str], int] | None = None,
    version: int = 1,
) -> Callable[[Function], Function]:
    """Enter the decorated function as an attack: `(signals, options, seed) -> Scores`, or an array of scores [Q].

    A function with a fourth parameter `progress` is called with one: `progress(done, total)` moves the bar, and may be
    None. One of the owner's view that needs `membership` is called with `is_member` too, a boolean for each candidate.
    No other ever sees the truth.

    Args:
        name: What it is called in configs: `attack=[name]`, `attack.name.<option>`.
        options: A dataclass; its defaults are what `attack=[name]` runs, its `__post_init__` checks values.
        needs: What it cannot do without, of `NEEDS`.
        citation: Whom to cite.
        label: What people call it; the name where empty.
        view: `attacker`, or `owner` for an attack that sees into the models.
        instead: The attack to use where no shadow was trained on the candidates.
        fewest_shadows: From options and protocol, the number of shadows below which it could score no record.
        version: Raised when the same options give other scores than before: runs of an older one are not used again.

    Raises:
        RequestError: the options are no dataclass, a need is unknown, an attacker wants the truth, or the name is
            taken.
    """
    if not name.isidentifier() or name in SHARED_KEYS:
        taken = " and ".join(SHARED_KEYS)
        raise RequestError(f"attack={name!r} must be one word of letters, digits and _; {taken} are options of all")
    for need in needs:
        one_of(f"attack={name}: needs", need, NEEDS)
    one_of(f"attack={name}: view", view, VIEWS)
    if "membership" in needs and view != "owner":
        raise RequestError(f"attack={name}: needs=membership is for view='owner' alone, no attacker has it")

    def enter(function: Function) -> Function:
        is_slow = "progress" in inspect.signature(function).parameters
        spec = AttackSpec(
            name,
            function,
            options,
            tuple(needs),
            citation,
            label or name,
            view,
            instead,
            fewest_shadows,
            is_slow,
            version,
        )
        ATTACKS.add(name, spec, function.__module__, options)
        return function

    return enter


def is_owners(name: str) -> bool:
    """Tell whether an attack is one that only the model's owner can do; of an unknown name, that it is not."""
    return name in ATTACKS and ATTACKS[name].is_owners


def attack_words(name: str) -> str:
    """Return an attack's name for a list that people read: what is the owner's says so."""
    return f"{name} (owner's view)" if is_owners(name) else name
