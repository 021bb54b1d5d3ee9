"""What a job runs, wherever it is: some configurations of a sweep, one after another.

Takes what the submitter left in a folder that both see; what comes of it stands in the store of runs. SIGTERM ends the
run that is being made as Ctrl-C does: it is closed as KILLED, and what it has trained is kept.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import open_dict

from mia.tracking.process import terminate_as_interrupt
from mia.tracking.slurm import JOB, own_job

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

    from mia.sweeper.resuming import Task


@dataclass(frozen=True)
class Shared:
    """What all jobs of a submission have in common."""

    task: "Task"
    config: "DictConfig"  # the sweep's own, with Hydra's part
    loader: "ConfigLoader"
    singletons: Any  # Hydra's: among them the sweep files, as they were when the jobs were sent

    def save(self, path: Path) -> None:
        """Write it for the jobs to find."""
        from submitit.core.utils import cloudpickle_dump

        path.parent.mkdir(parents=True, exist_ok=True)
        cloudpickle_dump(self, path)


@dataclass(frozen=True)
class Work:
    """Some configurations for one job."""

    shared: Path
    jobs: tuple[tuple[int, tuple[str, ...]], ...]  # number in the sweep, and overrides
    name: str = ""  # of the job, where no variable of the environment tells it


class Runner:
    """Does the work of a job; submitit calls `checkpoint` before it puts a job back into the queue."""

    def __call__(self, work: Work) -> None:
        """Run the configurations in turn."""
        from submitit.core.utils import pickle_load  # as submitit fetches the work itself

        if own := own_job().get(JOB, "") or work.name or _local_name():
            os.environ["MIA_JOB"] = own
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit lets it pass
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would ignore it
        with terminate_as_interrupt():
            shared: Shared = pickle_load(work.shared)
            for number, overrides in work.jobs:
                run_one(shared, number, overrides)

    def checkpoint(self, work: Work) -> Any:
        """Return what the job does when it is started again: the same, and what is finished by then is reused."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, work)


def run_one(shared: Shared, number: int, overrides: tuple[str, ...]) -> None:
    """Run one configuration as Hydra's own launchers do, but leave no folder behind."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.singleton import Singleton
    from hydra.core.utils import setup_globals

    Singleton.set_state(shared.singletons)
    setup_globals()
    composed = shared.loader.load_sweep_config(shared.config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.num = number
        composed.hydra.job.id = os.environ.get("MIA_JOB", str(number))
    HydraConfig.instance().set_config(composed)
    with open_dict(composed):
        del composed["hydra"]
    shared.task(composed)


def _local_name() -> str:
    number = os.environ.get("SUBMITIT_LOCAL_JOB_ID")
    return f"local:{number}" if number else ""
