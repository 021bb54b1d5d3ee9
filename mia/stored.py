"""Stored runs as the typed configs they were: from the text of a run's `config.yaml` to options.

Takes a text that this version or an older one wrote; gives options, and says what did not fit: what is missing takes
its default, what is unknown is left out, what is refused today takes its default too. Never guesses from strings.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mia.attacks import ATTACKS
from mia.attacks.options import AttackOptions, attack_schema
from mia.bounded_yaml import FAST, refuse_tricks
from mia.checks import RequestError
from mia.experiment.options import ExperimentOptions

NEUTRAL = {"defence": "none", "shadow_data": "real"}
"""What a run had before there was a choice."""


@dataclass(frozen=True)
class Stored:
    """What a stored run was, and what of it this version cannot read as it stands."""

    options: ExperimentOptions
    unknown: tuple[str, ...] = ()  # keys that are no longer known, and KEY=VALUE that is refused today
    missing: tuple[str, ...] = ()  # keys that there were not yet, which took their defaults
    others: Mapping[str, Any] = field(default_factory=dict)  # values that `options` have no place for, by key


@dataclass(frozen=True)
class Schema:
    """What a config may hold today."""

    config: type
    groups: Collection[str]  # whose choice has options of its own
    options_of: Callable[[str], Mapping[str, type]]  # of a group's choices, by name


def rebuild(text: str, schema: Schema) -> Stored:
    """Return the options that a stored config describes.

    Raises:
        RequestError: it is no config at all.
    """
    try:
        refuse_tricks(text)
        found = yaml.load(text, FAST)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:
        raise RequestError(f"the stored config cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise RequestError("the stored config cannot be read: it must hold keys and values")
    return _Rebuilding(schema).all(found)


@lru_cache(maxsize=10_000)
def _scalar(kind: type, name: str, _: type, given: Any) -> Any:
    """Return a plain value as its field's type has it; the type of what was given tells 1 from true."""
    node = _typed(kind)
    node[name] = given
    return OmegaConf.to_container(node)[name]  # type: ignore[index,call-overload]


class _Rebuilding:
    """The rebuilding of one config, with what did not fit."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.unknown: list[str] = []
        self.missing: list[str] = []
        self.others: dict[str, Any] = {}

    def all(self, found: Mapping[str, Any]) -> Stored:
        known = {one.name for one in fields(self.schema.config)}
        for key in found:
            if key not in known:
                self.unknown.append(str(key))
                self.keep(str(key), found[key])
        parts = {one.name: self.part(one.name, one.type, found) for one in fields(ExperimentOptions)}
        options = self.construct(ExperimentOptions, parts, "")
        return Stored(options, tuple(self.unknown), tuple(self.missing), self.others)

    def keep(self, key: str, value: Any) -> None:
        """Keep what there is no place for today, value by value."""
        if isinstance(value, Mapping):
            for name, inner in value.items():
                self.keep(f"{key}.{name}", inner)
        else:
            self.others[key] = tuple(value) if isinstance(value, list) else value

    def part(self, name: str, kind: Any, found: Mapping[str, Any]) -> Any:
        """Return one part of the options."""
        if (
            name in found
            and not isinstance(found[name], Mapping)
            and (name in self.schema.groups or is_dataclass(kind))
        ):
            self.unknown.append(f"{name}={found[name]}")
        given = found.get(name)
        values = given if isinstance(given, Mapping) else {}
        if name in self.schema.groups:
            return self.chosen(name, values)
        if name == "attack":
            return self.attack(values)
        if isinstance(kind, type) and is_dataclass(kind):
            return self.build(kind, values, f"{name}.")
        return self.value(self.schema.config, name, given, "")

    def chosen(self, group: str, values: Mapping[str, Any]) -> Any:
        """Return the options of a group by the name that the run chose; of an unknown choice its bare values."""
        if "name" not in values:
            self.missing.append(f"{group}.name")
        name = str(values.get("name", NEUTRAL.get(group, "")))
        if name in (known := self.schema.options_of(group)):
            return self.build(known[name], {**values, "name": name}, f"{group}.")
        self.unknown.append(f"{group}.name={name}")
        return SimpleNamespace(**{str(key): value for key, value in values.items()} | {"name": name})

    def attack(self, values: Mapping[str, Any]) -> AttackOptions:
        """Return the attacks that ran."""
        shared = {one.name for one in fields(AttackOptions)} - {"chosen"}
        self.missing += [f"attack.{name}" for name in sorted(shared - set(values))]
        chosen = {}
        for name, options in values.items():
            if name in shared or options is None:
                continue
            if name in ATTACKS:
                chosen[name] = self.build(ATTACKS[name].options, options, f"attack.{name}.")
            else:
                self.unknown.append(f"attack.{name}")
                self.keep(f"attack.{name}", options)
        own = {name: self.value(attack_schema(), name, values[name], "attack.") for name in shared & set(values)}
        return self.construct(AttackOptions, {**own, "chosen": chosen}, "attack.")

    def build(self, kind: type, given: Any, prefix: str) -> Any:
        """Return an options class with what was stored for it."""
        if not isinstance(given, Mapping):
            self.unknown.append(f"{prefix[:-1]}={given}")
            given = {}
        names = {one.name for one in fields(kind)}
        for key in given:
            if key not in names:
                self.unknown.append(f"{prefix}{key}")
                self.keep(f"{prefix}{key}", given[key])
        values: dict[str, Any] = {}
        for one in fields(kind):
            if one.name not in given:
                self.missing.append(f"{prefix}{one.name}")
            elif is_dataclass(inner := one.default_factory):
                values[one.name] = self.build(inner, given[one.name], f"{prefix}{one.name}.")
            else:
                values[one.name] = self.value(kind, one.name, given[one.name], prefix)
        return self.construct(kind, values, prefix)

    def value(self, kind: type, name: str, given: Any, prefix: str) -> Any:
        """Return a value as its field's type has it, or its default where it is of another type."""
        try:
            if given is None or isinstance(given, str | int | float):
                # Runs of a sweep share most of their values.
                return _scalar(kind, name, type(given), given)  # type: ignore[arg-type]
            node = _typed(kind)
            node[name] = given
            return OmegaConf.to_container(node)[name]  # type: ignore[index,call-overload]
        except OmegaConfBaseException:
            self.unknown.append(f"{prefix}{name}={given}")
            return dataclasses.MISSING

    def construct(self, kind: type, values: Mapping[str, Any], prefix: str) -> Any:
        """Return an instance; values that its checks refuse today take their defaults."""
        kept = {name: value for name, value in values.items() if value is not dataclasses.MISSING}
        first = _made(kind, kept)
        if not isinstance(first, RequestError):
            return first
        for name, value in kept.items():
            without = _made(kind, {other: one for other, one in kept.items() if other != name})
            if not isinstance(without, RequestError):
                self.unknown.append(f"{prefix}{name}={value}" if not is_dataclass(value) else str(first))
                return without
        self.unknown.append(str(first))
        bare: Any = object.__new__(kind)  # as it was, unchecked: better than nothing to look at
        for one in fields(kind):
            default = one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
            setattr(bare, one.name, kept.get(one.name, default))
        return bare


def _made(kind: type, values: Mapping[str, Any]) -> Any:
    try:
        return kind(**values)
    except RequestError as error:
        return error
    except TypeError as error:  # a field without a default is not there
        return RequestError(str(error))


@cache
def _typed(kind: type) -> Any:
    return OmegaConf.structured(kind)
