"""Attacks: from what models say about records to one score per record, high = member.

An attack is one file: its options, what it needs, whom to cite, and its function, entered by the decorator `attack`.
Our own lie in this folder; an installed package adds one through an entry point of the group `mia.attacks`.
"""

from typing import TYPE_CHECKING, Any

from mia.attacks.spec import ATTACKS, AttackSpec, attack, attack_words, is_owners

if TYPE_CHECKING:
    from mia.attacks.run import AttackError, check_possible, check_signals, run_attack
    from mia.records import Scores, Signals

__all__ = [
    "ATTACKS",
    "AttackError",
    "AttackSpec",
    "Scores",
    "Signals",
    "attack",
    "attack_words",
    "check_possible",
    "check_signals",
    "is_owners",
    "run_attack",
]


def __getattr__(name: str) -> Any:
    """Load what needs NumPy when it is first asked for."""
    if name in ("AttackError", "check_possible", "check_signals", "run_attack"):
        from mia.attacks import run

        return getattr(run, name)
    if name in ("Scores", "Signals"):
        from mia import records

        return getattr(records, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
