"""What attacks share: found once, and never that of another membership, floor or number of shadows."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import CASES, random_signals
from null_cases import null_case

from mia.attacks import fits, run_attack
from mia.attacks.lira import LiraOfflineOptions, LiraOnlineOptions
from mia.attacks.memory import remembered


def assert_same(one, other):
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.placebo, other.placebo)
    np.testing.assert_array_equal(one.num_out, other.num_out)
    if one.stand_in is not None:
        np.testing.assert_array_equal(one.stand_in.score, other.stand_in.score)
    assert one.details == other.details


@pytest.mark.parametrize(("design", "form"), [("pairs", "logits"), ("balanced", "logits"), ("coins", "digits2")])
def test_what_one_attack_found_changes_no_other(design, form):
    """In a balanced design what is left out differs by the seed."""
    shared, _ = null_case(0, design, form, 9)
    more = {
        "another floor": ("lira_online", LiraOnlineOptions(floor=0.2)),
        "median": ("lira_offline", LiraOfflineOptions(location="median")),
        "global": ("lira_online", LiraOnlineOptions("global")),
        "density": ("lira_offline", LiraOfflineOptions("per_record", offline="density")),
    }
    for seed in (0, 1):
        for name, options in [*CASES.values(), *more.values()]:
            alone = run_attack(name, replace(shared), options, seed)
            assert_same(run_attack(name, shared, options, seed), alone)


def test_the_second_attack_works_out_no_moments_again(monkeypatch):
    signals, _ = random_signals()
    asked, real = [], fits.masked_moments
    monkeypatch.setattr(fits, "masked_moments", lambda *given: asked.append(given) or real(*given))
    run_attack("lira_online", signals, LiraOnlineOptions(), 0)
    once = len(asked)
    assert once > 0
    for name, options in (("lira_offline", LiraOfflineOptions()), ("lira_online", LiraOnlineOptions("global"))):
        run_attack(name, signals, options, 1)
    assert len(asked) == once


def test_it_is_worked_out_again_for_another_membership():
    signals, _ = random_signals()
    membership, other = np.zeros((2, 3), np.int8), np.ones((2, 3), np.int8)
    values = iter("abc")

    def work_out():
        return next(values)

    assert remembered(signals, "key", membership, work_out) == "a"
    assert remembered(signals, "key", membership.copy(), work_out) == "a"
    assert remembered(signals, "key", other, work_out) == "b"
    assert remembered(signals, "another", other, work_out) == "c"
