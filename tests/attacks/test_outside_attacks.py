"""Attacks that an installed package adds: found by their entry point, run by their name, checked as ours are."""

import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from attack_cases import random_signals

from mia.attacks import ATTACKS, AttackError, check_possible, run_attack
from mia.attacks.options import AttackOptions, attack_schema, default_nodes, from_schema
from mia.checks import RequestError
from mia.registry import Registry

CODE = '''
from dataclasses import dataclass

import numpy as np

from mia.attacks import Scores, Signals, attack
from mia.checks import positive


@dataclass
class ConfidentOptions:
    """Sure answers to a power."""

    power: float = 1.0

    def __post_init__(self) -> None:
        positive("attack.confident.power", self.power)


@attack("confident", options=ConfidentOptions, citation="Nobody: Nothing, Nowhere 2026")
def confident(signals: Signals, options: ConfidentOptions, seed: int) -> np.ndarray:
    return signals.target_outputs[signals.candidates].max(1).astype(float) ** options.power


@dataclass
class WrongOptions:
    gives: str = "scores"


@attack("wrong", options=WrongOptions, needs=("shadows",))
def wrong(signals: Signals, options: WrongOptions, seed: int, progress=None) -> Scores | np.ndarray:
    count = len(signals.candidates)
    progress(1, 1)
    if options.gives == "error":
        raise KeyError("a slip of theirs")
    if options.gives == "nothing":
        return None
    if options.gives == "words":
        return np.array(["member"] * count)
    if options.gives == "too few":
        return np.zeros(count - 1)
    if options.gives == "numbers":
        return Scores(np.zeros(count), np.arange(count), np.zeros(count, int), np.zeros(count, int))
    if options.gives == "harm":
        signals.target_outputs[:] = 0
    return Scores(np.zeros(count), np.zeros((count, 2), bool), np.zeros(count, int), np.zeros(count, int))
'''
POINTS = "[mia.attacks]\nconfident = guest_of_mia\nwrong = guest_of_mia\n"


@pytest.fixture
def _guest(tmp_path, monkeypatch):
    """Install a package: a module and the entry points beside it."""
    (tmp_path / "guest_of_mia.py").write_text(CODE)
    folder = tmp_path / "guest_of_mia-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: guest-of-mia\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(POINTS)
    ours = ATTACKS.names()  # before the package is there
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in (("_entries", dict(ATTACKS._entries)), ("_owners", dict(ATTACKS._owners)), ("broken", {})):
        monkeypatch.setattr(ATTACKS, name, value)
    monkeypatch.setattr(ATTACKS, "_is_loaded", False)
    vars(ATTACKS).pop("points", None)
    attack_schema.cache_clear()
    yield
    assert ATTACKS.names() == sorted([*ours, "confident", "wrong"])
    vars(ATTACKS).pop("points", None)
    attack_schema.cache_clear()
    sys.modules.pop("guest_of_mia", None)


pytestmark = pytest.mark.usefixtures("_guest")


def test_it_is_found_and_runs_with_its_option():
    assert ATTACKS.installed() == ["confident", "wrong"]
    spec = ATTACKS["confident"]
    assert not ATTACKS.is_ours("confident")
    assert spec.summary == "Sure answers to a power."
    signals, _ = random_signals(shadows=0, probability=True)
    scores = run_attack("confident", signals, spec.options(power=2.0), 0)
    np.testing.assert_allclose(scores.score, signals.target_outputs.max(1).astype(float) ** 2)
    assert scores.score.dtype == np.float64
    assert scores.is_predicted is None
    assert not scores.num_in.any()
    assert not scores.num_out.any()


def test_it_is_part_of_the_config():
    spec = ATTACKS["confident"]
    assert default_nodes()["confident"] == {"confident": spec.options()}
    chosen = attack_schema()(confident=spec.options(power=3.0))
    assert from_schema(chosen) == AttackOptions(chosen={"confident": spec.options(power=3.0)})


def test_what_it_needs_is_checked_too():
    with pytest.raises(RequestError, match="attack=wrong needs shadow models, and there are none"):
        run_attack("wrong", random_signals(shadows=0)[0], ATTACKS["wrong"].options(), 0)
    with pytest.raises(RequestError, match=r"split.num_shadows=0 is too few for attack=wrong"):
        check_possible("wrong", ATTACKS["wrong"].options(), "pool", 0)


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("nothing", "attack=wrong gave NoneType, not Scores or an array of numbers"),
        ("words", "attack=wrong gave an array of <U6, not Scores"),
        ("too few", r"attack=wrong gave score of shape \(59,\), not \(60,\): one value per candidate record"),
        ("scores", r"attack=wrong gave is_predicted of shape \(60, 2\)"),
        ("numbers", "attack=wrong gave is_predicted of type int64, not bool"),
    ],
)
def test_what_is_no_score_per_record_is_refused(gives, message):
    steps = []
    with pytest.raises(RequestError, match=message):
        run_attack("wrong", random_signals()[0], ATTACKS["wrong"].options(gives), 0, lambda *step: steps.append(step))
    assert steps == [(1, 1)]


def test_its_exception_is_a_failure_that_names_it():
    with pytest.raises(AttackError, match="attack=wrong of guest_of_mia failed: KeyError: 'a slip of theirs'") as error:
        run_attack("wrong", random_signals()[0], ATTACKS["wrong"].options("error"), 0, lambda *_: None)
    assert isinstance(error.value.__cause__, KeyError)


def test_it_cannot_change_what_others_see():
    signals, _ = random_signals()
    before = signals.target_outputs.copy()
    with pytest.raises(AttackError, match="failed: ValueError: assignment destination is read-only"):
        run_attack("wrong", signals, ATTACKS["wrong"].options("harm"), 0, lambda *_: None)
    np.testing.assert_array_equal(signals.target_outputs, before)
    assert signals.target_outputs.flags.writeable, "it is the caller's array"


def test_a_broken_one_hides_no_other(monkeypatch):
    points = [*ATTACKS.points, EntryPoint("broken", "nowhere_to_be_found", "mia.attacks")]
    registry = Registry("attack", "mia.attacks", "mia.attacks")
    monkeypatch.setattr(registry, "points", points, raising=False)
    with pytest.raises(RequestError, match="attack=broken: the installed package's nowhere_to_be_found cannot be used"):
        registry["broken"]
