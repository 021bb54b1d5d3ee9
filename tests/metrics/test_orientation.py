"""Membership the wrong way round is noticed, and nothing else is."""

import numpy as np
import pytest

from mia.metrics.orientation import orientation_warnings
from mia.records import Signals

RECORDS, CLASSES = 600, 4


def signals_of(seed, *, shadows=4, gain=1.5, turned=(), classes=CLASSES):
    """Return signals of models that are better on their members by `gain` logits, and the target's membership."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, RECORDS)
    member = generator.random((shadows + 1, RECORDS)) < 0.5
    outputs = generator.normal(size=(shadows + 1, RECORDS, CLASSES))
    outputs[:, np.arange(RECORDS), labels] += 0.5 + gain * member
    if classes == 1:
        outputs = outputs[:, np.arange(RECORDS), labels][..., None]
    said = member.astype(np.int8)
    for model in turned:
        said[model] = 1 - said[model]
    signals = Signals(
        labels=labels.astype(np.int32),
        is_candidate=np.ones(RECORDS, bool),
        target_outputs=outputs[0],
        shadow_outputs=outputs[1:],
        shadow_membership=said[1:],
        shadow_own=said[1:] >= 0,
    )
    return signals, said[0] == 1


@pytest.mark.parametrize("classes", [CLASSES, 1])
def test_what_is_turned_is_named(classes):
    assert orientation_warnings(*signals_of(0, classes=classes)) == ()
    (line,) = orientation_warnings(*signals_of(0, turned=[0], classes=classes))
    assert line.startswith("target_member may be the wrong way round (1 is a member, 0 is not): the target is right on")
    (line,) = orientation_warnings(*signals_of(0, turned=[2, 4], classes=classes))
    assert line.startswith("shadow_member may be the wrong way round")
    assert "for 2 of 4 shadows (2, 4)" in line
    assert len(orientation_warnings(*signals_of(0, turned=range(5), classes=classes))) == 2


def test_models_that_leak_nothing_are_not_suspected():
    assert not any(orientation_warnings(*signals_of(seed, gain=0.0)) for seed in range(200))


def test_nothing_to_compare_is_no_suspicion():
    signals, is_member = signals_of(0, turned=[0], shadows=0)
    assert orientation_warnings(signals, np.ones_like(is_member)) == ()
    assert len(orientation_warnings(signals, is_member)) == 1
