"""`mia [KEY=VALUE ...]` and `mia -m ...`: one experiment, or a sweep of them.

Checks the whole request before Hydra runs the first job, so that a wrong one leaves nothing behind.
"""

import sys
from collections.abc import Callable
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from mia.checks import RequestError
from mia.cli.job import Job, Outcome, run_job
from mia.cli.main import A_RUN_FAILED, ALL_IS_WELL
from mia.compose import HOME, compose_config, refuse_code, register
from mia.config import Config, as_yaml, to_options


def command(arguments: list[str]) -> int:
    """Run the request and return the exit code."""
    register()
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    asked = parser.parse_args(arguments)
    refuse_code(asked.overrides)
    for name in ("config_path", "config_name", "config_dir", "experimental_rerun"):
        if getattr(asked, name, None):
            raise RequestError(f"--{name.replace('_', '-')} is not for mia: its configs are its own")
    if asked.hydra_help or asked.shell_completion or asked.info:
        return _hydra(arguments)
    if asked.cfg:
        return _show(asked.cfg, asked.package, asked.overrides, arguments, is_sweep=asked.multirun)
    if asked.multirun:
        from mia.cli.multirun import run_sweep

        return run_sweep(asked.overrides, arguments)
    config: Config = to_options(compose_config(asked.overrides), Config)
    config.experiment()
    ended: list[Outcome | BaseException] = []

    def mia(composed: DictConfig) -> None:
        try:
            ended.append(run_job(Job.of(composed)))
        except BaseException as error:  # noqa: BLE001 - raised again below: Hydra would print it and exit
            ended.append(error)

    _hydra(arguments, mia)
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ALL_IS_WELL if ended[0].is_well else A_RUN_FAILED


def _show(kind: str, package: str | None, overrides: list[str], arguments: list[str], *, is_sweep: bool) -> int:
    """Print the config; the plain case needs no second composition by Hydra."""
    if is_sweep:
        return _hydra(arguments)
    composed = compose_config(overrides)
    to_options(composed, Config).experiment()
    if kind != "job" or package or "--resolve" in arguments:
        return _hydra(arguments)
    print(as_yaml(composed), end="")
    return ALL_IS_WELL


def _hydra(arguments: list[str], task: Callable[[DictConfig], None] = lambda _: None) -> int:
    """Let Hydra do what was asked, with `task` as the job."""
    sys.argv = ["mia", *arguments]
    hydra.main(version_base="1.3", config_path=str(HOME / "conf"), config_name="config")(task)()
    return ALL_IS_WELL


def _refuse(message: str) -> Any:
    raise RequestError(f"{message}; mia --help shows how it is used")
