import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from tracking_server import Server

from mia.checks import RequestError
from mia.files import StorageError
from mia.tracking import Reader, Tracker, TrackingOptions, address, database, home
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


@pytest.mark.slow
def test_a_store_is_the_one_that_mlflow_makes(tmp_path: Path):
    Tracker.open(TrackingOptions(), tmp_path / "ours")
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    theirs = tmp_path / "theirs.db"
    SqlAlchemyStore(f"sqlite:///{theirs}", str(tmp_path / "artifacts")).engine.dispose()

    def content(file: Path) -> tuple[set[tuple[str, ...]], list[tuple[str]], tuple[str]]:
        with closing(sqlite3.connect(file)) as found:
            tables = set(found.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
            version = found.execute("SELECT version_num FROM alembic_version").fetchall()
            return tables, version, found.execute("PRAGMA journal_mode").fetchone()

    assert content(tmp_path / "ours" / "mlflow.db") == content(theirs)
    noted = json.loads((tmp_path / "ours" / database.NOTES).read_text())
    assert list(noted.values()) == [database._revisions()[0]]


@pytest.mark.slow
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


NAMES = (
    "%41", "%", "a b", "a?b", "a#b", "it's", 'say "x"', "ünïcödé 文 🙂", "$HOME ${x}", "a;b&c", "[x]*", "back\\slash",
    "-dash", "~", "=,:", "@host", "(x)|y", " lead and trail ",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_a_folder_can_have(
    tracker: Tracker, new_home: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    with tracker.run(name="before", fingerprint="before") as run:
        run.log_text("moved", "file.txt")
    monkeypatch.setenv("MIA_HOME", str(tmp_path / "folder" / name))
    shutil.move(new_home, tmp_path / "folder" / name)
    assert Reader.open(TrackingOptions(), home()).artifact(run.id, "file.txt").read_text() == "moved"
    there = Tracker.open(TrackingOptions(), home())
    with there.run(name="after", fingerprint="after") as run:
        run.log_text("new", "sub/file.txt")
    assert Path(there._client.download_artifacts(run.id, "sub/file.txt")).read_text() == "new"
    assert there.artifact(run.id, "sub/file.txt").is_relative_to(home())
    assert {run.name for run in Reader.open(TrackingOptions(), home()).runs()} == {"before", "after"}
    assert [path.name for path in (tmp_path / "folder").iterdir()] == [name]  # nor where somebody else's reading leads
    quoted = f"sqlite:///{quote(str(tmp_path / 'folder' / name))}/mlflow.db"
    assert Reader.open(TrackingOptions(uri=quoted), tmp_path).finished("after") is not None


@pytest.mark.slow
def test_a_store_is_made_in_a_folder_of_any_name(tmp_path: Path):
    home = tmp_path / "%41 a?b#c'd\"e $HOME ;&[x]*\\ü🙂 =,:@" / "mlruns"
    with Tracker.open(TrackingOptions(), home).run(name="a", fingerprint="f") as run:
        run.log_text("text", "file.txt")
    assert Tracker.open(TrackingOptions(), home).artifact(run.id, "file.txt").is_relative_to(home)
    assert [path.name for path in tmp_path.iterdir()] == [home.parent.name]


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "\x1b[31m", "\udcff", "~nobody-of-this-name/x", "\u2028"])
def test_names_that_break_lines_are_refused_at_once(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv("MIA_HOME", name)
    with pytest.raises(RequestError, match=r"^MIA_HOME=") as caught:
        home()
    assert str(caught.value).isprintable()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_store_on_a_disk_that_cannot_be_written_is_read(
    tracker: Tracker, new_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with tracker.run(name="a", fingerprint="f") as run:
        run.log_text("text", "file.txt")
        run.log_curves({"c": [1, 2]})
    moved = shutil.move(new_home, tmp_path / "snapshot")
    before = snapshot(moved)
    for path in [moved, *moved.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)  # root may write all the same
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)
    reader = Reader.open(TrackingOptions(), moved)
    assert reader.artifact(run.id, "file.txt") == Path(reader.get(run.id).artifacts, "file.txt")
    assert reader.artifact(run.id, "file.txt").is_relative_to(moved)
    assert reader.curve(run.id, "c") == [1, 2]
    assert "set MIA_HOME" in refused(moved)
    assert snapshot(moved) == before
    with sqlite3.connect(moved / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of another version'")
    connection.close()
    assert Reader.open(TrackingOptions(), moved).finished("f") is not None


def test_reading_and_opening_need_no_mlflow(tracker: Tracker, new_home: Path):
    with tracker.run(name="a", fingerprint="f"):
        pass
    script = """
import sys
from pathlib import Path
from mia.tracking import Reader, Tracker, TrackingOptions
for kind in (Reader, Tracker):
    store = kind.open(TrackingOptions(), Path(sys.argv[1]))
    assert store.finished("f") and not store.sweeps() and not store.running()
print([name for name in ("mlflow", "sqlalchemy", "alembic", "pandas") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script, new_home], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_no_store_is_no_reason_to_make_one(tmp_path: Path):
    with pytest.raises(RequestError, match="there are no runs in"):
        Reader.open(TrackingOptions(), tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_the_schema_is_looked_up_again_for_another_mlflow(new_home: Path, monkeypatch: pytest.MonkeyPatch):
    notes = new_home / ".mlflow.schema"
    needed = json.loads(notes.read_text())
    for damaged in ("", "[", "[1]", '{"0.0": "x"}'):
        notes.write_text(damaged)
        Tracker.open(TrackingOptions(), new_home)
        assert json.loads(notes.read_text()) == needed
    monkeypatch.setattr(database, "_revisions", lambda: pytest.fail("was known"))
    Tracker.open(TrackingOptions(), new_home)


def test_mlflows_own_variable_is_said_to_be_ignored_once(
    new_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("MIA_TOLD_OF_TRACKING_URI", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://u:secret@nowhere.invalid")
    for _ in range(2):
        Tracker.open(TrackingOptions(), new_home)
    said = capfd.readouterr().err
    assert said.count("MLFLOW_TRACKING_URI is set and not used") == 1
    assert "secret" not in said


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


@pytest.mark.parametrize("is_link", [False, True], ids=["file", "dangling link"])
def test_a_file_where_the_artifacts_should_be_is_named(tmp_path: Path, *, is_link: bool):
    place = tmp_path / "artifacts"
    place.symlink_to(tmp_path / "nowhere") if is_link else place.touch()
    assert f"{place} is no folder" in refused(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"]


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


FETCH = """
import io, os, sys
from pathlib import Path
from mia.tracking import rest

rest._answer = lambda uri, path: io.BytesIO(path.encode())
found = [rest.fetch_file("http://x", f"{run}/artifacts/file.txt") for run in "ab"]
if not os.fork():
    sys.exit()  # the parent's files stay
os.wait()
assert ["/a/" in found[0].read_text(), "/b/" in found[1].read_text()] == [True] * 2
print(len(list(Path(os.environ["TMPDIR"]).iterdir())))
"""


def test_what_a_server_hands_out_lies_in_one_folder_that_goes_with_the_process(tmp_path: Path):
    where = {**os.environ, "TMPDIR": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", FETCH], env=where, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "1\n"), found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore")
def test_tracking_server(server: Server, tmp_path: Path):
    tracker = Tracker.open(TrackingOptions(uri=server.address(), experiment="far"), tmp_path)
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
    read = Reader.open(TrackingOptions(uri=server.address(), experiment="far"), tmp_path).finished("f")
    assert read is not None
    assert read.id == stored.id
    assert Reader.open(TrackingOptions(uri=server.address(), experiment="none"), tmp_path).runs() == []


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_asks_for_a_password(server: Server, tmp_path: Path):
    server.password = "p@ss/w?rd"  # noqa: S105
    quoted = "me:p%40ss%2Fw%3Frd"
    tracker = Tracker.open(TrackingOptions(uri=server.address(quoted), experiment="guarded"), tmp_path)
    with tracker.run(name="a", params={"tracking.uri": server.address(quoted)}) as run:
        run.log_text("text", "file.txt")
    assert tracker.artifact(run.id, "file.txt").read_text() == "text"
    assert tracker.get(run.id).params == {"tracking.uri": server.address()}
    for wrong in ("me:secret", "me", ""):
        message = refused(tmp_path, uri=server.address(wrong))
        assert "user or password refused" in message
        assert "secret" not in message
    server.password = "changed"  # noqa: S105
    with pytest.raises(StorageError) as caught:
        tracker.get(run.id)
    assert "w?rd" not in str(caught.value)
    assert "w%3Frd" not in str(caught.value)
    assert tracker.where == server.address()


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
        *({"uri": uri} for uri in (
            "", "mlruns", "file:/mlruns", "file:///mlruns", "ftp://x", "http://", "http://[::1", "http://x:port", "http://x:99999",
            "http://x y", "http://x\ny", "http://u:se/cret@x", "http://u:se?cret@x", "u:secret@x", "http:/u:secret@x", "postgresql://",
            "http://x?token=secret", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:////x.db?key=secret", "sqlite:////a%ff",
        )),
    ],
)  # fmt: skip
def test_impossible_options(options: dict[str, str]):
    with pytest.raises(RequestError, match=r"tracking\.(experiment|uri)=") as caught:
        TrackingOptions(**options)
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


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
