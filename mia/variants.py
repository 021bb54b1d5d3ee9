"""Variants: the configurations of a sweep that no grid of keys can list, such as defences with strengths of their own.

A sweep file may hold `variants:`, a mapping from a name to overrides as one would type them. Hydra then knows a config
group of the sweep's name (`+frontier=dropout_0.5`), and the sweep runs through all of it.

Takes and gives configs; never runs anything.
"""

from collections.abc import Iterable
from typing import Any

from omegaconf import OmegaConf

_overrides: dict[str, dict[str, list[str]]] = {}
"""Sweep -> variant -> overrides, of the sweep files read by this process."""


def remember_variants(sweep: str, variants: dict[str, list[str]]) -> None:
    """Keep the variants of a sweep file for this process."""
    _overrides[sweep] = variants


def variant_names(sweep: str) -> list[str]:
    """Return the variants of a sweep; none where it has none, or there is no such sweep."""
    return list(_overrides.get(sweep, ()))


def spelt_out(overrides: Iterable[str]) -> list[str]:
    """Return overrides with each variant replaced by what it stands for, so that they can be typed anywhere."""
    spelt: list[str] = []
    for one in overrides:
        sweep, _, name = one.lstrip("+").partition("=")
        spelt += _overrides.get(sweep, {}).get(name, [one])
    return spelt


def variant_node(overrides: Iterable[str], groups: Iterable[str]) -> dict[str, Any]:
    """Return a config that does what the overrides do: choices of groups first, then values."""
    pairs = [one.partition("=") for one in overrides]
    choices = [{f"override /{key}": value} for key, _, value in pairs if key in groups]
    values = OmegaConf.from_dotlist([f"{key}={value}" for key, _, value in pairs if key not in groups])
    return {"defaults": [*choices, "_self_"], **OmegaConf.to_container(values)}  # type: ignore[dict-item]
