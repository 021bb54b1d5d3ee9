import base64
import json
import socket
import time
import zlib
from pathlib import Path

import pytest

from mia.checks import RequestError
from mia.files import StorageError
from mia.tracking import Tracker, database, ui, ui_views


def state_of(tracker: Tracker, key: str) -> dict:
    envelope = json.loads(tracker._client.get_experiment(tracker.experiment_id).tags[key])
    assert envelope["name"]
    state = json.loads(zlib.decompress(base64.b64decode(envelope["state"].removeprefix("deflate;"))))
    assert state.items() <= envelope.items()  # older versions of MLflow read it as it stands
    return state


def test_new_experiment_has_a_view_of_all_runs(tracker: Tracker):
    state = state_of(tracker, "mlflow.sharedViewState.mia")
    assert state["searchFilter"] == "tags.`mia.kind` = 'run'"
    assert "params.`split.size`" in state["selectedColumns"]
    assert {card["type"] for card in state["compareRunCharts"]} == {"PARALLEL", "SCATTER", "BAR"}


def test_view_of_a_sweep_shows_its_runs(tracker: Tracker):
    sweep = tracker.open_sweep("digits", "s")
    leakage = ["attack/gap/accuracy"]
    link = tracker.prepare_view("Sweep digits", ["train.l2"], leakage, sweep.id)
    key = f"sweep-{sweep.id[:12]}"
    assert link == (
        f"/#/experiments/{tracker.experiment_id}/runs?viewStateShareKey={key}"
        "&compareRunsMode=CHART&workflowType=machine_learning"
    )
    state_of(tracker, f"mlflow.sharedViewState.{key}")


def shown_in_view(tracker: Tracker, sweep_id: str) -> set[str]:
    tracker.prepare_view("Sweep digits", ["train.l2"], ["attack/gap/accuracy"], sweep_id)
    search = state_of(tracker, f"mlflow.sharedViewState.sweep-{sweep_id[:12]}")["searchFilter"]
    return {run.info.run_id for run in tracker._client.search_runs([tracker.experiment_id], search)}


def test_the_view_of_a_sweep_finds_linked_runs_and_of_each_configuration_the_latest_attempt(tracker: Tracker):
    other, sweep = tracker.open_sweep("other", "o"), tracker.open_sweep("digits", "s")
    assert shown_in_view(tracker, sweep.id) == set()
    made = []
    for parent, name in ((other, "linked"), (sweep, "own"), (sweep, "twice")):
        with tracker.run(name=name, fingerprint=name, parent_id=parent.id) as run:
            made.append(run.id)
    tracker.link(made[0], sweep.id)
    assert shown_in_view(tracker, sweep.id) == set(made)
    time.sleep(0.002)  # attempts are told apart by their start, in milliseconds
    with tracker.run(name="twice", fingerprint="twice", parent_id=sweep.id) as run:
        pass
    assert shown_in_view(tracker, sweep.id) == {*made[:2], run.id}


def test_views_fit_into_a_tag():
    _, value = ui_views.saved_view("t", [f"axis{k}" for k in range(6)], [f"attack/a{k}/auc" for k in range(12)], "s")
    assert len(value) < 20_000


def test_view_that_cannot_be_stored_is_no_failure(tracker: Tracker, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise StorageError("no")

    assert tracker.prepare_view("t", [], []) is not None
    monkeypatch.setattr(tracker, "_call", refuse)
    assert tracker.prepare_view("t", [], ["m"]) is None


def test_taken_port_is_named_with_a_free_one(new_home: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RequestError, match=rf"port={port} is taken on 127.0.0.1: try port=\d+"):
            ui.serve(new_home, port=port)
    with pytest.raises(RequestError, match="port=0 must be"):
        ui.serve(new_home, port=0)
    with pytest.raises(RequestError, match=r"host='203\.0\.113\.1' is not an address of this machine"):
        ui.serve(new_home, host="203.0.113.1")


def test_link_of_the_first_page(new_home: Path, tracker: Tracker):
    place = database.place_of(None, new_home)
    assert place is not None
    assert ui._prepared_view(place) == ui_views.link(tracker.experiment_id)
    tracker._client.delete_experiment_tag(tracker.experiment_id, ui_views.tag_name())
    assert "workflowType=machine_learning" in ui._prepared_view(place)


def test_server_that_does_not_start_is_one_line(new_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ui, "_command", lambda *_: ["false"])
    with pytest.raises(RequestError, match=r"the server did not start: see .*ui\.log$"):
        ui.serve(new_home, port=ui._bind("127.0.0.1", 0))
