"""Sweeps: what a multirun request asks for, job by job, before anything runs.

Takes overrides as typed; gives the jobs that Hydra's basic sweeper will launch. A sweep file is data: its header says
the question, the figure to look at and the cost. Never runs anything.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from mia.checks import RequestError
from mia.compose import compose_config, sweep_files
from mia.sweeper.files import header


@dataclass(frozen=True)
class Plan:
    """A sweep, before it runs."""

    name: str  # of the sweep file, or the swept keys
    question: str  # the sweep file's header; empty where there is no file
    jobs: list[list[str]]  # the overrides of every configuration
    workers: int = 1  # jobs that the launcher runs side by side on this machine


def plan_sweep(overrides: list[str]) -> Plan:
    """Return the jobs of `mia -m <overrides>`.

    Raises:
        RequestError: an override that cannot be read, an unknown sweep, a range that the basic sweeper cannot list.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except Exception as error:
        raise RequestError(" ".join(str(error).split())) from error
    fixed = [str(one.input_line) for one in parsed if not one.is_sweep_override()]
    composed = compose_config(fixed, with_hydra=True)
    params = composed.hydra.sweeper.get("params") or {}
    listed = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in params.items()])
    try:
        jobs = BasicSweeper.split_arguments([*listed, *parsed], None)[0]
    except Exception as error:
        raise RequestError(" ".join(str(error).split())) from error
    file = _sweep_file(parsed)
    swept = [one.get_key_element() for one in parsed if one.is_sweep_override()]
    name = file.stem if file else " x ".join(swept) or "multirun"
    return Plan(
        name,
        header(file.read_text(encoding="utf-8")) if file else "",
        jobs,
        min(_workers(composed.hydra.launcher), len(jobs)),
    )


def _workers(launcher: Any) -> int:
    """Return how many jobs the launcher runs at once on this machine; -1 means one per core, as joblib has it."""
    workers = int(launcher.get("n_jobs", 1))
    if workers == 0:
        raise RequestError("hydra.launcher.n_jobs=0 must be a number from 1, or -1 for one job per core")
    cores = os.cpu_count() or 1
    return workers if workers > 0 else max(cores + 1 + workers, 1)


def _sweep_file(parsed: list[Override]) -> Path | None:
    for one in parsed:
        if one.key_or_group == "sweeps":
            return sweep_files().get(str(one.value()))
    return None
