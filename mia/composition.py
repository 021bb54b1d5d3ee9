"""Composing configs: our schemas in Hydra's hands, and one line for whatever is wrong with a request.

Takes overrides as typed; gives composed configs. Never runs anything.
"""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from mia import config
from mia.attacks import ATTACKS
from mia.checks import RequestError, did_you_mean, one_of
from mia.data import DATASETS
from mia.defences import DEFENCES
from mia.limits import spell_limits, spoken
from mia.models import MODELS
from mia.overrides import CHOICES, GROUPS, key_of, parsed, refuse_path, spell_out, tidy
from mia.presets import spell_attacks
from mia.registry import Registry
from mia.sweep_files import SweepFile, asked_for, read_sweep, sweep_paths
from mia.sweep_options import SWEEPERS
from mia.train.defences import TRAIN_DEFENCES

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
HOME = CHECKOUT if (CHECKOUT / "conf" / "config.yaml").is_file() else PACKAGE
"""The folder that holds conf/ and sweeps/: the repository, or the package where it is installed."""
LAUNCHERS = {"joblib": "joblib", "submitit_slurm": "slurm", "submitit_local": "slurm"}
"""Launchers of Hydra's that come with an extra of ours."""
EXTENSIONS: dict[str, Registry[Any]] = {
    "data": DATASETS, "model": MODELS, "defence": DEFENCES, "attack": ATTACKS, "train": TRAIN_DEFENCES,
}  # fmt: skip
"""What installed packages can add to, by config key."""


@dataclass(frozen=True)
class Request:
    """What was typed, ready for Hydra, and the sweep files that it asks for."""

    overrides: list[str]
    files: dict[str, SweepFile] = field(default_factory=dict)

    @property
    def variants(self) -> dict[str, dict[str, list[str]]]:
        """The overrides that `+SWEEP=VARIANT` stands for."""
        return {name: file.variants for name, file in self.files.items()}

    def title(self) -> tuple[str, str]:
        """Return a sweep's name and its question: those of its file, or the swept keys."""
        asked = [key_of(one) for one in self.overrides]
        if "sweeps" in asked:
            name = self.overrides[asked.index("sweeps")].partition("=")[2].strip("'\"")
            return name, self.files[name].question
        swept = [one.get_key_element() for one in parsed(self.overrides) if one.is_sweep_override()]
        return " x ".join(swept) or "multirun", ""

    def fixed(self) -> list[str]:
        """Return the overrides that all configurations of a sweep share."""
        known = [str(one.input_line) for one in parsed(self.overrides) if not one.is_sweep_override()]
        return spell_out(known, self.variants)

    def spelt_out(self) -> list[str]:
        """Return the overrides with variants spelt out, so that they can be typed anywhere.

        Raises:
            RequestError: there is no such variant.
        """
        return spell_out(self.overrides, self.variants)


def read_request(typed: Iterable[str]) -> Request:
    """Return a request, and make the sweep files that it asks for known to Hydra; no other file is read.

    They are stored rather than found on the search path: that path would have to hold the folder above `sweeps/`, Hydra
    walks through all of it, and takes from a file whatever it says.

    Raises:
        RequestError: an override cannot be read, or a file holds what a sweep file may not.
    """
    overrides, paths = tidy(spell_limits(typed)), sweep_paths(HOME)
    for one in overrides:
        name = one.partition("=")[2].strip("'\"")
        if key_of(one) == "sweeps" and not one.startswith("+"):
            raise RequestError(f"{one}: a sweep file is added to the config: +sweeps={name}")
        if key_of(one) == "sweeps" and name not in paths:
            if "," in name or "(" in name:
                raise RequestError(f"{one} must name one sweep; mia report sweep=A,B takes several")
            raise RequestError(
                f"sweeps={name} is not known{did_you_mean(name, paths)}; known: {', '.join(sorted(paths))}"
            )
    keys, groups = [one.name for one in fields(config.Config)], [*GROUPS, "paper"]
    files = {name: read_sweep(name, HOME, keys, groups) for name in asked_for(overrides, paths, {*keys, *groups})}
    for name, file in files.items():
        ConfigStore.instance().store(group="sweeps", name=name, node=file.node, package="_global_")
    typed_keys = {key_of(one) for one in overrides}
    own = () if "hydra/sweeper" in typed_keys else files.values()  # another sweeper has other options
    chosen = [one for file in own for one in file.sweeper if key_of(one) not in typed_keys]
    return Request([*chosen, *overrides], files)


def compose_config(typed: list[str], name: str = "config") -> DictConfig:
    """Return the composed config of what was typed.

    Raises:
        RequestError: whatever Hydra or a schema has against the overrides, in one line.
    """
    loader, overrides = open_hydra(name).config_loader, read_request(typed).spelt_out()
    if name == "config":
        overrides = spell_attacks(overrides, lambda rest: config.to_options(compose_with(loader, rest), config.Config))
    return compose_with(loader, overrides, name)


def open_hydra(name: str = "config") -> Any:
    """Return Hydra's application on our folder of configs and our schemas, to compose the config of that name."""
    register(name)
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(HOME / "conf"), version_base="1.3", job_name="mia"):
        return GlobalHydra.instance().hydra


def know_all_sweeps() -> None:
    """Make the names of all sweep files known to Hydra, for completion; none is read."""
    for name in sweep_paths(HOME):
        ConfigStore.instance().store(group="sweeps", name=name, node={}, package="_global_")


def compose_with(
    loader: ConfigLoader, overrides: list[str], name: str = "config", *, with_hydra: bool = False
) -> DictConfig:
    """Return the config that overrides describe, as `read_request` gives them.

    Raises:
        RequestError: whatever Hydra or a schema has against them, in one line.
    """
    for one in overrides:  # whoever wrote it, and wherever
        refuse_path(one)
    try:
        composed = loader.load_configuration(name, overrides, RunMode.RUN, from_shell=False)
    except (HydraException, OmegaConfBaseException) as error:
        raise RequestError(_explain(error, overrides, name, loader)) from error
    except AssertionError as error:  # of OmegaConf, at a key below one that holds nothing
        raise RequestError(_below_nothing(overrides)) from error
    except ValueError as error:
        if not str(error).startswith("Config group override must be"):
            raise
        wrong = [one for one in overrides if key_of(one) in CHOICES and not re.fullmatch(r"[^=]*=\[?[a-z_].*", one)]
        wrong = wrong or [one for one in overrides if re.search(r"=(null|nan|true|false)$", one, re.IGNORECASE)]
        raise RequestError(f"{' '.join(wrong or overrides)}: choose by name, a list of names as [A,B]") from error
    if name == "config":
        one_of("hydra/sweeper", composed.hydra.runtime.choices["hydra/sweeper"], SWEEPERS)
    if composed.hydra.callbacks:
        raise RequestError(f"hydra.callbacks={composed.hydra.callbacks} names code, and a config never does")
    if not with_hydra:
        with open_dict(composed):
            del composed["hydra"]
    return composed


@cache
def register(asked: str = "config") -> None:
    """Make the schemas of a config known to Hydra; an installed package that cannot be used is said on stderr."""
    for group, name, node in config.schemas(asked):
        if not (HOME / "conf" / group / f"{name}.yaml").exists():
            ConfigStore.instance().store(group=group, name=name, node=node)
    for name, node in SWEEPERS.items() if asked == "config" else ():
        ConfigStore.instance().store(group="hydra/sweeper", name=name, node=node)
    for key, registry in EXTENSIONS.items():
        for name, reason in registry.broken.items():
            print(f"mia: warning: {key}={name}: {reason}", file=sys.stderr)


def _explain(error: Exception, overrides: Iterable[str], name: str, loader: ConfigLoader) -> str:
    """Return one line that says which override is wrong and what would be right."""
    chain = [error]
    while isinstance(chain[-1].__cause__, Exception):
        chain.append(chain[-1].__cause__)
    for cause in reversed(chain):
        if isinstance(cause, RequestError):
            return str(cause)
    if isinstance(error, MissingConfigException):
        return _unknown_choice(str(error))
    text = str(error)
    if listed := re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'", text):
        return f"{listed[1]} lists several values: mia -m sweeps over them, KEY=[A,B] is one list"
    wanted = re.match(
        r"(?:Could not \w+(?: from config\.?)?|Error merging override|Could not append to config) ?'?([^'\s=]+)", text
    )
    if wanted is None:
        return " ".join(text.split("See https://", maxsplit=1)[0].split())
    key = wanted[1].rstrip(".").lstrip("+~")
    if any(re.search(r"is not in struct|not in '\w+'|delete from config.* does not exist", str(one)) for one in chain):
        return _unknown_key(key, overrides, name, loader)
    return _wrong_value(key, chain, overrides)


def _below_nothing(overrides: Iterable[str]) -> str:
    """Return one line for an override of an option whose owner is not there: an attack that does not run."""
    for one in overrides:
        parts = key_of(one).split(".")
        if parts[0] == "attack" and len(parts) > 2 and parts[1] in ATTACKS:
            return f"{one}: attack={parts[1]} does not run here; choose it, attack=[{parts[1]}], where it is possible"
    return f"{' '.join(overrides)}: a key stands below one that holds nothing"


def _unknown_key(key: str, overrides: Iterable[str], name: str, loader: ConfigLoader) -> str:
    if key in GROUPS and name == "config":
        return f"{key} is a group: choose by name, {key}=NAME, or set one of its keys, {key}.KEY=VALUE"
    if key.startswith("hydra.sweeper.params"):
        return f"{key} is added, not changed: mia -m KEY=1,2,3, or +{key}=... with a plus"
    choice = re.compile(rf"({'|'.join(GROUPS)})=(\w+|\[[\w, ]*\])")
    chosen = [one for one in overrides if choice.fullmatch(one) and name == "config"]
    known = config.keys(compose_with(loader, chosen, name))
    parent = key.rpartition(".")[0]
    siblings = [other for other in known if other.rpartition(".")[0] == parent]
    close = did_you_mean(key, siblings) or did_you_mean(key, known)
    listed = siblings if parent or name != "config" else []
    values = ", ".join(listed) or "mia --cfg job shows all"
    text = f"{key} is not a config key{close or ';'} known: {values}".replace("?;", "?")
    return spoken(text)


def _wrong_value(key: str, chain: list[Exception], overrides: Iterable[str]) -> str:
    if any("does not support deletion" in str(one) for one in chain):
        return f"~{key}: a key cannot be taken away; ~attack.NAME leaves an attack out, {key}=VALUE sets another value"
    reason = next((line for one in reversed(chain) if (line := config.explain_value_error(one))), str(chain[-1]))
    given = next((override for override in overrides if override.lstrip("+~").startswith(f"{key}=")), key)
    return f"{given}: {' '.join(reason.removeprefix(f'{key}: ').split())}"


def _unknown_choice(text: str) -> str:
    missing = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if not missing:
        return " ".join(text.split())
    group, _, choice = missing[1].rpartition("/")
    if group == "hydra/launcher" and choice in LAUNCHERS:
        return f"{group}={choice} is not installed: pip install '.[{LAUNCHERS[choice]}]'"
    if (registry := EXTENSIONS.get(group)) is not None and choice in registry.broken:
        return f"{group}={choice}: {registry.broken[choice]}"
    if group == "attack" and choice in ("quick", "full"):
        return f"attack={choice} stands alone, without brackets"
    choices = choices_of(group)
    if not group or not choices:
        wrong, groups = group or choice, CHOICES
        return f"{wrong} is not a config group{did_you_mean(wrong, groups)}; known: {', '.join(groups)}"
    return f"{group}={choice} is not known{did_you_mean(choice, choices)}; known: {', '.join(choices)}"


def choices_of(group: str) -> list[str]:
    """Return the names that can be chosen in a config group."""
    if group in ("hydra/launcher", "hydra/sweeper"):
        own = sorted(file.stem for file in (HOME / "conf" / group).glob("*.yaml"))
        return ["basic", *LAUNCHERS, *own] if group == "hydra/launcher" else list(SWEEPERS)
    files = {file.stem for file in (HOME / "conf" / group).glob("*.yaml")}
    more = {"attack": ["quick", "full", *ATTACKS.names()]}.get(group) or config.options_of(group)
    return sorted(files.union(more))
