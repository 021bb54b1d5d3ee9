import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mia.checks import RequestError
from mia.files import StorageError
from mia.tracking import Tracker, TrackingOptions, address, home
from mia.tracking.mlflow_errors import PATIENCE, Calls

START_TOGETHER = """
import os, sys
from pathlib import Path
from mia.tracking import Tracker, TrackingOptions
from mia.tracking.mlflow_errors import quiet_mlflow

quiet_mlflow()
import mlflow.store.tracking.sqlalchemy_store  # once, for all
children = []
for number in range(4):
    child = os.fork()
    if not child:
        try:
            tracker = Tracker.open(TrackingOptions(experiment="together"), Path(sys.argv[1]))
            for attempt in range(3):
                with tracker.run(name=f"{number}.{attempt}", params={"a": 1}) as run:
                    run.log_metrics({f"m{k}": k for k in range(50)})
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def refused(home: Path, **options: str) -> str:
    with pytest.raises(RequestError) as caught:
        Tracker.open(TrackingOptions(**options), home)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_four_processes_start_on_an_empty_folder(tmp_path: Path):
    home = tmp_path / "with space" / "mlruns"
    home.mkdir(parents=True)
    (home / ".mlflow.db.0123").write_bytes(b"left by a process that was killed while it made the store")
    done = subprocess.run([sys.executable, "-c", START_TOGETHER, home], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tracker = Tracker.open(TrackingOptions(experiment="together"), home)
    assert sorted(run.name for run in tracker.runs(status="FINISHED")) == [
        f"{i}.{j}" for i in range(4) for j in range(3)
    ]
    with sqlite3.connect(home / "mlflow.db") as connection:
        names = connection.execute("SELECT name FROM experiments ORDER BY experiment_id").fetchall()
        assert names == [("Default",), ("together",)]
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (12,)
    assert sorted(path.name for path in home.iterdir()) == [".mlflow.lock", ".mlflow.schema", "artifacts", "mlflow.db"]


def test_moved_store_finds_its_files(tracker: Tracker, new_home: Path, tmp_path: Path):
    with tracker.run(name="a", fingerprint="f") as run:
        run.log_text("here", "file.txt")
    moved = tmp_path / "elsewhere" / "mlruns"
    shutil.move(new_home, moved)
    after = Tracker.open(TrackingOptions(), moved)
    assert after.artifact(run.id, "file.txt").read_text() == "here"
    with after.run(name="b") as later:
        later.log_text("new", "file.txt")
    assert after.artifact(later.id, "file.txt").is_relative_to(moved)
    assert not new_home.exists()


def test_copied_store_leaves_the_first_alone(tracker: Tracker, new_home: Path, tmp_path: Path):
    with tracker.run(name="a") as run:
        run.log_text("first", "file.txt")
    copy = shutil.copytree(new_home, tmp_path / "copy")
    assert Tracker.open(TrackingOptions(), copy).artifact(run.id, "file.txt").is_relative_to(copy)
    assert tracker.artifact(run.id, "file.txt").is_relative_to(new_home)


def test_store_reached_by_another_name_is_not_changed(tracker: Tracker, new_home: Path, tmp_path: Path):
    run = tracker.start("a", {})
    (tmp_path / "alias").symlink_to(new_home)
    assert Tracker.open(TrackingOptions(), tmp_path / "alias").get(run.id).artifacts == str(run.folder)


def test_newer_and_older_schema(new_home: Path):
    def set_schema(version: str) -> bytes:
        with sqlite3.connect(new_home / "mlflow.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
        connection.close()
        return (new_home / "mlflow.db").read_bytes()

    before = set_schema("fedcba987654")
    assert re.search("newer MLflow.*fedcba987654.*MIA_HOME", refused(new_home))
    assert (new_home / "mlflow.db").read_bytes() == before
    before = set_schema("451aebb31d03")
    assert re.search("older MLflow.*copy.*mlflow db upgrade", refused(new_home))
    assert (new_home / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "text", "half", "other"])
def test_damaged_store_is_left_as_it_is(new_home: Path, damage: str):
    file = new_home / "mlflow.db"
    whole = file.read_bytes()
    if damage == "other":
        file.unlink()
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.close()
    else:
        file.write_bytes({"empty": b"", "text": b"not a database" * 100, "half": whole[: len(whole) // 2]}[damage])
    before = file.read_bytes()
    assert "nothing was overwritten" in refused(new_home)
    assert file.read_bytes() == before


def test_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    assert "set MIA_HOME" in refused(tmp_path / "file" / "mlruns")
    assert "set MIA_HOME" in refused(Path("/proc/mia/mlruns"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_server_that_refuses_or_stays_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(address, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        message = refused(tmp_path / "mlruns", uri=f"http://user:secret@127.0.0.1:{port}")
        assert "does not answer" in message
        assert "secret" not in message
    assert "does not answer" in refused(tmp_path / "mlruns", uri=f"http://127.0.0.1:{port}")
    assert "does not answer" in refused(tmp_path / "mlruns", uri=f"postgresql://127.0.0.1:{port}/mlflow")
    assert "does not answer" in refused(tmp_path / "mlruns", uri="http://host.invalid:5000")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
def test_tracking_server(made_store: Path, new_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A server in this process, with its own store."""
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{new_home}/mlflow.db")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
    monkeypatch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(new_home / "artifacts"))
    from mlflow.server import app
    from werkzeug.serving import make_server

    web = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        tracker = Tracker.open(TrackingOptions(uri=f"http://127.0.0.1:{web.server_port}", experiment="far"), tmp_path)
        with tracker.run(name="a", fingerprint="f", params={"x": 1}) as run:
            run.log_metrics({"inf": float("inf"), "nan": float("nan"), "m": 0.5})
            run.log_text("text", "folder/file.txt")
        stored = tracker.finished("f")
        assert stored is not None
        assert stored.metrics["m"] == 0.5
        assert stored.metrics["inf"] == float("inf")
        assert stored.artifacts.startswith("mlflow-artifacts:")
        assert tracker.artifact(run.id, "folder/file.txt").read_text() == "text"
        for absent in ("folder/absent.txt", "absent.txt", "none/absent.txt"):
            with pytest.raises(FileNotFoundError, match="absent"):
                tracker.artifact(run.id, absent)
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def test_sqlite_file_by_address(made_store: Path, tmp_path: Path):
    shutil.copy(made_store / "mlflow.db", tmp_path / "other.db")
    tracker = Tracker.open(TrackingOptions(uri=f"sqlite:///{tmp_path}/other.db", experiment="other"), tmp_path / "none")
    with tracker.run(name="a") as run:
        run.log_text("text", "file.txt")
    assert tracker.artifact(run.id, "file.txt").is_relative_to(tmp_path / "artifacts")
    assert not (tmp_path / "none").exists()


def test_deleted_experiment_is_not_written_to(tracker: Tracker, open_tracker: Callable[..., Tracker], new_home: Path):
    tracker._client.delete_experiment(tracker.experiment_id)
    assert "restore" in refused(new_home)
    assert open_tracker(experiment="another").experiment_id != tracker.experiment_id


@pytest.mark.parametrize(
    "options",
    [
        {"experiment": ""}, {"experiment": " x"}, {"experiment": "a\nb"}, {"experiment": "x" * 501},
        {"uri": ""}, {"uri": "mlruns"}, {"uri": "file:/mlruns"}, {"uri": "file:///mlruns"}, {"uri": "ftp://x"},
    ],
)  # fmt: skip
def test_impossible_options(options: dict[str, str]):
    with pytest.raises(RequestError, match=r"tracking\.(experiment|uri)="):
        TrackingOptions(**options)


def test_store_errors_are_one_line_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    from mlflow.exceptions import MlflowException

    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)

    def fail(message: str) -> None:
        raise MlflowException(f"(sqlite3.OperationalError) {message}\n[SQL: INSERT INTO runs]\n(Background on ...)")

    call = Calls("/x/mlflow.db")
    for message, way_out in {
        "database or disk is full": "free some space",
        "attempt to write a readonly database": "MIA_HOME",
        "database disk image is malformed": "nothing was overwritten",
    }.items():
        with pytest.raises(StorageError, match=rf"^the runs in /x/mlflow.db: .*{message}.*{way_out}[^\n]*$"):
            call(fail, message)
    assert pauses == []
    with pytest.raises(StorageError, match="another program"):
        call(fail, "database is locked")
    assert pauses == list(PATIENCE)


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("MIA_HOME", raising=False)
    assert home() == Path(__file__).resolve().parents[2] / "mlruns"
    monkeypatch.setattr("mia.home.checkout", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / "mlruns"
    monkeypatch.setenv("MIA_HOME", "chosen")
    assert home() == tmp_path / "chosen"


def test_importing_the_package_is_cheap():
    script = (
        "import sys, mia.tracking, mia.tracking.options; print([m for m in ('mlflow', 'numpy') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True).stdout.strip()
        == "[]"
    )
