"""One sweep in Hydra's hands: the master config, the sweeper that was chosen, and a folder while it runs.

Takes a request and a task; gives the exit code. Leaves nothing on disk but what the store of runs holds.
"""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.types import HydraContext
from omegaconf import OmegaConf

from mia.composition import compose_with, open_hydra
from mia.overrides import key_of, parsed, quote
from mia.sweeper.grid import GridSweeper
from mia.sweeper.resuming import ResumingSweeper, Task
from mia.sweeper.search import SearchSweeper
from mia.tracking.process import is_gone

SWEEPERS: dict[str, type[ResumingSweeper]] = {"grid": GridSweeper, "optuna": SearchSweeper}
"""By their name in `hydra/sweeper=NAME`. Hydra itself would make a plug-in only by a target that a config names."""


class NoCallbacks:
    """In the place of Hydra's callbacks: a config names no code that would be called."""

    def on_job_start(self, **_: Any) -> None:
        """Do nothing."""

    def on_job_end(self, **_: Any) -> None:
        """Do nothing."""


def run_request(overrides: list[str], task: Task) -> int:
    """Let the sweeper that `hydra/sweeper` chooses run a request, and return the exit code.

    Raises:
        RequestError: the request was wrong; nothing ran.
        StorageError: the store failed.
    """
    fixed = [str(one.input_line) for one in parsed(overrides) if not one.is_sweep_override()]
    loader = open_hydra().config_loader
    with sweep_folder(task.home) as folder:
        own = [f"hydra.sweep.dir={quote(str(folder))}", "hydra.sweep.subdir=."]
        # Of attacks only the sweeper knows which are chosen where; what is wrong with one it says of a configuration.
        known = [one for one in fixed if not task.is_variant(one) and key_of(one).partition(".")[0] != "attack"]
        config = compose_with(loader, [*known, *own], with_hydra=True)
        context = HydraContext(config_loader=loader, callbacks=NoCallbacks())  # type: ignore[arg-type]
        chosen = SWEEPERS[config.hydra.runtime.choices["hydra/sweeper"]]
        sweeper = chosen(OmegaConf.to_object(config.hydra.sweeper))
        sweeper.setup(hydra_context=context, task_function=task, config=config)
        return sweeper.sweep(overrides)


@contextmanager
def sweep_folder(home: Path) -> Iterator[Path]:
    """Yield a folder for Hydra and its launchers, gone afterwards; removes those that killed sweeps left."""
    folder = home / "sweeps" / f"{socket.gethostname()}_{os.getpid()}_{time.time_ns()}"
    for other in folder.parent.glob("*_*_*"):
        host, pid, _ = other.name.rsplit("_", 2)
        if is_gone({"mia.host": host, "mia.pid": pid}):
            shutil.rmtree(other, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other sweeps have theirs there
            folder.parent.rmdir()
