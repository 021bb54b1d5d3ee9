"""Composing configs: our schemas and sweeps in Hydra's hands, and one line for whatever is wrong with a request.

Takes overrides as typed; gives composed configs. Never runs anything.
"""

import re
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf import DictConfig

from mia import config
from mia.checks import RequestError, did_you_mean
from mia.limits import spell_limits
from mia.sweeper.files import asked_for, read_sweep, sweep_paths
from mia.variants import remember_variants, variant_names, variant_node

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent
HOME = CHECKOUT if (CHECKOUT / "conf" / "config.yaml").is_file() else PACKAGE
"""The folder that holds conf/ and sweeps/: the repository, or the package where it is installed."""


GROUPS = ("data", "split", "shadow_data", "model", "train", "defence", "attack", "engine", "tracking")
LAUNCHERS = {"joblib": "joblib", "submitit_slurm": "slurm", "submitit_local": "slurm"}
"""Launchers of Hydra's that come with an extra of ours."""
HYDRA_KEYS = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper")
"""What of Hydra itself a request may set: none of it names code."""


def sweep_files() -> dict[str, Path]:
    """Return the sweep files by name: the project's, and those in `sweeps/` of the current folder, which win."""
    return sweep_paths(HOME)


@cache
def register() -> None:
    """Make our schemas known to Hydra."""
    for group, name, node in config.schemas():
        ConfigStore.instance().store(group=group, name=name, node=node)


def register_sweeps(overrides: Iterable[str]) -> None:
    """Make the sweep files that overrides ask for known to Hydra; no other file is read.

    They are stored rather than found on the search path: that path would have to hold the folder above `sweeps/`, Hydra
    walks through all of it, and takes from a file whatever it says.

    Raises:
        RequestError: a file holds what a sweep file may not.
    """
    groups = [*GROUPS, "paper"]
    keys = [one.name for one in fields(config.Config)]
    for name in asked_for(overrides, sweep_files()):
        sweep = read_sweep(name, HOME, keys, groups)
        remember_variants(name, sweep.variants)
        for variant, values in sweep.variants.items():
            ConfigStore.instance().store(
                group=name, name=variant, node=variant_node(values, GROUPS), package="_global_"
            )
        ConfigStore.instance().store(group="sweeps", name=name, node=sweep.node, package="_global_")


def refuse_code(overrides: Iterable[str]) -> None:
    """Refuse overrides through which a config could name code: a config is data.

    Raises:
        RequestError: an override sets Hydra's own machinery, a target, a package, or takes a config from elsewhere.
    """
    for one in overrides:
        key, _, value = one.lstrip("+~").partition("=")
        root = re.match(r"\s*['\"]?(hydra\b[./]?\w*)", key)
        if "_target_" in re.split(r"[./\s]", key) or re.search(r"_target_['\"]?\s*:", value):
            raise RequestError(f"{one}: _target_ names code, and a config never does")
        if root and root[1] not in HYDRA_KEYS:
            raise RequestError(f"{one}: {root[1]} cannot be set; of Hydra itself: {', '.join(HYDRA_KEYS)}")
        if "@" in key:
            raise RequestError(f"{one}: {key} must be a plain config key, without @")
        is_group = key in (*GROUPS, "paper", "sweeps") or "/" in key
        if is_group and re.search(r"/|\.\.|\$\{", value):
            raise RequestError(f"{one}: choose by name, without a path")


def compose_config(overrides: list[str], name: str = "config", *, with_hydra: bool = False) -> DictConfig:
    """Return the composed config.

    Raises:
        RequestError: whatever Hydra or a schema has against the overrides, in one line.
    """
    refuse_code(overrides)
    register_sweeps(overrides)
    GlobalHydra.instance().clear()
    overrides = spell_limits(overrides)
    try:
        with initialize_config_dir(config_dir=str(HOME / "conf"), version_base="1.3", job_name="mia"):
            composed = compose(config_name=name, overrides=overrides, return_hydra_config=with_hydra)
    except Exception as error:
        raise RequestError(_explain(error, overrides, name)) from error
    if with_hydra and composed.hydra.callbacks:
        raise RequestError(f"hydra.callbacks={composed.hydra.callbacks} names code, and a config never does")
    return composed


def _explain(error: Exception, overrides: Iterable[str], name: str) -> str:
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
    if words := _not_one_pair(text, overrides):
        return words
    wanted = re.match(
        r"(?:Could not \w+(?: from config)?|Error merging override|Could not append to config) ?'?([^'\s=]+)", text
    )
    if wanted is None:
        return " ".join(text.split("See https://", maxsplit=1)[0].split())
    key = wanted[1].rstrip(".").lstrip("+~")
    if any(re.search(r"is not in struct|not in '\w+'", str(one)) for one in chain):
        return _unknown_key(key, overrides, name)
    return _wrong_value(key, chain, overrides)


def _not_one_pair(text: str, overrides: Iterable[str]) -> str:
    """Return what is wrong with an override that is not one key with one value, or nothing."""
    if text.startswith("Ambiguous value for argument") and (listed := re.search(r"'(.+?)'", text)):
        return f"{listed[1]} lists several values: mia -m sweeps over them, KEY=[A,B] is one list"
    nameless = next((one for one in overrides if one.lstrip("+~").startswith("=")), None)
    return f"{nameless} names no key; write KEY=VALUE" if nameless else ""


def _unknown_key(key: str, overrides: Iterable[str], name: str) -> str:
    chosen = [one for one in overrides if re.fullmatch(rf"({'|'.join(GROUPS)})=\w+", one) and name == "config"]
    known = config.keys(compose_config(chosen, name))
    parent = key.rpartition(".")[0]
    siblings = [other for other in known if other.rpartition(".")[0] == parent]
    close = did_you_mean(key, siblings) or did_you_mean(key, known)
    listed = siblings if parent or name != "config" else []
    values = ", ".join(listed) or "mia --cfg job shows all"
    return f"{key} is not a config key{close or ';'} known: {values}".replace("?;", "?")


def _wrong_value(key: str, chain: list[Exception], overrides: Iterable[str]) -> str:
    reason = next((line for one in reversed(chain) if (line := config.explain_value_error(one))), str(chain[-1]))
    given = next((override for override in overrides if override.lstrip("+~").startswith(f"{key}=")), key)
    return f"{given}: {' '.join(reason.removeprefix(f'{key}: ').split())}"


def _unknown_choice(text: str) -> str:
    missing = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if not missing:
        return " ".join(text.split())
    group, _, choice = missing[1].rpartition("/")
    choices = (
        sorted(sweep_files())
        if group == "sweeps"
        else variant_names(group) or sorted(file.stem for file in (HOME / "conf" / group).glob("*.yaml"))
    )
    if group == "hydra/launcher" and choice in LAUNCHERS:
        return f"{group}={choice} is not installed: pip install '.[{LAUNCHERS[choice]}]'"
    if group == "hydra/launcher":
        choices = ["basic", *LAUNCHERS]
    if not group or not choices:
        wrong, groups = group or choice, [*GROUPS, "paper", "sweeps"]
        return f"{wrong} is not a config group{did_you_mean(wrong, groups)}; known: {', '.join(groups)}"
    return f"{group}={choice} is not known{did_you_mean(choice, choices)}; known: {', '.join(choices)}"
