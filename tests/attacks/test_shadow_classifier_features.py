"""What classifiers can see beside the probabilities: sorted ones, the true class's, losses, several at once."""

from dataclasses import replace

import numpy as np
import pytest
from attack_cases import random_signals
from null_cases import area, null_case
from shadow_answers import EVERY, overfitted, shuffled

from mia.attacks import run_attack
from mia.attacks.shadow_classifier import FEATURES, ShadowLogisticOptions, ShadowSvmOptions
from mia.attacks.shadow_classifier.losses import Losses
from mia.attacks.shadow_classifier.rows import RowSource, make_features
from mia.attacks.statistics import log_confidence
from mia.checks import RequestError
from mia.probabilities import softmax


def features(kinds, outputs, labels, *, pooled=False, top_k=2, losses=None):
    options = ShadowSvmOptions(features=kinds, top_k=top_k)
    return make_features(outputs, labels, options, is_probability=False, is_pooled=pooled, losses=losses)


def test_several_features_stand_side_by_side():
    generator = np.random.default_rng(0)
    outputs, labels = generator.normal(size=(20, 4)), generator.integers(0, 4, 20)
    p = softmax(outputs)
    own = p[np.arange(20), labels][:, None]
    losses = generator.normal(size=(20, 2))
    np.testing.assert_array_equal(features("sorted", outputs, labels), np.sort(p, axis=1)[:, ::-1])
    np.testing.assert_array_equal(features("true_class", outputs, labels), own)
    np.testing.assert_array_equal(features("true_class", outputs, labels, pooled=True), own)
    found = features(["probabilities", "true_class", "top_k"], outputs, labels)
    np.testing.assert_array_equal(found, np.hstack([p, own, np.sort(p, axis=1)[:, :1:-1]]))
    both = features(["loss", "calibrated_loss"], outputs, labels, losses=losses)
    np.testing.assert_array_equal(both, losses)
    np.testing.assert_array_equal(features("calibrated_loss", outputs, labels, losses=losses), losses[:, 1:])
    assert features(["sorted", "sorted"], outputs, labels).shape == (20, 4)


def test_losses_are_calibrated_by_models_that_never_saw_the_record():
    signals, _ = random_signals(shadows=7, unused=0.2)
    records = np.arange(60)
    loss = -np.stack(
        [
            log_confidence(outputs, signals.labels, False, 0.0)
            for outputs in (signals.target_outputs, *signals.shadow_outputs)
        ]
    )
    for row in (0, 3):
        found = Losses(signals, 0).of(np.full(60, row), records)
        np.testing.assert_allclose(found[:, 0], loss[row])
        for record in records:
            others = [k for k in range(1, 8) if k != row and signals.shadow_membership[k - 1, record] == 0]
            expected = loss[row, record] - np.mean(loss[others, record]) if others else np.nan
            np.testing.assert_allclose(found[record, 1], expected)


@pytest.mark.parametrize("kinds", [*FEATURES, ["loss", "calibrated_loss"], ["sorted", "true_class", "loss"]], ids=str)
@pytest.mark.parametrize("per_class", [True, False])
def test_members_are_found_whatever_the_order(kinds, per_class):
    signals, is_member = overfitted(shadows=6)
    options = ShadowLogisticOptions(features=kinds, per_class=per_class, top_k=2)
    scores = run_attack("shadow_logistic", signals, options, 0)
    assert area(scores.score, is_member) > 0.6
    moved, order = shuffled(signals)
    again = run_attack("shadow_logistic", moved, options, 0)
    np.testing.assert_allclose(again.score, scores.score[order], rtol=1e-6, atol=1e-6)


def test_records_without_a_shadow_to_calibrate_by_are_left_out_and_counted():
    signals, _ = overfitted(shadows=3)
    lacking = ~(signals.shadow_membership == 0).any(0)
    scores = run_attack("shadow_logistic", signals, ShadowLogisticOptions(features="calibrated_loss"), 0)
    assert lacking.any()
    assert (np.isnan(scores.score) == lacking).all()
    assert any(f"{lacking.sum()} records lack an OUT shadow" in line for line in scores.warnings)
    rows = RowSource(signals, ShadowLogisticOptions(features="calibrated_loss"), 0).gather(None, 3)
    assert np.isfinite(rows.features).all()


@pytest.mark.parametrize(("design", "target"), [("pairs", 1), ("balanced", 0), ("coins", 0)])
def test_a_calibrated_loss_finds_nobody_where_nothing_was_learnt(design, target):
    found = []
    for seed in range(6):
        signals, is_member = null_case(seed, design, "logits", 9, target)
        options = ShadowLogisticOptions(features=["loss", "calibrated_loss"])
        score = run_attack("shadow_logistic", signals, options, seed).score
        known = ~np.isnan(score)
        found.append(area(score[known], is_member[known]))
    assert abs(np.mean(found) - 0.5) < 4 * np.sqrt(1 / 3 / 400 / len(found))


@pytest.mark.parametrize("name", EVERY)
def test_what_is_no_feature_is_refused(name):
    with pytest.raises(RequestError, match=rf"attack.{name}.features='sorte' is not known, did you mean 'sorted'"):
        EVERY[name](features=["loss", "sorte"])
    for given in ([], 3):
        with pytest.raises(RequestError, match=rf"attack.{name}.features=.* must be one or several of probabilities"):
            EVERY[name](features=given)


def test_one_shadow_calibrates_nothing():
    signals, _ = overfitted(shadows=1)
    with pytest.raises(RequestError, match="features=calibrated_loss needs 2 shadows or more, there is 1"):
        run_attack("shadow_logistic", signals, ShadowLogisticOptions(features="calibrated_loss"), 0)
    assert not np.isnan(
        run_attack("shadow_logistic", signals, replace(ShadowLogisticOptions(), features="loss"), 0).score
    ).any()
