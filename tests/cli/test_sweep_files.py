"""Sweep files are data: hostile ones run nothing, read nothing, hang nothing, and are refused in one line."""

import os
import re

import pytest

from mia.bounded_yaml import read_bounded
from mia.checks import RequestError
from mia.composition import HOME, compose_with, open_hydra
from mia.overrides import GROUPS
from mia.sweep_files import MOST_BYTES, asked_for, header, read_sweep

KEYS = ["seed", "data", "split", "train", "attack", "attacker", "rerun", "tracking"]
CALL = "{_target_: os.mkdir, path: HARMED}"
LOGGING = "{version: 1, handlers: {h: {(): os.mkdir, path: HARMED}}, root: {handlers: [h]}}"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "callback": f"hydra:\n  callbacks:\n    x: {CALL}\n",
    "nested callback": "hydra: {callbacks: {x: {y: {_target_: os.mkdir, path: HARMED}}}}\n",
    "job logging": f"hydra: {{job_logging: {LOGGING}}}\n",
    "hydra logging": f"hydra: {{hydra_logging: {LOGGING}}}\n",
    "launcher": f"hydra: {{launcher: {CALL}}}\n",
    "launcher setup": "hydra: {launcher: {setup: ['mkdir HARMED']}}\n",
    "launcher line": 'hydra: {launcher: {partition: "a\\nmkdir HARMED"}}\n',
    "sweeper": f"hydra: {{sweeper: {CALL}}}\n",
    "search path": "defaults: [{/evil: code}]\nhydra: {searchpath: ['file://FOLDER']}\n",
    "a path as a choice": "defaults: [{override /data: ../../../../../../../../FOLDER/evil}]\n",
    "a path as a variant": "variants: {a: data=../../../../../../../../FOLDER/evil}\n",
    "a path in params": "hydra: {sweeper: {params: {data: ../../../../../../../../FOLDER/evil}}}\n",
    "a path among params": "hydra: {sweeper: {params: {data: 'digits,../../../../../../../../FOLDER/evil'}}}\n",
    "a path added to params": "hydra: {sweeper: {params: {++model: ../../../../../../../../FOLDER/evil}}}\n",
    "another package": "defaults: [{/data@hydra.callbacks.x: digits}]\n",
    "environment": "hydra: {job: {env_set: {LD_PRELOAD: HARMED}}}\n",
    "sweep folder": "hydra: {sweep: {dir: HARMED}}\n",
    "target in data": f"data: {CALL}\n",
    "target in a list": "train: {x: [[{_target_: os.mkdir}]]}\n",
    "target in a variant": "variants: {a: 'data._target_=os.mkdir'}\n",
    "target in a variant's value": "variants: {a: 'data={_target_:os.mkdir}'}\n",
    "target in params": "hydra: {sweeper: {params: {+data._target_: os.mkdir}}}\n",
    "callback in params": "hydra: {sweeper: {params: {+hydra.callbacks.x._target_: os.mkdir}}}\n",
    "package in params": "hydra: {sweeper: {params: {+data@hydra.callbacks.x: digits}}}\n",
    "tracking": "tracking: {uri: 'http://127.0.0.1:9'}\n",
    "tracking in params": "hydra: {sweeper: {params: {tracking.uri: 'http://127.0.0.1:9'}}}\n",
    "tracking in a variant": "variants: {a: tracking.uri=http://127.0.0.1:9}\n",
    "tracking in defaults": "defaults: [{override /tracking: default}]\n",
    "secret": "data: {path: '${oc.env:SECRET}'}\n",
    "secret in a key": "data: {'${oc.env:SECRET}': 1}\n",
    "secret in params": "hydra: {sweeper: {params: {data.path: '${oc.env:SECRET}'}}}\n",
    "secret in a variant": "variants: {a: 'data.path=${oc.env:SECRET}'}\n",
    "decoded": "data: {path: '${oc.decode:x}'}\n",
    "alias bomb": BOMB,
    "anchor alone": "train: &a {epochs: 3}\n",
    "merge key": "train: &a {epochs: 3}\nsplit:\n  <<: *a\n",
    "python tag": "data: !!python/object/apply:os.mkdir [HARMED]\n",
    "any tag": "seed: !!int 3\n",
    "too deep": "train: " + "{a: " * 200 + "1" + "}" * 200 + "\n",
    "deep brackets": "train: " + "[" * 100_000 + "\n",
    "too many values": "train: [" + "1," * 60_000 + "1]\n",
    "too large": "# " + "x" * MOST_BYTES + "\nseed: 1\n",
    "a value left open": "seed: ???\n",
    "a value left open in params": "hydra: {sweeper: {params: {seed: '???'}}}\n",
    "no mapping": "- a\n",
    "a word": "word\n",
    "two documents": "seed: 1\n---\nseed: 2\n",
    "a key twice": "seed: 1\nseed: 2\n",
    "no YAML": "a: [1\n",
    "a huge number": f"seed: {'9' * 5000}\n",
    "unknown key": "sead: 1\n",
    "unknown group": "defaults: [{override /dta: digits}]\n",
    "variants as a list": "variants: [a, b]\n",
    "variants as values": "variants: {a: {train: 1}}\n",
    "variants as a word": "variants: word\n",
    "params as a list": "hydra: {sweeper: {params: [a]}}\n",
    "hydra as a word": "hydra: x\n",
}


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Write a file into `sweeps/` of a folder that one then is in."""
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "evil.yaml").write_text(f"# @package hydra.callbacks.x\n_target_: os.mkdir\npath: {tmp_path}/harmed\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "my-password")

    def write(text, name="x"):
        text = text.replace("HARMED", str(tmp_path / "harmed")).replace("FOLDER", str(tmp_path))
        (tmp_path / "sweeps" / f"{name}.yaml").write_text(text)

    return write


def unharmed(folder):
    return not (folder / "harmed").exists() and not (folder / "mlruns").exists()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_by_every_command_and_does_nothing(mia, hostile, tmp_path, kind):
    hostile(HOSTILE[kind])
    asks = [("-m", "+sweeps=x"), ("+sweeps=x",), ("--cfg", "job", "+sweeps=x"), ("-m", "+sweeps=x", "--cfg", "job")]
    if "variants" in HOSTILE[kind]:
        asks.append(("+x=a",))
    for request in asks:
        code, out, err = mia(tmp_path / "mlruns", *request)
        assert (code, out) == (2, ""), err
        assert err.count("\n") == 1
        assert err.startswith("mia: error: sweeps/x.yaml: ")
        assert len(err) < 600
        assert "my-password" not in err
        assert unharmed(tmp_path)


@pytest.mark.parametrize("kind", ["alias bomb", "deep brackets", "callback", "no YAML"])
def test_a_file_that_nobody_asks_for_is_not_read(mia, hostile, tmp_path, kind):
    hostile(HOSTILE[kind])
    code, out, err = mia(tmp_path / "mlruns", "--cfg", "job")
    assert (code, err) == (0, "")
    assert "seed: 0" in out
    assert unharmed(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir])
def test_what_is_no_file_is_refused_rather_than_read_for_ever(mia, hostile, tmp_path, make):
    make(tmp_path / "sweeps" / "x.yaml")
    code, _, err = mia(tmp_path / "mlruns", "-m", "+sweeps=x")
    assert code == 2
    assert "is not a file" in err


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.x._target_=os.mkdir",
        "+hydra.callbacks={x:{_target_:os.mkdir,path:harmed}}",
        "+hydra.callbacks.x={'_target_':os.mkdir}",
        "hydra.launcher._target_=os.mkdir",
        "hydra.sweeper={_target_:os.mkdir}",
        "hydra={callbacks:{x:{a:1}}}",
        "hydra/job_logging=default",
        "+hydra.job_logging.handlers.h.class=os.mkdir",
        "hydra.searchpath=[file:///tmp]",
        "+hydra.job.env_set.LD_PRELOAD=x",
        "+data@hydra.callbacks.x=digits",
        "data=../../evil",
        "attack=[../../evil]",
        "hydra/launcher=../../evil",
        "data=${oc.env:SECRET}",
        "+hydra.sweeper.params.data=../../evil",
        "hydra.sweeper.params.data=../../evil",
    ],
)
def test_the_command_line_cannot_name_code_either(mia, hostile, tmp_path, override):
    for request in (("-m", override), (override,), ("--cfg", "job", override)):
        code, out, err = mia(tmp_path / "mlruns", *request)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert override in err
        assert "my-password" not in err
        assert unharmed(tmp_path)


@pytest.mark.parametrize("override", ["data=PATH", "+data=PATH", "data=[digits,PATH]", "attack=[loss,PATH]"])
def test_whoever_wrote_an_override_a_choice_by_path_is_refused_before_it_is_read(hostile, tmp_path, override):
    (tmp_path / "evil.yaml").write_text("# @package _global_\nhydra: {job_logging: {filters: {f: {(): os.mkdir}}}}\n")
    path = "../" * len((HOME / "conf" / "data").parts) + str(tmp_path / "evil").lstrip("/")
    with pytest.raises(RequestError, match="choose by name, without a path"):
        compose_with(open_hydra().config_loader, [override.replace("PATH", path)])


@pytest.mark.parametrize("option", ["--config-dir", "--config-path", "--config-name", "--experimental-rerun"])
def test_configs_come_from_nowhere_else(mia, hostile, tmp_path, option):
    code, _, err = mia(tmp_path / "mlruns", "-m", option, str(tmp_path), "+x=evil")
    assert code == 2
    assert option in err
    assert unharmed(tmp_path)


@pytest.mark.parametrize(
    ("text", "override"),
    [
        ("limit: {tpr_at_0.1pct_fpr: 0.25}\n", "+sweeps=x"),
        ("variants: {a: limit.tpr_at_0.1pct_fpr=0.25}\n", "+x=a"),
    ],
)
def test_limits_are_called_as_their_metrics_in_a_file_too(mia, hostile, tmp_path, text, override):
    hostile(text)
    code, out, err = mia(tmp_path / "mlruns", "--cfg", "job", override)
    assert (code, err) == (0, "")
    assert "tpr_at_0_1pct_fpr: 0.25" in out


def test_limits_are_swept_by_a_file(hostile, tmp_path):
    hostile("hydra: {sweeper: {params: {limit.tpr_at_0.1pct_fpr: '0.1,0.2'}}}\n")
    read = read_sweep("x", tmp_path, [*KEYS, "limit"], GROUPS)
    assert read.node["hydra"]["sweeper"]["params"] == {"limit.tpr_at_0_1pct_fpr": "0.1,0.2"}


def test_a_group_in_a_file_must_hold_keys(hostile, tmp_path):
    hostile("data: digits\n")
    with pytest.raises(RequestError, match="data: digits sets no key; to choose, write 'defaults:"):
        read_sweep("x", tmp_path, KEYS, GROUPS)


def test_a_file_in_the_place_of_the_projects_own_is_said(mia, hostile, tmp_path):
    hostile("# Question: mine?\nsplit:\n  size: 7\n", "digits")
    code, out, err = mia(tmp_path / "mlruns", "--cfg", "job", "+sweeps=digits")
    assert code == 0
    assert "size: 7" in out
    assert re.fullmatch(r"mia: .*sweeps/digits\.yaml stands in the place of the project's own sweep digits\n", err)


def test_what_a_file_may_say_is_read(hostile, tmp_path):
    hostile(
        "# @package _global_\n# Question: what?\n#   And more.\n# Cost: none\n"
        "defaults:\n  - /paper: locations\n  - override /attack: [gap, loss]\n  - override hydra/launcher: joblib\n"
        "  - _self_\n"
        "train:\n  learning_rate: 1e-3\n  dp: {clipping_norm: .inf}\n"
        "variants:\n  none: ''\n  two: defence=top_k defence.k=2 model.hidden=[8,8]\n"
        "hydra:\n  launcher: {n_jobs: 2, timeout_min: 10}\n  sweeper: {params: {split.size: '10,20', seed: range(3)}}\n"
    )
    found = read_sweep("x", tmp_path / "no", KEYS, [*GROUPS, "paper"])
    assert found.question == "Question: what? And more.\nCost: none"
    assert found.node["train"] == {"learning_rate": 1e-3, "dp": {"clipping_norm": float("inf")}}
    assert found.node["defaults"][1] == {"override /attack": ["gap", "loss"]}
    assert found.variants == {"none": [], "two": ["defence=top_k", "defence.k=2", "model.hidden=[8,8]"]}
    params = found.node["hydra"]["sweeper"]["params"]
    assert params == {"split.size": "10,20", "seed": "range(3)", "+x": "none,two"}


def test_files_are_asked_for_by_name_alone():
    paths = ["digits", "frontier"]
    assert asked_for(["+sweeps=digits", "train.l2=1"], paths) == ["digits"]
    assert asked_for(["+frontier=a,b", "+sweeps='digits'"], paths) == ["frontier", "digits"]
    assert asked_for(["data=digits", "+data=frontier", "seed=1"], paths) == []


@pytest.mark.parametrize("text", ["a: 1e-3", "a: [1, 2]", "a: {b: null}", "a: 'x: y'"])
def test_bounded_reading_gives_plain_values(text):
    wanted = {"a: 1e-3": 1e-3, "a: [1, 2]": [1, 2], "a: {b: null}": {"b": None}, "a: 'x: y'": "x: y"}
    assert read_bounded(text) == {"a": wanted[text]}


def test_errors_of_reading_are_for_people():
    with pytest.raises(RequestError, match="line 2: anchors and aliases are not read"):
        read_bounded("a: 1\nb: &x 2")
    assert header("no header\n# a comment") == ""
