"""What every sweeper of ours does: check all, open the sweep's run, resume, launch what is missing, finish.

A sweeper of Hydra's through its public plug-in interface. It takes the overrides of a request; gives what the task's
`finish` makes of the sweep. What is finished, and what became of the rest, stands in the store of runs alone. It calls
whatever launcher was chosen, or sends jobs to a cluster's queue and watches them, and never runs a job itself.
"""

import signal
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mia.checks import RequestError
from mia.fingerprint import fingerprint
from mia.machine import usable_cores
from mia.overrides import key_of
from mia.sweeper.check import Composer, Configuration, LastData, check_all
from mia.sweeper.lengths import together
from mia.sweeper.sending import send_away
from mia.sweeper.total import Total
from mia.tracking.process import terminate_as_interrupt

if TYPE_CHECKING:
    from mia.records import StoredRun
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

SECONDS_TO_DIE = 10.0


def ignore(progress: Any) -> None:
    """Look away."""


@dataclass(frozen=True)
class Task:
    """What every job of a sweep knows; Hydra's launchers call it with each composed config, in any process."""

    run: Callable[["Task", DictConfig], None]
    finish: Callable[["Swept"], int]
    home: Path
    name: str  # of the sweep file, or the swept keys
    question: str = ""  # the sweep file's header
    command: str = ""
    variants: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)  # sweep -> variant -> overrides
    watch: Callable[[list[list[str]]], Iterable[list[str]]] = iter  # shows how far the check is
    foretell: Callable[..., int] | None = None  # in the place of a dry run
    show: Callable[[Any], None] = ignore  # how far the jobs of a cluster are, time and again
    data: LastData = field(default_factory=LastData)
    floor: tuple[str, float] | None = None  # a metric of the target, below which its shadows are not trained
    sweep_id: str = ""
    launched: tuple[str, ...] = ()  # fingerprints of the jobs, by number
    cores: int = 0  # of a job that has others beside it; 0: all
    total: Total | None = None  # how far the sweep is when they are launched

    def __call__(self, composed: DictConfig) -> None:
        """Run one job."""
        self.run(self, composed)

    def is_variant(self, override: str) -> bool:
        """Tell whether an override chooses a variant, which Hydra does not know of."""
        return override.startswith("+") and key_of(override) in self.variants


def _repeats(found: Sequence[Configuration]) -> str:
    """Return how many of the configurations repeat others with another seed, in words; empty if none does."""
    seeds = {one.config.seed for one in found}
    settings = len({tuple(sorted(word for word in one.name.split() if key_of(word) != "seed")) for one in found})
    return (
        f": {settings} with {len(seeds)} seeds each" if len(seeds) > 1 and settings * len(seeds) == len(found) else ""
    )


@dataclass(frozen=True)
class Swept:
    """A sweep whose jobs have ended, however they did."""

    task: Task
    tracker: "Tracker"
    run: "Run"
    configurations: list[Configuration]
    outcomes: Mapping[str, Any]  # fingerprint -> status, run_id and reason
    members: Sequence["StoredRun"]  # all attempts of its runs, latest first
    is_interrupted: bool = False
    error: Exception | None = None  # of the launcher

    @property
    def counted(self) -> list["StoredRun"]:
        """The runs that count, oldest first: of every configuration the latest finished one, or else the latest."""
        from mia.tracking.reading import latest_attempts

        return latest_attempts(self.members)


class ResumingSweeper(Sweeper):
    """A sweeper that launches what has no finished run."""

    def __init__(self, options: Any) -> None:
        """Take what is set under `hydra.sweeper`."""
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over; the task function is a `Task`."""
        if not isinstance(task_function, Task):
            raise TypeError("the sweepers of mia run its own jobs alone")
        self.task, self._context, self._config = task_function, hydra_context, config

    @abstractmethod
    def jobs(self, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of every configuration.

        Raises:
            RequestError: the arguments cannot be read, or list nothing.
        """

    def sweep(self, arguments: list[str]) -> int:
        """Run every configuration that is not finished, and return what `Task.finish` makes of it: the exit code.

        Raises:
            RequestError: some configuration is impossible; nothing ran.
            StorageError: the store failed.
        """
        jobs = self.jobs(arguments)
        workers = self.workers(len(jobs))
        found = check_all(self.task.watch(jobs), Composer(self._context.config_loader), self.task.data)
        if self.task.foretell and any(one.config.dry_run for one in found):
            return self.task.foretell(found, self.task.home, self.task.data, workers)
        from mia.tracking import Tracker

        with terminate_as_interrupt():
            tracker = Tracker.open(found[0].config.tracking, self.task.home)
            for dead in tracker.close_dead_runs():
                print(f"mia: run {dead.id} was left behind by a process that died: closed as KILLED", file=sys.stderr)
            expected = {one.fingerprint: one.name for one in found}
            identity = fingerprint({"sweep": self.task.name, "runs": sorted(expected)})
            tags = {"mia.command": self.task.command, "mia.question": self.task.question}
            run = tracker.open_sweep(self.task.name, identity, tags, expected)
            counted = f"{len(jobs)} configurations" + (f", {len(found)} different" if len(found) < len(jobs) else "")
            print(f"sweep {self.task.name}: {counted}{_repeats(found)}, run {run.id}", file=sys.stderr)
            is_interrupted, failure = False, None
            try:
                todo = missing(tracker, found, run.id)
                done = len(found) - len(todo)
                self.launch(todo, tracker, run.id, workers, Total(len(found), done, done))
            except KeyboardInterrupt:
                is_interrupted = True
                print("mia: interrupted; the same command goes on where this one stopped", file=sys.stderr)
            except RequestError:
                run.finish("FAILED")
                raise
            except Exception as error:  # noqa: BLE001 - whatever a launcher raises, the summary is written
                failure = error
            with shielded():
                wait_for_the_dead(tracker, run.id)
                members = tracker.members(run.id)
                outcomes = tracker.outcomes(run.id, members)
                return self.task.finish(
                    Swept(self.task, tracker, run, found, outcomes, members, is_interrupted, failure)
                )

    def workers(self, jobs: int) -> int:
        """Return how many jobs the launcher runs at once on this machine; -1 means one per core, as joblib has it."""
        asked = int(self._config.hydra.launcher.get("n_jobs", 1))
        if asked == 0:
            raise RequestError("hydra.launcher.n_jobs=0 must be a number from 1, or -1 for one job per core")
        return min(asked if asked > 0 else max(usable_cores() + 1 + asked, 1), jobs)

    def launch(
        self, configurations: list[Configuration], tracker: "Tracker", sweep_id: str, workers: int, total: Total
    ) -> None:
        """Let Hydra's launcher, or a cluster, run configurations; what became of them stands in the store.

        Raises:
            RequestError: the cluster refuses the jobs.
            Exception: the launcher gave up, for example since a worker was killed.
        """
        if not configurations:
            return
        configurations = together(configurations)
        names = tuple(one.fingerprint for one in configurations)
        share = max(usable_cores() // workers, 1) if workers > 1 else 0
        task = replace(self.task, sweep_id=sweep_id, launched=names, cores=share, total=total)
        task = replace(task, watch=iter, show=ignore)
        if send_away(self.task, task, self._context, self._config, configurations, tracker):
            return
        launcher = Plugins.instance().instantiate_launcher(self._context, task, self._config)
        launcher.launch([one.overrides for one in configurations], initial_job_idx=0)


def missing(tracker: "Tracker", configurations: list[Configuration], sweep_id: str) -> list[Configuration]:
    """Return the configurations to run; finished runs of the others are counted among the sweep's."""
    finished = tracker.all_finished({one.fingerprint for one in configurations if not one.config.rerun})
    warnings = [warning for run in finished.values() if (warning := tracker.reuse(run, sweep_id))]
    if warnings:
        more = f" (and {len(warnings) - 1} more like it)" if len(warnings) > 1 else ""
        print(f"mia: warning: {warnings[0]}{more}", file=sys.stderr)
    return [one for one in configurations if one.fingerprint not in finished]


def wait_for_the_dead(tracker: "Tracker", sweep_id: str) -> None:
    """Close the runs of workers that a launcher has ended."""
    deadline = time.monotonic() + SECONDS_TO_DIE
    while tracker.has_running(sweep_id):
        if not tracker.close_dead_runs():
            if time.monotonic() > deadline:
                return
            time.sleep(0.2)


@contextmanager
def shielded() -> Iterator[None]:
    """Let a second Ctrl-C not cut the summary short."""
    is_main = threading.current_thread() is threading.main_thread()  # nobody else may decide about signals
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM) if is_main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
