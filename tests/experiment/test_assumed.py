"""What attacks take for granted, looked at in a whole audit."""

import numpy as np
import pytest

import mia

RECORDS, SHADOWS = 400, 24


def audit(spread, attacks):
    """Audit models whose answers to a record spread as given: [K + 1, N] -> the margin of class 1."""
    generator = np.random.default_rng(0)
    member = generator.random((SHADOWS + 1, RECORDS)) < 0.5
    margin = spread(generator, (SHADOWS + 1, RECORDS)) + member
    logits = np.stack([np.zeros_like(margin), margin], axis=-1).astype(np.float32)
    return mia.audit(
        target_logits=logits[0], target_member=member[0], labels=np.ones(RECORDS, int),
        shadow_logits=logits[1:], shadow_member=member[1:].astype(np.int8), attacks=attacks,
    )  # fmt: skip


def test_normal_answers_are_not_doubted():
    found = audit(lambda generator, shape: generator.normal(size=shape), ["lira_online"])
    assert found.metrics["attack/lira_online/normality_rejected"] == pytest.approx(0.05, abs=0.04)
    assert not any("not normal" in line for line in found.warnings)


def test_answers_of_two_kinds_are_doubted_by_every_lira_and_once():
    found = audit(
        lambda generator, shape: generator.choice([-4.0, 4.0], size=shape) + 0.1 * generator.normal(size=shape),
        ["lira_online", "lira_offline"],
    )
    assert found.metrics["attack/lira_offline/normality_excess"] > 0.9
    assert sum("not normal" in line for line in found.warnings) == 1


def test_scores_that_no_longer_rank_are_told():
    found = audit(lambda generator, shape: 30 * generator.normal(size=shape[1:]) * np.ones(shape), ["rmia_online"])
    assert found.metrics["attack/rmia_online/saturation"] >= 0
    scores = found.scores["rmia_online"].score
    assert found.metrics["attack/rmia_online/saturation"] == np.mean(scores >= 1)
