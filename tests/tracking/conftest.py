"""One store for all tests of tracking: making one costs seconds, copying one does not. And one server, with a store."""

import gc
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tracking_server import Server

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


@pytest.fixture(scope="session")
def one_server(made_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = shutil.copytree(made_store, tmp_path_factory.mktemp("far") / "mlruns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{home}/mlflow.db")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
        patch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(home / "artifacts"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow.server import app
        from werkzeug.serving import make_server

        server = Server()
        web = make_server("127.0.0.1", 0, server.guards(app), threaded=True)
        server.port = web.server_port
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield server
        web.shutdown()
        thread.join()
        web.server_close()


@pytest.fixture
def server(one_server: Server) -> Iterator[Server]:
    yield one_server
    one_server.password = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # the connections that MLflow leaves open are nobody's fault here


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.filterwarnings("ignore"))])
def any_tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Tracker:
    """A tracker of a local file, then one of a server: what is read is the same."""
    if request.param == "file":
        return request.getfixturevalue("tracker")
    uri = request.getfixturevalue("server").address()
    return Tracker.open(TrackingOptions(uri=uri, experiment=tmp_path.name), tmp_path)
