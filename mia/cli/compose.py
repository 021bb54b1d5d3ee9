"""Composing configs: Hydra's search path, our schemas, and one line for whatever is wrong with a request.

Takes overrides as typed; gives composed configs. Never runs anything.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from mia import config
from mia.checks import RequestError, did_you_mean

PACKAGE = Path(__file__).resolve().parent.parent
CHECKOUT = PACKAGE.parent
HOME = CHECKOUT if (CHECKOUT / "conf" / "config.yaml").is_file() else PACKAGE
"""The folder that holds conf/ and sweeps/: the repository, or the package where it is installed."""


class SweepFiles(SearchPathPlugin):
    """Lets Hydra find `+sweeps=NAME` from any folder."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder that holds sweeps/."""
        search_path.append("mia", f"file://{HOME}")


def register() -> None:
    """Make our schemas and sweep files known to Hydra."""
    store = ConfigStore.instance()
    for group, name, node in config.schemas():
        store.store(group=group, name=name, node=node)
    Plugins.instance().register(SweepFiles)


def compose_config(overrides: list[str], name: str = "config", *, with_hydra: bool = False) -> DictConfig:
    """Return the composed config.

    Raises:
        RequestError: whatever Hydra or a schema has against the overrides, in one line.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(HOME / "conf"), version_base="1.3", job_name="mia"):
            return compose(config_name=name, overrides=overrides, return_hydra_config=with_hydra)
    except Exception as error:  # noqa: BLE001 - Hydra's parser raises many kinds
        raise RequestError(_explain(error, overrides, name)) from error


def _explain(error: Exception, overrides: Iterable[str], name: str) -> str:
    """Return one line that says which override is wrong and what would be right."""
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)  # type: ignore[arg-type]
    for cause in reversed(chain):
        if isinstance(cause, RequestError):
            return str(cause)
    key = next((one.full_key for one in chain if getattr(one, "full_key", None)), None)
    if isinstance(error, MissingConfigException):
        return _unknown_choice(str(error), overrides)
    text = str(error)
    wanted = re.match(r"Could not (?:override|append to|delete from config\.? ?) ?'?([^'\s]+)'?", text)
    if wanted and "Could not find" not in text:
        return _unknown_key(wanted[1], name) if _is_unknown(chain) else _wrong_value(key or wanted[1], chain, overrides)
    if key and not isinstance(error, HydraException):
        return _wrong_value(key, chain, overrides)
    return " ".join(text.split())


def _is_unknown(chain: list[Exception]) -> bool:
    return any(re.search(r"is not in struct|not in '\w+'", str(one)) for one in chain)


def _unknown_key(key: str, name: str) -> str:
    known = config.keys(compose_config([], name))
    leaf = [other for other in known if other.split(".")[0] == key.split(".")[0]]
    return f"{key} is not a config key{did_you_mean(key, leaf or known) or did_you_mean(key, known)}; mia --cfg job shows all"


def _wrong_value(key: str, chain: list[Exception], overrides: Iterable[str]) -> str:
    reason = next((line for one in reversed(chain) if (line := config.explain_value_error(one))), str(chain[-1]))
    given = next((override for override in overrides if override.lstrip("+~").startswith(f"{key}=")), key)
    return f"{given}: {' '.join(reason.removeprefix(f'{key}: ').split())}"


def _unknown_choice(text: str, overrides: Iterable[str]) -> str:
    missing = re.search(r"Could not find '([^']+)'", text)
    choices = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
    if not missing:
        return " ".join(text.split())
    group, _, choice = missing[1].rpartition("/")
    if not choices:
        known = ["data", "split", "model", "train", "defence", "attack", "engine", "tracking", "sweeps"]
        return f"{group or choice} is not a config group{did_you_mean(group or choice, known)}; known: {', '.join(known)}"
    return f"{group}={choice} is not known{did_you_mean(choice, choices)}; known: {', '.join(choices)}"
