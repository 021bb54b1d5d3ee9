"""Storage that fails: one line with the way out, nothing overwritten, and the same command works once it is mended."""

import contextlib
import ctypes
import os
import shutil
import sqlite3

import pytest

from mia.tracking import Tracker, TrackingOptions

SMALL = ["model.hidden=[4]", "train.epochs=2", "split.size=20", "split.num_shadows=2", "attack=[gap]"]
MS_RDONLY, MS_REMOUNT = 1, 32


@pytest.fixture
def home(empty_home):
    return empty_home


@pytest.fixture
def small_disk(home, tmp_path):
    """The store on a disk of its own; call with a size and whether it is read-only."""
    library = ctypes.CDLL(None, use_errno=True)
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(flags, options):
        if library.mount(b"tmpfs", bytes(disk), b"tmpfs", flags, options.encode()):
            pytest.skip(f"a file system cannot be mounted here: {os.strerror(ctypes.get_errno())}")

    mount(0, "size=64m")
    shutil.copytree(home, disk / "mlruns")
    yield disk / "mlruns", lambda size, flags=0: mount(MS_REMOUNT | flags, f"size={size}")
    with contextlib.suppress(OSError):
        library.umount2(bytes(disk), 2)


def said_in_one_line(err):
    errors = [line for line in err.splitlines() if line.startswith("mia: error:")]
    assert "Traceback" not in err
    assert len(errors) == 1, err
    return errors[0]


def statuses(home):
    return [run.status for run in reversed(Tracker.open(TrackingOptions(), home).runs(kind="run"))]


def test_a_full_disk_is_said_in_one_line_and_nothing_is_lost(mia, small_disk):
    home, remount = small_disk
    assert mia(home, *SMALL)[0] == 0
    before = {path: path.read_bytes() for path in home.glob("pools/*/*") if path.is_file()}
    used = sum(path.stat().st_blocks for path in home.rglob("*")) // 2
    remount(f"{used + 24}k")
    code, _, err = mia(home, *SMALL, "split.size=30")
    assert code == 1
    assert "free" in said_in_one_line(err)
    assert {path: path.read_bytes() for path in before} == before
    assert not list(home.rglob(".*.tmp"))

    remount("64m")
    code, _, err = mia(home, *SMALL, "split.size=30")
    assert (code, err.count("mia: error")) == (0, 0)
    assert statuses(home)[-1] == "FINISHED"
    assert "RUNNING" not in statuses(home)


def test_a_read_only_disk_is_refused_and_left_as_it_is(mia, small_disk):
    home, remount = small_disk
    remount("64m", MS_RDONLY)
    code, out, err = mia(home, *SMALL)
    assert (code, out) == (2, "")
    assert "set MIA_HOME" in said_in_one_line(err)
    code, _, err = mia(home, "-m", *SMALL)
    assert code == 2
    assert "set MIA_HOME" in said_in_one_line(err)


def test_a_store_of_a_newer_mlflow_is_refused_and_left_as_it_is(mia, home):
    with sqlite3.connect(home / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
    connection.close()
    before = (home / "mlflow.db").read_bytes()
    for request in ([*SMALL], ["-m", *SMALL], ["pools", "prune=true"]):
        if request[0] == "pools":
            (home / "pools" / "0123456789abcdef0123").mkdir(parents=True)
        code, _, err = mia(home, *request)
        assert code == 2
        assert "newer MLflow" in said_in_one_line(err)
    assert (home / "mlflow.db").read_bytes() == before
    assert (home / "pools" / "0123456789abcdef0123").exists()


def test_a_store_that_was_moved_with_its_repository_goes_on(mia, home, tmp_path):
    assert mia(home, "-m", *SMALL)[0] == 0
    moved = tmp_path / "elsewhere" / "mlruns"
    shutil.move(home, moved)
    code, _, err = mia(moved, "-m", *SMALL)
    assert (code, "1 reused, 0 trained, 0 failed" in err) == (0, True)
    tracker = Tracker.open(TrackingOptions(), moved)
    (run,) = tracker.runs(kind="run")
    assert tracker.artifact(run.id, "scores.npz").is_relative_to(moved)
    assert not home.exists()


def test_a_store_on_a_read_only_disk_is_reported(mia, home, small_disk, tmp_path):
    assert mia(home, "-m", *SMALL)[0] == 0
    (sweep,) = Tracker.open(TrackingOptions(), home).sweeps()
    disk, remount = small_disk
    shutil.copytree(home, disk, dirs_exist_ok=True)
    shutil.rmtree(home)
    remount("64m", MS_RDONLY)
    home = disk
    code, _, err = mia(home, "report", f"sweep={sweep.id}", f"out={tmp_path / 'out'}")
    assert code == 0, err
    assert (tmp_path / "out" / "report.html").exists()
    assert mia(home, "pools")[0] == 0


def test_a_report_on_something_else_than_a_sweep_is_refused_with_what_it_is(mia, home):
    tracker = Tracker.open(TrackingOptions(), home)
    for kind, words in (("audit", "an audit"), ("run", "a single run")):
        with tracker.run(name=f"my {kind}", tags={"mia.kind": kind}) as run:
            pass
        code, _, err = mia(home, "report", f"sweep={run.id[:10]}")
        assert code == 2
        assert f"is the id of {words}, 'my {kind}'" in said_in_one_line(err)
        assert "not in the store" not in err


def test_pools_of_other_stores_are_kept(mia, home, tmp_path):
    """As where runs are on a server and pools on a shared disk: no database here means nothing."""
    assert mia(home, *SMALL)[0] == 0
    elsewhere = home.rename(tmp_path / "elsewhere")
    (elsewhere / "pools").rename(home.with_name("pools"))
    home.mkdir()
    (pool,) = home.with_name("pools").rename(home / "pools").iterdir()
    code, out, _ = mia(home, "pools", "prune", "yes=true")
    assert code == 0
    kept = f"1 kept: used by {home / 'mlflow.db'}: ask there"  # whatever the width that it is broken to
    assert "".join(kept.split()) in "".join(out.split())
    assert (pool / "0001.npz").exists()

    (pool / "users.json").unlink()  # as in pools of earlier versions
    code, out, _ = mia(home, "pools", "prune", "yes=true")
    assert code == 0
    assert "1 kept: made before pools noted who uses them" in " ".join(out.split())
    assert (pool / "0001.npz").exists()


def test_a_pool_that_no_run_needs_any_more_is_removed(mia, home):
    assert mia(home, *SMALL)[0] == 0
    tracker = Tracker.open(TrackingOptions(), home)
    (run,) = tracker.runs(kind="run")
    assert mia(home, "pools", "prune", "yes=true")[0] == 0
    assert len(list((home / "pools").iterdir())) == 1
    tracker._client.delete_run(run.id)
    code, out, _ = mia(home, "pools", "prune", "yes=true")
    assert (code, "removed 1 pools" in out) == (0, True)
    assert list((home / "pools").iterdir()) == []


def test_a_run_says_what_it_was_trained_on(mia, home):
    assert mia(home, *SMALL)[0] == 0
    tracker = Tracker.open(TrackingOptions(), home)
    (run,) = tracker.runs(kind="run")
    (found,) = tracker._client.get_run(run.id).inputs.dataset_inputs
    assert found.dataset.name == "digits"
    assert found.dataset.digest == run.tags["mia.data_fingerprint"][:36]


def test_what_is_damaged_is_set_aside_trained_again_and_left_out_of_reports(mia, home, tmp_path):
    assert mia(home, "-m", *SMALL, "attack=[gap]")[0] == 0
    tracker = Tracker.open(TrackingOptions(), home)
    (run,) = tracker.runs(kind="run")
    scores = tracker.artifact(run.id, "scores.npz")
    scores.write_bytes(scores.read_bytes()[:100])
    code, _, err = mia(home, "report", f"sweep={tracker.sweeps()[0].id}", f"out={tmp_path / 'out'}")
    assert code == 0, err
    assert (tmp_path / "out" / "report.html").exists()

    (model,) = home.glob("pools/*/0001.npz")
    model.write_bytes(model.read_bytes()[:100])
    (parameters,) = home.glob("pools/*/0002.safetensors")
    parameters.unlink()
    assert mia(home, *SMALL, "attack=[gap,loss]")[0] == 0
    latest = tracker.runs(kind="run")[0]
    assert latest.metrics["pool/models_trained"] == 2
    assert "model 1" in latest.tags["mia.warnings"]
    assert (model.parent / "damaged" / "0001.npz").exists()


def test_pools_are_listed_with_their_runs_and_only_unused_ones_are_removed(mia, home):
    assert mia(home, *SMALL, "tracking.experiment=other")[0] == 0
    (used,) = (home / "pools").iterdir()
    (run,) = Tracker.open(TrackingOptions("other"), home).runs(kind="run")
    unused = home / "pools" / "0123456789abcdef0123"
    unused.mkdir()
    (unused / "pool.json").write_text("half wri")
    code, out, _ = mia(home, "pools")
    assert code == 0
    assert used.name in out
    assert unused.name in out
    assert run.id[:8] in out
    assert "mlp model.hidden=[4] split.protocol=disjoint split.size=20 train.epochs=2" in " ".join(out.split())
    assert "unknown: pool.json is missing or damaged" in out

    code, out, err = mia(home, "pools", "prune")
    assert (code, "nothing removed" in err, "yes=true" in err) == (2, True, True)
    assert unused.exists()

    tracker = Tracker.open(TrackingOptions(), home)
    running = tracker.start("goes on", {"mia.kind": "run"})
    code, _, err = mia(home, "pools", "prune", "yes=true")
    assert code == 2
    assert "goes on" in said_in_one_line(err)
    running.finish()

    assert mia(home, "pools", "prune", "yes=true")[0] == 0
    assert not unused.exists()
    assert used.exists()
