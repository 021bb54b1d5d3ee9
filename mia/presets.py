"""`attack=quick` and `attack=full`: all attacks that an experiment can hold, the slow ones left out or not.

Takes overrides; gives them with the attacks by name. Composes nothing itself.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mia.attacks import ATTACKS
from mia.checks import RequestError
from mia.config import Config
from mia.overrides import key_of


def spell_attacks(
    overrides: list[str],
    config_of: Callable[[list[str]], Config],
    count_of: Callable[[Any], int] | None = None,
) -> list[str]:
    """Return overrides with `attack=quick` and `attack=full` replaced by the attacks that are possible.

    Args:
        overrides: Of one configuration.
        config_of: Composes the same without the attacks: what is possible depends on the split.
        count_of: Number of records of a data set, by its options; asked only where something hangs on it. None: no
            attack is left out for want of records.
    """
    chosen = [one for one in overrides if is_preset(one)]
    if not chosen:
        return overrides
    from mia.attacks import check_possible
    from mia.experiment.needs import check_known_nonmembers, check_needs, needs_known_nonmembers

    asked = config_of([one for one in overrides if key_of(one).partition(".")[0] != "attack"])
    is_quick = chosen[-1] == "attack=quick"
    names = [name for name, spec in ATTACKS.items() if not spec.is_owners and not (is_quick and spec.is_slow)]
    possible = []
    for name in names:
        with suppress(RequestError):
            check_possible(name, ATTACKS[name].options(), asked.split.protocol, asked.split.num_shadows)
            check_needs(name, asked.model, asked.train)
            possible.append(name)
    if count_of and any(needs_known_nonmembers(name, asked.split) for name in possible):
        names, possible, count = possible, [], count_of(asked.data)
        for name in names:
            with suppress(RequestError):
                check_known_nonmembers(name, asked.split, count)
                possible.append(name)
    return [f"attack=[{','.join(possible)}]" if is_preset(one) else one for one in overrides]


def is_preset(override: str) -> bool:
    """Tell whether an override chooses attacks by how long they take."""
    return override in ("attack=quick", "attack=full")
