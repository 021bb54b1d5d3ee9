"""Which attacks to run (`attack.*`), and the schema that Hydra checks that part of a config against.

Each attack's own options live in its module. Takes values, checks them when built.
"""

from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from typing import Any, Optional

from mia.attacks.spec import ATTACKS, SHARED_KEYS
from mia.checks import RequestError


@dataclass
class AttackOptions:
    """The attacks to run, and what they share."""

    prior: float = 0.5  # share of members that precision is stated for
    growth: bool = False  # attack with the first 1, 2, 4 ... shadows too, for a curve
    chosen: dict[str, Any] = field(default_factory=dict)  # options by attack, in the order of the names

    def __post_init__(self) -> None:
        if not 0 < self.prior < 1:
            raise RequestError(f"attack.prior={self.prior!r} must lie between 0 and 1, both excluded")
        for name in self.chosen:
            ATTACKS[name]
        self.chosen = dict(sorted(self.chosen.items()))

    def adding(self, name: str) -> "AttackOptions":
        """Return these options with one more attack, by its defaults, unless it is among them."""
        return AttackOptions(self.prior, self.growth, {name: ATTACKS[name].options()} | self.chosen)


SHARED = tuple(one for one in fields(AttackOptions) if one.name in SHARED_KEYS)


@cache
def attack_schema() -> type:
    """Return the dataclass of the node `attack` of a config: what all share, and one optional key per attack."""
    own = [(name, Optional[spec.options], None) for name, spec in ATTACKS.items()]  # noqa: UP045 - for OmegaConf
    shared = [(one.name, one.type, one.default) for one in SHARED]
    return make_dataclass("AttackSchema", [*shared, *own])


def from_schema(node: Any) -> AttackOptions:
    """Return the options that an instance of the schema stands for; those that are such already come back.

    Raises:
        RequestError: an impossible value.
    """
    if isinstance(node, AttackOptions):
        return node
    given = {name: getattr(node, name) for name in ATTACKS.names()}
    shared = {one.name: getattr(node, one.name) for one in SHARED}
    return AttackOptions(**shared, chosen={name: options for name, options in given.items() if options is not None})


def default_nodes() -> dict[str, dict[str, Any]]:
    """Return what `attack=NAME` adds to a config, by name: for the attacks that come without a YAML file."""
    return {name: {name: spec.options()} for name, spec in ATTACKS.items()}
