"""`mia -m ...`: a sweep's run in the store, its jobs by Hydra's launcher, its summary whatever happens.

The whole grid is composed and checked before anything runs. Jobs report what became of them in one small file each, so
that any launcher will do, in this process or in others.
"""

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mia.checks import RequestError
from mia.cli.job import Job, Outcome, check, load_data, run_and_catch
from mia.cli.main import A_RUN_FAILED, ALL_IS_WELL, INTERRUPTED
from mia.compose import HOME, compose_config, register
from mia.config import Config, to_options
from mia.files import whole_file
from mia.fingerprint import fingerprint
from mia.home import home
from mia.sweep import Plan, plan_sweep

if TYPE_CHECKING:
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

SWEEP_VARIABLE = "MIA_SWEEP_RUN"
FOLDER_VARIABLE = "MIA_SWEEP_FOLDER"


def run_sweep(overrides: list[str], arguments: list[str]) -> int:
    """Run every configuration that is not finished, write the summary, and return the exit code.

    Raises:
        RequestError: some configuration of the grid is impossible; nothing ran.
    """
    plan = plan_sweep(overrides)
    first = _check_all(plan)
    from mia.tracking import Tracker

    tracker = Tracker.open(first.tracking, home())
    for run in tracker.close_dead_runs():
        print(f"mia: run {run.id} was left behind by a process that died: closed as KILLED", file=sys.stderr)
    identity = {"sweep": plan.name, "jobs": [sorted(job) for job in plan.jobs]}
    command = shlex.join(["mia", "-m", *overrides])
    sweep = tracker.open_sweep(
        plan.name, fingerprint(identity), {"mia.command": command, "mia.question": plan.question}
    )
    folder = home() / "sweeps" / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")
    print(f"sweep {plan.name}: {len(plan.jobs)} configurations, run {sweep.id}", file=sys.stderr)
    status = "KILLED"
    try:
        _launch(arguments, sweep.id, folder)
        status = "FINISHED"
    except KeyboardInterrupt:
        print("mia: interrupted; the same command goes on where this one stopped", file=sys.stderr)
    finally:
        outcomes = _outcomes(folder)
        failed = sum(not one.is_well for one in outcomes)
        if status == "FINISHED" and failed:
            status = "FAILED"
        _finish(tracker, sweep, plan, outcomes, status)
    return {"FINISHED": ALL_IS_WELL, "FAILED": A_RUN_FAILED}.get(status, INTERRUPTED)


def _check_all(plan: Plan) -> Config:
    """Compose every job and refuse the sweep if one of them cannot work."""
    configs = []
    for overrides in plan.jobs:
        composed = compose_config(overrides)
        job = Job(to_options(composed, Config), {}, "", overrides)
        try:
            job.config.experiment()
            check(job, load_data(job.config.data))
        except RequestError as error:
            raise RequestError(f"{error} (in the sweep's configuration {' '.join(overrides)})") from error
        configs.append(job.config)
    return configs[0]


def _launch(arguments: list[str], sweep_id: str, folder: Path) -> None:
    """Let Hydra launch the jobs; they find the sweep through their environment."""
    given = {
        "hydra.sweep.dir": folder,
        f"+hydra.job.env_set.{SWEEP_VARIABLE}": sweep_id,
        f"+hydra.job.env_set.{FOLDER_VARIABLE}": folder,
    }
    sys.argv = ["mia", *arguments, *(f"{key}={_quote(str(value))}" for key, value in given.items())]
    hydra.main(version_base="1.3", config_path=str(HOME / "conf"), config_name="config")(run_sweep_job)()


def run_sweep_job(composed: DictConfig) -> str:
    """One job of a sweep, wherever the launcher runs it. A failure is reported, not raised: the others go on."""
    register()
    job = Job.of(composed, os.environ[SWEEP_VARIABLE])
    number = int(HydraConfig.get().job.num)
    print(f"[{number + 1}] {' '.join(job.overrides)}", file=sys.stderr, flush=True)
    outcome = run_and_catch(job)
    record = asdict(outcome) | {"overrides": job.overrides}
    with whole_file(Path(os.environ[FOLDER_VARIABLE]) / f"{number:05d}.json") as path:
        path.write_text(json.dumps(record))
    return outcome.status


def _quote(text: str) -> str:
    """Return a value that Hydra's override grammar reads back as it is."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _outcomes(folder: Path) -> list[Outcome]:
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("[0-9]*.json"))]
    return [Outcome(one["status"], one["run_id"], one["reason"]) for one in records]


def _finish(tracker: "Tracker", sweep: "Run", plan: Plan, outcomes: list[Outcome], status: str) -> None:
    """Write the summary into the sweep's run, and say how it went."""
    from mia.cli.summary import write_summary

    with _shielded():
        counts = {kind: sum(one.status == kind for one in outcomes) for kind in ("reused", "finished", "failed")}
        line = f"{counts['reused']} reused, {counts['finished']} trained, {counts['failed']} failed"
        if missing := len(plan.jobs) - len(outcomes):
            line += f", {missing} not run"
        write_summary(tracker, sweep, plan, outcomes, line)
        sweep.finish(status)
        print(f"sweep {plan.name}: {line}", file=sys.stderr)
        for one in outcomes:
            if not one.is_well:
                print(f"  failed: {one.reason}", file=sys.stderr)


@contextmanager
def _shielded() -> Iterator[None]:
    """Let a second Ctrl-C not cut the summary short."""
    import signal

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
