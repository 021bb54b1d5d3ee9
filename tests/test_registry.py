"""Extensions: found in a folder and among installed packages, and never imported before they are asked for."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from mia.checks import RequestError
from mia.registry import ExtensionError, Registry, check_options, naming
from mia.train.defences import TRAIN_DEFENCES, Number, Strength, TrainDefence, train_defence


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one module that registers `own`, and an installed one that registers `theirs` and another broken."""
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "__init__.py").write_text(
        "from mia.registry import Registry\nREGISTRY = Registry('thing', 'ours', 'ours.things')\n"
    )
    (ours / "first.py").write_text("from ours import REGISTRY\nREGISTRY.add('own', 1, __name__)\n")
    (tmp_path / "others.py").write_text("from ours import REGISTRY\nREGISTRY.add('theirs', 2, __name__)\n")
    (tmp_path / "broken_one.py").write_text("raise OSError('no disk')\n")
    (tmp_path / "thief.py").write_text("from ours import REGISTRY\nREGISTRY.add('own', 3, __name__)\n")
    (tmp_path / "silent.py").write_text("")
    (tmp_path / "quitter.py").write_text("raise SystemExit(3)\n")
    meta = tmp_path / "others-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    (meta / "entry_points.txt").write_text(
        "[ours.things]\ntheirs = others\nbroken = broken_one\nown = thief\nquits = quitter\nsilent = silent\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("ours", "ours.first", "others", "broken_one", "thief", "silent"):
        sys.modules.pop(name, None)


def test_names_of_installed_packages_are_listed_without_importing_them(package):
    registry = Registry("thing", "ours", "ours.things")
    assert registry.installed() == ["broken", "own", "quits", "silent", "theirs"]
    assert "others" not in sys.modules


def test_entries_come_from_the_folder_and_from_installed_packages(package):
    from ours import REGISTRY

    assert REGISTRY.items() == [("own", 1), ("theirs", 2)]
    assert REGISTRY.is_ours("own")
    assert not REGISTRY.is_ours("theirs")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "no disk"),
        ("quits", "quitter cannot be used: 3"),
        ("silent", "registers no silent"),
        ("thiers", "did you mean 'theirs'"),
    ],
)
def test_what_cannot_be_had_says_why(package, name, words):
    from ours import REGISTRY

    with pytest.raises(RequestError, match=words):
        REGISTRY[name]


def test_a_taken_name_is_refused_and_the_first_one_stays(package):
    from ours import REGISTRY

    assert REGISTRY["own"] == 1
    assert "taken by ours.first" in REGISTRY.broken["own"]


class Colour(Enum):
    RED = 1


@dataclass
class Inner:
    number: int = 1


@dataclass
class EverythingThatCanBeSet:
    number: float = 1.0
    word: str | None = None
    either: int | str = 1
    path: Path = Path()
    colour: Colour = Colour.RED
    many: list[int] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    anything: Any = None


def test_options_that_a_config_can_hold_are_taken():
    check_options("attack=mine", EverythingThatCanBeSet)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (dict, "attack=mine: options=<class 'dict'> must be a dataclass"),
        (make_dataclass("Options", [("power", float)]), "Options.power must have a default"),
        (make_dataclass("Options", [("kept", set, field(default_factory=set))]), "Options.kept is of type set, which"),
        (make_dataclass("Options", [("call", Callable, None)]), "Options.call is of type"),
        (make_dataclass("Options", [("list", "list[Nowhere]", None)]), "a type of Options cannot be found: name"),
    ],
)  # fmt: skip
def test_options_that_no_config_can_hold_are_refused(options, said):
    registry = Registry("attack", "nowhere")
    with pytest.raises(RequestError) as error:
        registry.add("mine", object(), "theirs.module", options)
    assert str(error.value).startswith("attack=mine: ")
    assert said in str(error.value)
    assert not registry._entries


def test_a_defence_in_training_must_be_off_by_default():
    class Theirs(TrainDefence):
        strength = Strength("theirs")

    with pytest.raises(RequestError, match=r"train.theirs=0.5 is its default; it must be 0, no defence"):
        train_defence("theirs", options=Number(default=0.5))(Theirs)
    assert "theirs" not in TRAIN_DEFENCES


def test_what_fails_is_named_once_and_requests_pass():
    with pytest.raises(ExtensionError) as error, naming("outer"), naming("model=narrow of theirs"):
        raise TypeError("no")
    assert str(error.value) == "model=narrow of theirs failed: TypeError: no"
    assert isinstance(error.value.__cause__, TypeError)
    with pytest.raises(RequestError, match="wrong"), naming("theirs"):
        raise RequestError("wrong")
    with pytest.raises(OSError, match="full"), naming("theirs", OSError):
        raise OSError("full")
    with pytest.raises(TypeError), naming(""):
        raise TypeError("ours")
