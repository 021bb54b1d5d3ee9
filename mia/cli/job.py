"""One configuration: already finished, or run now and tracked.

Takes a composed config; gives an `Outcome`. Everything that a person or a sweep needs to know of a run passes here.
"""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig

from mia.attacks import attack_words
from mia.cli.finding import strongest
from mia.config import Config, as_yaml, flat, to_options
from mia.fingerprint import fingerprint
from mia.sweeper.check import LastData

if TYPE_CHECKING:
    from mia.records import ColumnSummary, Dataset
    from mia.store import PoolStore
    from mia.sweeper.total import Total
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

MOST_COLUMNS = 30
"""Columns of a table that are described in the terminal."""
SAID_ELSEWHERE = ("data.", "split.size", "tracking.", "engine.", "limit.")
"""Beginnings of keys that a run's name leaves out."""


@dataclass(frozen=True)
class Outcome:
    """What became of a configuration."""

    status: Literal["finished", "reused", "pruned", "failed"]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One configuration, as composed."""

    config: Config
    values: dict[str, Any]  # flat keys
    yaml: str
    overrides: list[str]
    home: Path
    sweep_id: str | None = None

    @classmethod
    def of(cls, composed: DictConfig, overrides: list[str], home: Path, sweep_id: str | None = None) -> "Job":
        """Return the job of a config and of the overrides that it was composed with."""
        return cls(to_options(composed, Config), flat(composed), as_yaml(composed), overrides, home, sweep_id)

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
            if "." in key and key in self.values and not key.startswith(SAID_ELSEWHERE)
        ]
        return " ".join([f"{config.data.name} {config.model.name} n={config.split.size}", *extra])

    def axes(self) -> dict[str, float]:
        """Return the overridden numbers as metrics, so that they can be compared and sorted."""
        swept = {one.lstrip("+~").split("=")[0] for one in self.overrides} | {"split.size", "train.l2"}
        swept = {key for key in swept if not key.startswith("limit.")}
        numbers = {key: value for key, value in self.values.items() if key in swept and isinstance(value, int | float)}
        return {f"axis/{key}": float(value) for key, value in numbers.items()}

    def tracker(self) -> "Tracker":
        """Open the store of runs."""
        from mia.tracking import Tracker

        return Tracker.open(self.config.tracking, self.home, waits=self.sweep_id is not None)


def run_job(
    job: Job, loaded: LastData | None = None, floor: tuple[str, float] | None = None, total: "Total | None" = None
) -> Outcome:
    """Run the experiment, unless a finished run has the same numbers.

    Args:
        job: What to run.
        loaded: The data set that was read last, if others of a sweep share it.
        floor: A metric of the target, and how low it may be for its shadows to be trained.
        total: How far the sweep is that it is part of.

    Raises:
        RequestError: the request cannot work; nothing was left in the store.
    """
    from mia.cli.progress import console_observer
    from mia.experiment.identity import run_identity
    from mia.experiment.observer import StageBegan, Step
    from mia.experiment.run import check_request

    options = job.config.experiment()
    with console_observer(total) as observer:
        observer(StageBegan("data"))
        data = (loaded or LastData()).load(options.data, lambda done, total: observer(Step("data", done, total)))
        check_request(options, data)
        name = fingerprint(run_identity(options, data))
        from mia.cli.publish import print_stored
        from mia.store.claims import claimed

        tracker = job.tracker()
        if job.sweep_id is None:
            tracker.close_dead_runs()
        with claimed(job.home / "claims", name, observer.say):
            found = None if job.config.rerun else tracker.finished(name)
            if found:
                observer.say(f"finished before as run {found.id} ({found.name}); rerun=true runs it again")
                if warning := tracker.reuse(found, job.sweep_id):
                    observer.say(f"mia: warning: {warning}")
                if job.sweep_id is None:
                    observer.close()
                    print_stored(tracker, found)
                return Outcome("reused", found.metrics)
            return _run(job, data, name, tracker, observer, floor)


def describe(job: Job, data: "Dataset") -> dict[str, str]:
    """Return the tags that say what a run is made of."""
    return {
        "mia.command": job.command,
        "mia.data_fingerprint": data.fingerprint,
        "mia.data": f"{data.name}: {len(data.x)} records, {data.num_classes} classes",
    }


def _stop_below(
    floor: tuple[str, float], job: Job, data: "Dataset", store: "PoolStore", run: "Run", observer: Any
) -> None:
    """End the run if its target is below the floor; only the target is trained for that."""
    from mia.experiment.floor import target_utility
    from mia.tracking.reading import PRUNED
    from mia.tracking.run import StoppedError

    found = target_utility(job.config.experiment(), data, store, observer)
    name, least = floor
    if found[name] < least:
        reason = f"{name}={found[name]:.4g} is below the floor {least:g}"
        run.log_metrics(found)
        run.set_tags({PRUNED: reason})
        raise StoppedError(reason)


def _run(
    job: Job, data: "Dataset", name: str, tracker: "Tracker", observer: Any, floor: tuple[str, float] | None
) -> Outcome:
    from mia.cli.publish import print_result, publish
    from mia.experiment.run import run_experiment
    from mia.store import PoolStore, User
    from mia.tracking.reading import CONFIG
    from mia.tracking.run import StoppedError

    begun: list[Run] = []
    options = job.config.experiment()
    try:
        near = {CONFIG: job.yaml} if len(job.yaml) <= tracker.tags_of_config else {}
        tags = describe(job, data) | near
        with tracker.run(name=job.name, fingerprint=name, params=job.values, tags=tags, parent_id=job.sweep_id) as run:
            begun.append(run)
            run.doing = lambda: observer.doing
            run.log_dataset(data)
            if data.columns:
                run.log_text("".join(f"{column.words}\n" for column in data.columns), "columns.txt")
                if job.sweep_id is None:
                    say_columns(data.columns, observer)
            run.log_text(job.yaml, "config.yaml")
            run.log_text("".join(f"- {one}\n" for one in job.overrides), "overrides.yaml")
            _prepare_jax()
            user = User(tracker.store_id, tracker.where)
            store = PoolStore(job.home / "pools", user)
            if floor:
                _stop_below(floor, job, data, store, run, observer)
            result = run_experiment(options, data, store, observer)
            run.log_metrics(job.axes())
            publish(run, result, data.x if data.is_image else None)
        if job.sweep_id:
            tracker.count(job.sweep_id, name, run.started, time.time() - run.started)
    except StoppedError as error:
        observer.close()
        print(f"{job.name}\n  pruned: {error}; run {begun[0].id}", flush=True)
        return Outcome("pruned")
    except Exception as error:
        if not begun:
            raise
        from mia.cli.main import A_RUN_FAILED, complain

        observer.close()
        complain(error, A_RUN_FAILED)
        return Outcome("failed")
    observer.close()
    if job.sweep_id is None:
        print_result(result, run, job.name)
    else:
        print_lines(result.metrics, run.id, job.name)
    return Outcome("finished", result.metrics)


def say_columns(columns: "Sequence[ColumnSummary]", observer: Any) -> None:
    """Say what was made of a table's columns before anything is trained."""
    for column in columns[:MOST_COLUMNS]:
        observer.say(f"  {column.words}")
    if len(columns) > MOST_COLUMNS:
        observer.say(f"  and {len(columns) - MOST_COLUMNS:,} more: columns.txt of the run has them all")


def print_lines(metrics: Mapping[str, float], run_id: str, name: str) -> None:
    """Print two lines about a run among many: what it was, and what came of it."""
    found = f"test accuracy {metrics['target/test_accuracy']:.3f}" if "target/test_accuracy" in metrics else ""
    if key := strongest(metrics):
        ends = f" ({metrics[f'{key}_low']:.3f} to {metrics[f'{key}_high']:.3f})" if f"{key}_low" in metrics else ""
        found += f", largest AUC {metrics[key]:.3f}{ends} of {attack_words(key.split('/')[1])}"
    print(f"{name}\n  {found}; run {run_id}", flush=True)


def _prepare_jax() -> None:
    from mia.tracking.process import uninterrupted

    with uninterrupted():
        import mia.train.many
        import mia.train.predict  # noqa: F401
        from mia.train.devices import prepare

    prepare()


def one_line(error: BaseException) -> str:
    """Return an error's message, or its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
