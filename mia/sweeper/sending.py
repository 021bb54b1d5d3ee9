"""Where a sweep's jobs go that Hydra's launchers would not bring through: the queue of a cluster, and its folder.

Takes what a sweeper was given; sends and watches. Hydra's submitit launcher gives up at the first dead job and knows
nothing of an earlier submitter, so its options are used here, and submitit itself, but not the launcher. The folder of
the jobs is removed when none of them lives.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.singleton import Singleton
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from mia.sweeper import ledger
from mia.sweeper.check import Configuration
from mia.sweeper.lengths import families
from mia.sweeper.needs import needs
from mia.sweeper.queues import Needs, Queue, queue_has
from mia.sweeper.watching import Watch
from mia.sweeper.work import Shared, Work

if TYPE_CHECKING:
    from mia.sweeper.resuming import Task
    from mia.tracking.tracker import Tracker

FOLDER = "sweeps"  # beside the store: one folder for each sweep while its jobs live


def send_away(
    sender: "Task",
    task: "Task",
    context: HydraContext,
    config: DictConfig,
    configurations: Sequence[Configuration],
    tracker: "Tracker",
) -> bool:
    """Let a cluster run configurations and wait for them; return whether the chosen launcher is one for that.

    Args:
        sender: What this process knows of the sweep.
        task: What each job does.
        context: Hydra's.
        config: The sweep's own, with Hydra's part.
        configurations: What is missing, in the order of `task.launched`.
        tracker: The store of runs.

    Raises:
        RequestError: the cluster refuses the jobs.
    """
    folder = sender.home / FOLDER / task.sweep_id
    queue = _queue(config, folder, configurations, sender)
    if queue is None:
        return False
    engine = configurations[0].config.engine
    shared = folder / f"shared-{time.time_ns()}.pkl"
    number = {name: place for place, name in enumerate(task.launched)}
    by_name = {one.fingerprint: one for one in configurations}

    def work_of(names: Sequence[str]) -> Work:
        if not shared.exists():
            Shared(_for_jobs(task), config, context.config_loader, Singleton.get_state()).save(shared)
        return Work(shared, tuple((number[one], tuple(by_name[one].overrides)) for one in names))

    watch = Watch(
        queue=queue,
        tracker=tracker,
        run=tracker.resume(task.sweep_id),
        wanted=by_name,
        work_of=work_of,
        per_job=engine.configurations_per_job,
        show=sender.show,
        cancels=engine.on_interrupt == "cancel",
        families=families(configurations),
    )
    try:
        watch.go()
    finally:
        sender.show(None)
        clean(folder, queue, tracker, task.sweep_id)
    return True


def _queue(config: DictConfig, folder: Path, configurations: Sequence[Configuration], sender: "Task") -> Queue | None:
    options: dict[str, Any] = OmegaConf.to_container(config.hydra.launcher, resolve=True)  # type: ignore[assignment]
    launcher = str(options.get("_target_") or config.hydra.runtime.choices["hydra/launcher"])
    return queue_of(launcher, options, folder, lambda: needs(configurations, sender.data))


def _for_jobs(task: "Task") -> "Task":
    """Return what a job needs to know, without what only the submitter can use."""
    return replace(task, finish=_nothing, foretell=None)


def _nothing(*_: Any) -> int:
    return 0


def clean(folder: Path, queue: Queue, tracker: "Tracker", sweep_id: str) -> None:
    """Remove the folder of a sweep's jobs if none of them lives, here or anywhere."""
    sent = ledger.read(tracker, sweep_id)
    jobs = [job for one in sent if queue_has(queue, one) for job in one.ids or queue.sent(one.token)]
    if all(state.status == "ended" for state in queue.states(jobs).values()):
        shutil.rmtree(folder, ignore_errors=True)


def queue_of(launcher: str, options: Mapping[str, Any], folder: Path, needs: Needs) -> Queue | None:
    """Return the queue of a launcher, or None for those that Hydra runs itself.

    Args:
        launcher: The class that Hydra would make, or the name of one of ours.
        options: What is set under `hydra.launcher`.
        folder: For the files of the jobs.
        needs: Tells what a job should ask for where nothing is set: `cpus_per_task`, `mem_gb`.
    """
    makers: dict[str, Callable[[], Queue]] = {
        "SlurmLauncher": lambda: _slurm(options, folder, needs),
        "LocalLauncher": lambda: _local(options, folder),
        "ray": lambda: _ray(options, folder, needs),
    }
    make = makers.get(launcher.rpartition(".")[2])
    return make() if make else None


def _slurm(options: Mapping[str, Any], folder: Path, needs: Needs) -> Queue:
    from mia.sweeper.slurm_queue import SlurmQueue

    return SlurmQueue(options, folder, needs)


def _local(options: Mapping[str, Any], folder: Path) -> Queue:
    from mia.sweeper.local_queue import LocalQueue

    return LocalQueue(options, folder)


def _ray(options: Mapping[str, Any], folder: Path, needs: Needs) -> Queue:
    from mia.sweeper.ray_queue import RayQueue

    return RayQueue(options, folder, needs)
