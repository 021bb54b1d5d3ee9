"""Extensions: found in a folder and among installed packages, and never imported before they are asked for."""

import sys

import pytest

from mia.checks import RequestError
from mia.registry import Registry


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
    meta = tmp_path / "others-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    (meta / "entry_points.txt").write_text(
        "[ours.things]\ntheirs = others\nbroken = broken_one\nown = thief\nsilent = silent\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("ours", "ours.first", "others", "broken_one", "thief", "silent"):
        sys.modules.pop(name, None)


def test_names_of_installed_packages_are_listed_without_importing_them(package):
    registry = Registry("thing", "ours", "ours.things")
    assert registry.installed() == ["broken", "own", "silent", "theirs"]
    assert "others" not in sys.modules


def test_entries_come_from_the_folder_and_from_installed_packages(package):
    from ours import REGISTRY

    assert REGISTRY.items() == [("own", 1), ("theirs", 2)]
    assert REGISTRY.is_ours("own")
    assert not REGISTRY.is_ours("theirs")


@pytest.mark.parametrize(
    ("name", "words"),
    [("broken", "no disk"), ("silent", "registers no silent"), ("thiers", "did you mean 'theirs'")],
)
def test_what_cannot_be_had_says_why(package, name, words):
    from ours import REGISTRY

    with pytest.raises(RequestError, match=words):
        REGISTRY[name]


def test_a_taken_name_is_refused_and_the_first_one_stays(package):
    from ours import REGISTRY

    assert REGISTRY["own"] == 1
    assert "taken by ours.first" in REGISTRY.broken["own"]
