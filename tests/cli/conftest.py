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
