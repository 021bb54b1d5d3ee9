"""One store for the tests of the command: making one costs seconds, copying one does not."""

import shutil

import pytest

from mia.tracking import Tracker, TrackingOptions


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    home = tmp_path_factory.mktemp("store") / "mlruns"
    Tracker.open(TrackingOptions(), home)
    return home


@pytest.fixture(scope="module")
def shared_home(empty_store, tmp_path_factory):
    """A store that the tests of one module share."""
    return shutil.copytree(empty_store, tmp_path_factory.mktemp("home") / "mlruns")


@pytest.fixture
def empty_home(empty_store, tmp_path):
    """An empty store of one's own."""
    return shutil.copytree(empty_store, tmp_path / "mlruns")


@pytest.fixture
def mia(monkeypatch, capfd):
    """Run the command in this process: arguments -> exit code, stdout, stderr."""
    from mia.cli.main import dispatch

    def run(home, *arguments):
        monkeypatch.setenv("MIA_HOME", str(home))
        capfd.readouterr()
        try:
            code = dispatch(list(arguments))
        except SystemExit as error:
            code = error.code or 0
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def listed(tmp_path):
    """List the jobs of a grid: what is typed after `mia -m` -> overrides of every configuration."""
    from hydra.types import HydraContext

    from mia.compose import compose_with, open_hydra, read_request
    from mia.sweeper.base import Task
    from mia.sweeper.grid import GridSweeper

    def jobs(typed):
        request, loader = read_request(typed), open_hydra().config_loader
        task = Task(None, None, tmp_path, "", variants=request.variants)
        plain = [one for one in request.overrides if "," not in one and not task.is_variant(one)]
        composed = compose_with(loader, plain, with_hydra=True)
        sweeper = GridSweeper(composed.hydra.sweeper)
        sweeper.setup(hydra_context=HydraContext(loader, None), task_function=task, config=composed)
        return sweeper.jobs(request.overrides)

    return jobs
