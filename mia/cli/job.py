"""One configuration: already finished, or run now and tracked.

Takes a composed config; gives an `Outcome`. Everything that a person or a sweep needs to know of a run passes here.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mia.checks import RequestError
from mia.config import Config, as_yaml, flat, to_options
from mia.data.options import DataOptions
from mia.fingerprint import fingerprint
from mia.home import home
from mia.variants import spelt_out

if TYPE_CHECKING:
    from mia.records import Dataset
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

Status = Literal["finished", "reused", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of a configuration."""

    status: Status
    run_id: str = ""
    reason: str = ""  # of a failure, one line

    @property
    def is_well(self) -> bool:
        """Whether there is a finished run."""
        return self.status != "failed"


@dataclass(frozen=True)
class Job:
    """One configuration, as composed."""

    config: Config
    values: dict[str, Any]  # flat keys
    yaml: str
    overrides: list[str]
    sweep_id: str | None = None

    @classmethod
    def of(cls, composed: DictConfig, sweep_id: str | None = None) -> "Job":
        """Return the job that Hydra has just composed."""
        overrides = spelt_out(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
        return cls(to_options(composed, Config), flat(composed), as_yaml(composed), overrides, sweep_id)

    @property
    def command(self) -> str:
        """The exact command that repeats this run."""
        return shlex.join(["mia", *self.overrides])

    @property
    def name(self) -> str:
        """A name for people: what was chosen, then what was overridden."""
        config = self.config
        extra = [
            f"{key.split('.', 1)[-1]}={self.values[key]}"
            for key in (one.lstrip("+~").split("=")[0] for one in self.overrides)
            if "." in key and key in self.values and not key.startswith(("data.", "split.size", "tracking.", "engine."))
        ]
        return " ".join([f"{config.data.name} {config.model.name} n={config.split.size}", *extra])

    def axes(self) -> dict[str, float]:
        """Return the overridden numbers as metrics, so that they can be compared and sorted."""
        swept = {one.lstrip("+~").split("=")[0] for one in self.overrides} | {"split.size", "train.l2"}
        numbers = {key: value for key, value in self.values.items() if key in swept and isinstance(value, int | float)}
        return {f"axis/{key}": float(value) for key, value in numbers.items()}


_loaded: dict[str, "Dataset"] = {}
"""The last data set read by this process: the configurations of a sweep mostly share it."""


def load_data(options: DataOptions, progress: Callable[[int, int], None] | None = None) -> "Dataset":
    """Return the data set, read once as long as configurations ask for the same."""
    from mia.data import load

    key = repr(options)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load(options, progress)
    return _loaded[key]


def run_job(job: Job) -> Outcome:
    """Run the experiment, unless a finished run has the same numbers.

    Raises:
        RequestError: the request cannot work; nothing was left in the store.
    """
    from mia.cli.progress import console_observer
    from mia.experiment.identity import run_identity

    options = job.config.experiment()
    with console_observer() as observer:
        observer.stage("data")
        data = load_data(options.data, observer.loading)
        check(job, data)
        name = fingerprint(run_identity(options, data))
        from mia.cli.publish import print_stored
        from mia.tracking import Tracker

        tracker = Tracker.open(job.config.tracking, home())
        if job.sweep_id is None:
            tracker.close_dead_runs()
        found = None if job.config.rerun else tracker.finished(name)
        if found:
            observer.say(f"finished before as run {found.id} ({found.name}); rerun=true runs it again")
            if warning := tracker.reuse(found, job.sweep_id):
                observer.say(f"mia: warning: {warning}")
            if job.sweep_id is None:
                observer.close()
                print_stored(tracker, found)
            return Outcome("reused", found.id)
        return _run(job, data, name, tracker, observer)


def check(job: Job, data: "Dataset") -> None:
    """Refuse what cannot work with this data set.

    Raises:
        RequestError: one line that says what and why.
    """
    from mia.experiment.run import check_request

    check_request(job.config.experiment(), data)


def _run(job: Job, data: "Dataset", name: str, tracker: "Tracker", observer: Any) -> Outcome:
    from mia.cli.publish import describe, print_result, publish
    from mia.experiment.run import run_experiment
    from mia.store import PoolStore, User

    begun: list[Run] = []
    options = job.config.experiment()
    try:
        with tracker.run(
            name=job.name, fingerprint=name, params=job.values, tags=describe(job, data), parent_id=job.sweep_id
        ) as run:
            begun.append(run)
            run.log_dataset(data)
            run.log_text(job.yaml, "config.yaml")
            run.log_text("".join(f"- {one}\n" for one in job.overrides), "overrides.yaml")
            _prepare_jax()
            user = User(tracker.store_id, tracker.where)
            result, ensemble = run_experiment(options, data, PoolStore(home() / "pools", user), observer)
            publish(run, job, result, ensemble, data)
    except Exception as error:
        if isinstance(error, RequestError) and not begun:
            raise
        from mia.cli.main import A_RUN_FAILED, complain

        observer.close()
        complain(error, A_RUN_FAILED)
        return Outcome("failed", begun[0].id if begun else "", one_line(error))
    observer.close()
    print_result(result, run, job.name)
    return Outcome("finished", run.id)


def _prepare_jax() -> None:
    from mia.tracking.process import uninterrupted

    with uninterrupted():
        import mia.train.many
        import mia.train.predict  # noqa: F401
        from mia.train.devices import prepare

    prepare()


def run_and_catch(job: Job) -> Outcome:
    """Run a job of a sweep: whatever goes wrong fails this configuration alone."""
    from mia.cli.main import A_RUN_FAILED, complain

    try:
        return run_job(job)
    except Exception as error:  # noqa: BLE001 - the others must go on
        complain(error, A_RUN_FAILED)
        return Outcome("failed", "", one_line(error))


def one_line(error: BaseException) -> str:
    """Return an error's message, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
