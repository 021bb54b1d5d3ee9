"""Configurations that differ in `train.epochs` alone: trained once, the shorter ones on the way to the longest.

Takes what a sweep is about to launch; gives the same configurations, the longest of each family first, each told which
models its training is to keep (`engine.snapshots`). Whichever of them comes first trains for all; the others wait for
its pools. What depends on the number of epochs is trained apart by the experiment itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mia.sweeper.check import Configuration
from mia.train.options import EngineOptions

KEY = "engine.snapshots"


def alike(one: Configuration) -> str:
    """Return what configurations share that differ in the number of epochs alone."""
    options = one.config.experiment()
    return repr(replace(options, train=replace(options.train, epochs=1), engine=EngineOptions()))


def families(configurations: Sequence[Configuration]) -> dict[str, str]:
    """Return what the configurations of each family have in common, by fingerprint; those alone are left out."""
    by_family: dict[str, list[str]] = {}
    for one in configurations:
        if not one.config.train.depends_on_epochs():
            by_family.setdefault(alike(one), []).append(one.fingerprint)
    return {name: family for family, names in by_family.items() if len(names) > 1 for name in names}


def in_jobs(names: Sequence[str], families: Mapping[str, str], per_job: int) -> list[tuple[str, ...]]:
    """Return configurations by the job that runs them in turn: a family in one, so that nobody waits on a node for it.

    Args:
        names: Fingerprints, in the order in which they are to be run.
        families: As from the function of that name.
        per_job: How many a job runs; a larger family stays together.
    """
    units: dict[str, list[str]] = {}
    for name in names:
        units.setdefault(families.get(name, name), []).append(name)
    found: list[list[str]] = []
    for unit in units.values():
        if found and len(found[-1]) + len(unit) <= per_job:
            found[-1] += unit
        else:
            found.append(unit)
    return [tuple(one) for one in found]


def together(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Return the configurations as they should be launched; a family begins where the first of it stood."""
    families: dict[str, list[Configuration]] = {}
    for one in configurations:
        families.setdefault(alike(one), []).append(one)
    return [told for family in families.values() for told in _told(family)]


def _told(family: list[Configuration]) -> list[Configuration]:
    lengths = sorted({one.config.train.epochs for one in family})
    if len(lengths) == 1:
        return family
    longest_first = sorted(family, key=lambda one: -one.config.train.epochs)
    said = f"{KEY}=[{','.join(map(str, lengths))}]"
    return [
        one if any(given.startswith(KEY) for given in one.overrides) else replace(one, overrides=[*one.overrides, said])
        for one in longest_first
    ]
