"""A run, a sweep and an audit say where they are kept, and how to browse what is there."""

import re
import shlex
import shutil
import socket

import numpy as np
import pytest

from mia.checks import RequestError
from mia.cli.whereabouts import browse_words, place_of
from mia.tracking import Tracker, TrackingOptions, ui

TINY = ["split.size=20", "split.num_shadows=2", "train.epochs=1", "model.hidden=[4]", "attack=[loss]"]


@pytest.fixture
def other(empty_home, tmp_path):
    """A database file elsewhere, in a folder with a space."""
    folder = shutil.copytree(empty_home, tmp_path / "an other")
    return (folder / "mlflow.db").rename(folder / "file.db")


@pytest.fixture
def port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def told(text):
    """Return the arguments of `mia ui` that a text tells to give."""
    (found,) = re.findall(r"browse it with: mia ui(.*)", text)
    return shlex.split(found)


@pytest.mark.slow
def test_runs_and_sweeps_in_another_file_are_told_to_be_there(empty_home, other, mia):
    uri = f"tracking.uri=sqlite:///{other}"
    for _ in ("anew", "stored"):
        code, out, err = mia(empty_home, *TINY, f"tracking.uri='sqlite:///{other}'")
        assert code == 0, err
        (run,) = Tracker.open(TrackingOptions(uri=f"sqlite:///{other}"), empty_home).runs(kind="run")
        assert f"run {run.id} in {other}; " in out
        assert told(out) == [uri]
        assert str(empty_home) not in out
    code, _, err = mia(empty_home, "-m", *TINY, f"tracking.uri='sqlite:///{other}'")
    assert code == 0, err
    assert told(err) == [uri]
    code, out, _ = mia(empty_home, *TINY)
    assert code == 0
    assert f" in {empty_home}; " in out
    assert told(out) == []


def test_an_audit_tells_the_same(empty_home, other, mia, tmp_path):
    draws = np.random.default_rng(0)
    np.savez(tmp_path / "scores.npz", member=np.arange(60) % 2, loss=draws.normal(size=60))
    given = ["audit", f"scores={tmp_path}/scores.npz", f"out={tmp_path}/out"]
    code, out, err = mia(empty_home, *given, f"tracking.uri='sqlite:///{other}'")
    assert code == 0, err
    assert f" in {other}; " in out
    assert told(out) == [f"tracking.uri=sqlite:///{other}"]


def test_servers_are_browsed_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("MIA_HOME", str(tmp_path))
    assert place_of(str(tmp_path / "mlflow.db")) == str(tmp_path)
    assert place_of("http://x:5000") == "http://x:5000"
    assert browse_words("http://x:5000") == "browse it there"
    assert browse_words("postgresql://me@x/mia") == "list it with: mia runs tracking.uri=postgresql://me@x/mia"


def test_the_ui_serves_another_file(empty_home, other, mia, monkeypatch, port):
    served = []
    monkeypatch.setattr(ui, "_command", lambda place, *_: served.append(place.database) or ["false"])
    code, _, err = mia(empty_home, "ui", f"port={port}", f"tracking.uri='sqlite:///{other}'")
    assert served == [other], err
    assert str(other.parent / "ui.log") in err
    assert code == 2


@pytest.mark.parametrize(
    ("uri", "said"), [("http://127.0.0.1:9", "is not a file"), ("sqlite:////no/such.db", "no such file")]
)
def test_the_ui_makes_no_store_of_a_mistyped_address(empty_home, uri, said, port):
    with pytest.raises(RequestError, match=said):
        ui.serve(empty_home, port=port, uri=uri)
