"""One store for all tests of tracking: making one costs seconds, copying one does not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mia.tracking import Tracker, TrackingOptions


@pytest.fixture(scope="session")
def made_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "mlruns"
    Tracker.open(TrackingOptions(), home)
    return home


@pytest.fixture
def new_home(made_store: Path, tmp_path: Path) -> Path:
    """A folder with an empty store of its own."""
    return shutil.copytree(made_store, tmp_path / "mlruns")


@pytest.fixture
def open_tracker(new_home: Path) -> Callable[..., Tracker]:
    return lambda **options: Tracker.open(TrackingOptions(**options), new_home)


@pytest.fixture
def tracker(open_tracker: Callable[..., Tracker]) -> Tracker:
    return open_tracker()
