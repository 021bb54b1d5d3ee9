"""The jobs of a sweep in Hydra's hands: launched by any of its launchers, each reporting in one small file.

Takes the arguments as typed and a sweep's run; gives what became of each job. Leaves nothing on disk when it is done.
"""

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import current_process
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mia.cli.job import Job, Outcome, run_and_catch
from mia.compose import HOME, register, register_sweeps
from mia.files import StorageError, whole_file
from mia.home import home
from mia.tracking.process import is_gone

SWEEP_VARIABLE = "MIA_SWEEP_RUN"
FOLDER_VARIABLE = "MIA_SWEEP_FOLDER"
CORE_VARIABLES = ("MIA_CORES", "NPROC")
"""What bounds our devices, and XLA's own threads; joblib bounds those of BLAS."""


@contextmanager
def sweep_folder() -> Iterator[Path]:
    """Yield a folder for Hydra and for the jobs' reports, gone afterwards; removes those that killed sweeps left."""
    folder = home() / "sweeps" / f"{socket.gethostname()}_{os.getpid()}_{time.time_ns()}"
    for other in folder.parent.glob("*_*_*"):
        host, pid, _ = other.name.rsplit("_", 2)
        if is_gone({"mia.host": host, "mia.pid": pid}):
            shutil.rmtree(other, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.exists() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def launch(arguments: list[str], sweep_id: str, folder: Path, workers: int) -> None:
    """Let Hydra launch the jobs; they find the sweep, and their share of the cores, through their environment.

    Raises:
        Exception: the launcher gave up, for example since a worker was killed.
    """
    given = {
        "hydra.sweep.dir": str(folder),
        "hydra.sweep.subdir": ".",
        f"+hydra.job.env_set.{SWEEP_VARIABLE}": sweep_id,
        f"+hydra.job.env_set.{FOLDER_VARIABLE}": str(folder),
    }
    if workers > 1:
        share = str(max((os.cpu_count() or 1) // workers, 1))
        given |= {f"+hydra.job.env_set.{name}": share for name in CORE_VARIABLES}
    sys.argv = ["mia", *arguments, *(f"{key}={_quote(value)}" for key, value in given.items())]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, rather than print and exit
    hydra.main(version_base="1.3", config_path=str(HOME / "conf"), config_name="config")(run_sweep_job)()


def run_sweep_job(composed: DictConfig) -> str:
    """One job of a sweep, wherever the launcher runs it. A failure is reported, not raised: the others go on."""
    if current_process().name.startswith("LokyProcess"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the sweep, which ends its workers
    register()
    register_sweeps(HydraConfig.get().overrides.task)
    job = Job.of(composed, os.environ[SWEEP_VARIABLE])
    number = int(HydraConfig.get().job.num)
    print(f"[{number + 1}] {' '.join(HydraConfig.get().overrides.task)}", file=sys.stderr, flush=True)
    outcome = run_and_catch(job)
    try:
        with whole_file(Path(os.environ[FOLDER_VARIABLE]) / f"{number:05d}.json") as path:
            path.write_text(json.dumps(asdict(outcome)))
    except StorageError as error:
        print(f"mia: error: {error}", file=sys.stderr)
    return outcome.status


def outcomes(folder: Path) -> dict[int, Outcome]:
    """Return what became of the jobs that have reported, by their number."""
    return {int(path.stem): Outcome(**json.loads(path.read_text())) for path in sorted(folder.glob("[0-9]*.json"))}


def _quote(text: str) -> str:
    """Return a value that Hydra's override grammar reads back as it is."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
