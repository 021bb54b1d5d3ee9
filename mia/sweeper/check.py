"""Many configurations, composed and judged before any of them runs.

Takes overrides; gives typed configs and their fingerprints. Hydra composes each choice of groups once; what differs in
plain values alone is set on a copy of that, as Hydra itself would, and each part of a config is made once for all
configurations that share its overrides. So a grid of thousands is checked in seconds. Never runs anything.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mia.checks import RequestError
from mia.composition import compose_with
from mia.config import Config, refuse_unknown, to_options, to_part
from mia.fingerprint import fingerprint
from mia.presets import spell_attacks

if TYPE_CHECKING:
    from mia.data.options import DataOptions
    from mia.records import Dataset

Values = tuple[str, ...]


@dataclass(frozen=True)
class Configuration:
    """One configuration of a sweep."""

    overrides: list[str]  # such that they can be typed anywhere
    config: Config
    fingerprint: str

    @property
    def name(self) -> str:
        """What sets it apart, for people."""
        return " ".join(one for one in self.overrides if not one.startswith("+sweeps="))


class LastData:
    """The last data set that was read: the configurations of a sweep mostly share one."""

    def __init__(self) -> None:
        self._key = ""
        self._data: Dataset | None = None

    def load(self, options: "DataOptions", progress: Any = None) -> "Dataset":
        """Return the data set, read once as long as the same is asked for."""
        from mia.data import load

        if self._data is None or self._key != repr(options):
            self._data = None  # never two at once
            self._data, self._key = load(options, progress), repr(options)
        return self._data

    def count(self, options: "DataOptions") -> int:
        """Return the number of records."""
        return len(self.load(options).x)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Travel to other processes without the data."""
        return LastData, ()


class Composer:
    """Composes configurations that differ in few values."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader, self._parser = loader, OverridesParser.create()
        self._parsed: dict[str, Override] = {}
        self._bases: dict[Values, DictConfig] = {}
        self._parts: dict[tuple[Values, str, Values], Any] = {}

    def config(self, overrides: list[str]) -> Config:
        """Return the config that overrides describe.

        Raises:
            RequestError: they cannot be composed, or a value is impossible.
        """
        split = self._split(overrides)
        if split is not None:
            base, values = split
            try:
                return Config(**{one.name: self._part(base, one.name, values) for one in fields(Config)})
            except (RequestError, OmegaConfBaseException, AssertionError):
                pass  # Hydra says below what is wrong
        config: Config = to_options(compose_with(self._loader, overrides), Config)
        return config

    def _split(self, overrides: list[str]) -> tuple[Values, Mapping[str, Values]] | None:
        """Return what Hydra has to compose, and the plain values by the part that they are set in.

        Hydra applies values in their order, after all choices: what is no plain value can come first as long as no
        plain value of its own part stands before it. None: it cannot, or a value may look elsewhere.
        """
        base: list[str] = []
        values: dict[str, Values] = {}
        for one in overrides:
            if "${" in one:
                return None
            root = one.lstrip("+~").partition("=")[0].partition(".")[0]
            if self._is_plain(one):
                values[root] = (*values.get(root, ()), one)
            elif root in values:
                return None
            else:
                base.append(one)
        return tuple(base), values

    def _is_plain(self, override: str) -> bool:
        key, _, value = override.partition("=")
        is_value = "." in key or key in ("seed", "rerun")
        return is_value and not key.startswith(("+", "~", "hydra")) and not value.lstrip().startswith("{")

    def _base(self, base: Values) -> DictConfig:
        if base not in self._bases:
            composed = compose_with(self._loader, list(base))
            refuse_unknown(composed, Config)
            self._bases[base] = composed
        return self._bases[base]

    def _part(self, base: Values, name: str, values: Mapping[str, Values]) -> Any:
        """Return one part of a config, made once for all configurations with the same choices and values of it."""
        own = values.get(name, ())
        if (base, name, own) not in self._parts:
            composed = self._base(base)
            if own:
                composed = copy.deepcopy(composed)
                for one in own:
                    OmegaConf.update(composed, one.partition("=")[0], self._value(one), merge=True)
            self._parts[base, name, own] = to_part(composed, name)
        return self._parts[base, name, own]

    def _value(self, override: str) -> Any:
        if override not in self._parsed:
            self._parsed[override] = self._parser.parse_override(override)
        parsed = self._parsed[override]
        if parsed.type is not OverrideType.CHANGE or parsed.is_sweep_override():
            raise RequestError(f"{override} is no plain value")
        return parsed.value()


def check_all(
    jobs: Iterable[list[str]], composer: Composer, data: LastData, *, is_sweep: bool = True
) -> list[Configuration]:
    """Return the configurations of a sweep, or of a single run, each once.

    Raises:
        RequestError: one of them cannot work; the message names it.
    """
    from mia.experiment.identity import run_identity
    from mia.experiment.run import check_request

    found: dict[str, Configuration] = {}
    possible: set[str] = set()  # whatever the seed
    for listed in jobs:
        overrides = listed
        try:
            overrides = spell_attacks(listed, composer.config, data.count)
            config = composer.config(overrides)
            config.tracking.check_enabled()
            options = config.experiment()
            dataset = data.load(options.data)
            if (kind := repr(replace(options, seed=0))) not in possible:
                check_request(options, dataset)
                possible.add(kind)
        except RequestError as error:
            where = f" (in the sweep's configuration {' '.join(overrides)})" if is_sweep else ""
            raise RequestError(f"{error}{where}") from error
        name = fingerprint(run_identity(options, dataset))
        found.setdefault(name, Configuration(overrides, config, name))
    return list(found.values())
