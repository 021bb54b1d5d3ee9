import base64
import json
import shutil
import socket
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import pytest

from mia.checks import RequestError
from mia.files import StorageError
from mia.tracking import Tracker, TrackingOptions, database, ui, ui_views


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


def test_the_ui_answers_to_names_of_this_machine_only(monkeypatch: pytest.MonkeyPatch, new_home: Path):
    place = database.place_of(None, new_home)
    assert place is not None

    def hosts(host: str, port: int = 5000) -> list[str]:
        command = ui._command(place, host, port, ui._names(host))
        return command[command.index("--allowed-hosts") + 1].split(",")

    assert hosts("127.0.0.1") == ["127.0.0.1:5000", "localhost:5000"]
    assert hosts("127.0.0.1", 80) == ["127.0.0.1:80", "localhost:80", "127.0.0.1", "localhost"]
    assert hosts("::1") == ["[::1]:5000", "localhost:5000"]
    assert hosts("192.0.2.7") == ["192.0.2.7:5000"]
    everywhere = hosts("0.0.0.0")  # noqa: S104
    assert {"127.0.0.1:5000", f"{socket.gethostname().lower()}:5000"} <= set(everywhere)
    assert not [one for one in everywhere if "*" in one or "0.0.0.0" in one]  # noqa: S104
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "mia.lan:5000")
    assert hosts("0.0.0.0")[-1] == "mia.lan:5000"  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_who_lets_others_in_is_told_so(new_home: Path, monkeypatch: pytest.MonkeyPatch, host: str):
    said: list[str] = []
    monkeypatch.setattr(ui, "_command", lambda *_: ["sleep", "60"])
    monkeypatch.setattr(ui, "_wait", lambda *_: None)

    def say(line: str) -> None:
        said.append(line)
        if "Ctrl-C" in line:
            raise KeyboardInterrupt

    port = ui._bind("127.0.0.1", 0)
    ui.serve(new_home, host, port, say=say)
    is_open = host == "0.0.0.0"  # noqa: S104
    assert ("no password" in "".join(said)) == is_open
    assert (said[-1].count("http://") > 1) == is_open
    assert said[-1].startswith(f"http://127.0.0.1:{port}/#/experiments/")


@pytest.mark.slow
def test_the_real_ui_serves_any_folder_and_turns_strangers_away(tracker: Tracker, new_home: Path, tmp_path: Path):
    with tracker.run(name="a") as run:
        run.log_text("text", "sub/file.txt")
    home = shutil.move(new_home, tmp_path / "%41 a?b#c'd $HOME ;&ü")
    port = ui._bind("127.0.0.1", 0)
    answers: dict[str, tuple[int, bytes]] = {}

    def ask(host: str, path: str, origin: str = "", body: bytes | None = None) -> None:
        headers = {"Host": host, "Content-Type": "application/json"} | ({"Origin": origin} if origin else {})
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
                answers[f"{host} {origin}"] = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                answers[f"{host} {origin}"] = error.code, error.read()

    def say(line: str) -> None:
        if "Ctrl-C" in line:
            for host in (f"127.0.0.1:{port}", f"localhost:{port}", "10.evil.com", f"10.evil.com:{port}"):
                ask(host, f"/get-artifact?path=sub/file.txt&run_uuid={run.id}")
            own, search = f"{socket.gethostname().lower()}:{port}", "/ajax-api/2.0/mlflow/runs/search"
            for origin in (f"http://{own}", "http://evil.com"):
                ask(own, search, origin, json.dumps({"experiment_ids": [tracker.experiment_id]}).encode())
            raise KeyboardInterrupt

    ui.serve(home, "0.0.0.0", port, say=say)  # noqa: S104 - for seconds, and only names of this machine are answered
    assert {key: status for key, (status, _) in answers.items()} == {
        f"127.0.0.1:{port} ": 200, f"localhost:{port} ": 200, "10.evil.com ": 403, f"10.evil.com:{port} ": 403,
        f"{own_name(port)} http://{own_name(port)}": 200, f"{own_name(port)} http://evil.com": 403,
    }  # fmt: skip
    assert answers[f"127.0.0.1:{port} "][1] == b"text"
    assert run.id.encode() in answers[f"{own_name(port)} http://{own_name(port)}"][1]


def own_name(port: int) -> str:
    return f"{socket.gethostname().lower()}:{port}"


def test_experiments_of_ours_are_about_training_models(tracker: Tracker, new_home: Path):
    def kind() -> str:
        return tracker._client.get_experiment_by_name("mia").tags["mlflow.experimentKind"]

    assert kind() == "custom_model_development"
    tracker._client.delete_experiment_tag(tracker.experiment_id, "mlflow.experimentKind")
    Tracker.open(TrackingOptions(), new_home)  # one that somebody else has made
    assert kind() == "custom_model_development"
