"""A small frozen case whose scores are worked out by hand."""

import math

import numpy as np
import pytest
from attack_cases import EVERY, two_class_signals

from mia.attacks import run_attack
from mia.attacks.lira import LiraOfflineOptions, LiraOnlineOptions
from mia.attacks.rmia import RmiaOfflineOptions, RmiaOnlineOptions
from mia.records import Signals

LOG_2PI = math.log(2 * math.pi)

# Two records. Shadows 1 and 2 are IN, 3 and 4 OUT. Of two classes, phi is the difference of the logits.
# Record 0: IN 3 and 5 (mean 4, deviation 1), OUT -2 and 2 (mean 0, deviation 2). Record 1: IN 1, 1; OUT 0, 4.
TARGET = [3.0, 2.0]
SHADOWS = [[3, 1], [5, 1], [-2, 0], [2, 4]]
MEMBERSHIP = [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_lira_online_with_a_deviation_per_record():
    # Record 0: log N(3; 4, 1) - log N(3; 0, 2) = -1/2 - 0 + 9/8 + log 2.
    signals = two_class_signals([3.0], [row[:1] for row in SHADOWS], [row[:1] for row in MEMBERSHIP])
    score = run_attack("lira_online", signals, LiraOnlineOptions("per_record"), 0).score
    assert score == pytest.approx([5 / 8 + math.log(2)])


def test_lira_online_with_one_deviation():
    # IN distances -1, 1, 0, 0: variance 1/2. OUT distances -2, 2, -2, 2: variance 4.
    signals = two_class_signals(TARGET, SHADOWS, MEMBERSHIP)
    score = run_attack("lira_online", signals, LiraOnlineOptions("global"), 0).score
    first = -1 + 9 / 8 + math.log(2 / math.sqrt(0.5))
    second = -1 + 0 + math.log(2 / math.sqrt(0.5))
    assert score == pytest.approx([first, second])


def test_lira_offline():
    signals = two_class_signals(TARGET, SHADOWS, MEMBERSHIP)
    density = run_attack("lira_offline", signals, LiraOfflineOptions("per_record", offline="density"), 0)
    assert density.score == pytest.approx([9 / 8 + math.log(2) + LOG_2PI / 2, math.log(2) + LOG_2PI / 2])
    one_sided = run_attack("lira_offline", signals, LiraOfflineOptions("per_record"), 0)
    assert one_sided.score == pytest.approx([math.log(0.9331927987311419), math.log(0.5)])  # 1.5 and 0 deviations


def test_median_of_three_is_the_middle_one():
    # OUT 0, 1 and 8 of one record: median 1, deviation of (0, 1, 8) about their mean 3 is sqrt(38 / 3).
    signals = two_class_signals([1.0], [[0], [1], [8]], [[0], [0], [0]])
    score = run_attack("lira_offline", signals, LiraOfflineOptions("per_record", "median"), 0).score
    assert score == pytest.approx([math.log(0.5)])
    chosen = LiraOfflineOptions("per_record", "median", "density")
    assert run_attack("lira_offline", signals, chosen, 0).score == pytest.approx([LOG_2PI / 2 + math.log(38 / 3) / 2])


def by_hand(target, shadows, membership, population):
    """Return signals of two classes, all labelled 1, from probabilities of the true class."""
    pair = lambda p: np.stack([1 - np.asarray(p), np.asarray(p)], axis=-1)  # noqa: E731
    membership = np.array(membership, np.int8)
    return Signals(
        labels=np.ones(len(target), np.int32),
        is_candidate=np.ones(len(target), bool),
        target_outputs=pair(target),
        shadow_outputs=pair(shadows),
        shadow_membership=membership,
        shadow_own=membership >= 0,
        is_probability=True,
        population_outputs=pair(population),
        population_labels=np.ones(len(population[0]), np.int32),
    )


def test_rmia():
    # x: target .9; IN .8, OUT .4: p(x) = .6 online, (1.5 x .4 + .5) / 2 = .55 offline with a = .5.
    # z: target .2, .5, .8; OUT mean .4, .5, .5: ratios .5, 1, 1.6 online; .2/.55, .5/.625, .8/.625 offline.
    signals = by_hand([0.9], [[0.8], [0.4]], [[1], [0]], [[0.3, 0.5, 0.4], [0.5, 0.5, 0.6], [0.2, 0.5, 0.8]])
    # 1.5 beats .5 and 1 by a factor of 1 and .5 alone by 2; it is 3 times .5.
    for gamma, share in ((1, 2 / 3), (2, 1 / 3), (2.9, 1 / 3), (3.1, 0)):
        assert run_attack("rmia_online", signals, RmiaOnlineOptions(float(gamma)), 0).score == pytest.approx([share])
    # .9 / .55 = 1.64 against .36, .8 and 1.28.
    for gamma, share in ((1, 1), (1.2, 1), (1.3, 2 / 3), (2, 2 / 3), (2.1, 1 / 3), (4.4, 1 / 3), (4.6, 0)):
        chosen = RmiaOfflineOptions(float(gamma), 0.5)
        assert run_attack("rmia_offline", signals, chosen, 0).score == pytest.approx([share])


def test_answers_alone():
    signals = by_hand([0.5, 0.25, 1.0], np.zeros((0, 3)), np.zeros((0, 3)), [[0.5]])
    log2 = math.log(2)
    expected = {
        "gap": [0, 0, 1],  # of tied classes the first counts, and the label is the second
        "loss": [-log2, -2 * log2, 0],
        "confidence": [0.5, 0.25, 1],
        "entropy": [-log2, 0.75 * math.log(0.75) + 0.25 * math.log(0.25), 0],
        "modified_entropy": [-log2, 2 * 0.75 * math.log(0.25), 0],
    }
    for name, score in expected.items():
        scores = run_attack(name, signals, EVERY[name], 0)
        assert scores.score == pytest.approx(score)
        assert (scores.is_predicted is None) == (name != "gap")


def test_calibration():
    signals = by_hand([0.8, 0.1], [[0.2, 0.9], [0.8, 0.1], [0.5, 0.9]], [[0, 1], [0, 0], [1, 1]], [[0.5]] * 4)
    score = run_attack("calibration", signals, EVERY["calibration"], 0).score
    assert score == pytest.approx([math.log(0.8) - (math.log(0.2) + math.log(0.8)) / 2, 0])
