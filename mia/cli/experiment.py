"""`mia [KEY=VALUE ...]` and `mia -m ...`: one experiment, or a sweep of them; what Hydra itself can say of a config."""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Collection
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from mia.attacks import is_owners
from mia.checks import RequestError, one_of
from mia.cli.arguments import check_here
from mia.cli.main import A_RUN_FAILED, ALL_IS_WELL, judge
from mia.composition import compose_with, know_all_sweeps, open_hydra, read_request
from mia.config import Config, as_yaml, to_options
from mia.home import home
from mia.limits import check_limits
from mia.presets import spell_attacks
from mia.sweeper.check import Composer, LastData


def command(arguments: list[str]) -> int:
    """Run the request and return the exit code."""
    check_here()
    parser = _parser()
    asked = parser.parse_intermixed_args(arguments)
    hydra = open_hydra()
    if asked.shell_completion:
        _check_completion(asked.overrides, hydra.get_shell_to_plugin_map(hydra.config_loader))
        know_all_sweeps()
        hydra.shell_completion("config", asked.overrides)
        return ALL_IS_WELL
    request = read_request(asked.overrides)
    if asked.hydra_help:
        hydra.hydra_help("config", parser, Namespace(overrides=[], resolve=False))
        return ALL_IS_WELL
    if asked.multirun and not asked.cfg and not asked.info:
        from mia.cli.sweep import run_sweep

        return run_sweep(request, shlex.join(["mia", "-m", *asked.overrides]), home())
    overrides = request.fixed() if asked.multirun else request.spelt_out()
    data, is_shown = LastData(), bool(asked.cfg or asked.info)
    overrides = spell_attacks(overrides, Composer(hydra.config_loader).config, None if is_shown else data.count)
    composed = compose_with(hydra.config_loader, overrides)
    config: Config = to_options(composed, Config)
    config.experiment()
    if asked.info:
        hydra.show_info(asked.info, "config", overrides)
    elif asked.cfg == "job" and not asked.package:
        print(as_yaml(composed), end="")
    elif asked.cfg:
        hydra.show_cfg("config", overrides, asked.cfg, asked.package, asked.resolve)
    else:
        return _run_or_tell(config, composed, overrides, hydra.config_loader, data)
    return ALL_IS_WELL


def _check_completion(typed: list[str], shells: Collection[str]) -> None:
    """Refuse what Hydra cannot complete for.

    Raises:
        RequestError: not one of its three requests is typed, or the shell is none that it knows.
    """
    asked = [one.partition("=") for one in typed if one.startswith(("install=", "uninstall=", "query="))]
    if len(asked) != 1:
        raise RequestError("--shell-completion takes one of install=SHELL, uninstall=SHELL and query=SHELL: "
                           "mia --shell-completion install=bash")  # fmt: skip
    one_of(asked[0][0], asked[0][2], shells)


def _run_or_tell(
    config: Config, composed: DictConfig, overrides: list[str], loader: ConfigLoader, data: LastData
) -> int:
    """Run one experiment, or say what that would do; return the exit code."""
    config.tracking.check_enabled()
    if config.dry_run:
        from mia.cli.forecast import tell
        from mia.sweeper.check import check_all

        return tell(check_all([overrides], Composer(loader), data, is_sweep=False), home(), data)
    from mia.cli.job import Job, run_job

    outcome = run_job(Job.of(composed, overrides, home()), data)
    return A_RUN_FAILED if outcome.status == "failed" else judge(check_limits(outcome.metrics, config.limit, is_owners))


class _Parser(ArgumentParser):
    def error(self, message: str) -> Any:
        raise RequestError(f"{message}; mia --help shows how it is used")


def _parser() -> ArgumentParser:
    """Return the parser of what is no override, with Hydra's own names."""
    parser = _Parser(prog="mia", add_help=False, allow_abbrev=False)
    parser.add_argument("overrides", nargs="*", help="KEY=VALUE")
    parser.add_argument("--multirun", "-m", action="store_true", help="run a sweep")
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"], help="print the config, run nothing")
    parser.add_argument("--package", "-p", help="with --cfg: a part of it")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: values in place of references")
    parser.add_argument(
        "--info", "-i", nargs="?", const="all", help="what Hydra knows: all, config, defaults, plugins ..."
    )
    parser.add_argument("--hydra-help", action="store_true", help="this help")
    parser.add_argument("--shell-completion", "-sc", action="store_true", help="install=bash, uninstall=bash")
    return parser
