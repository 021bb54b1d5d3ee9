from dataclasses import replace

import numpy as np
import pytest
from shadow_answers import overfitted, shuffled

from mia.attacks.shadow_classifier import ShadowSvmOptions
from mia.attacks.shadow_classifier.rows import RowSource, assign_folds, check_features, make_features
from mia.checks import RequestError


def gather(signals, label=0, fewest_shadows=5, seed=0, **changes):
    return RowSource(signals, ShadowSvmOptions(**changes), seed).gather(label, fewest_shadows)


@pytest.mark.parametrize("shadows", [2, 3, 5, 7, 12])
def test_folds_never_split_a_shadow(shadows):
    rows = gather(overfitted(shadows=shadows, own_share=0.7)[0])
    fold = assign_folds(rows, 5)
    assert len(np.unique(fold)) == min(5, shadows)
    for shadow in range(shadows):
        assert len(np.unique(fold[rows.shadow == shadow])) == 1


def test_one_shadow_is_split_evenly():
    rows = gather(overfitted(shadows=1)[0])
    fold = assign_folds(rows, 5)
    for number in range(5):
        assert rows.is_member[fold == number].mean() == pytest.approx(rows.is_member.mean(), abs=0.03)


def test_rows_are_the_shadows_own_records_of_the_class():
    signals, _ = overfitted(shadows=3, own_share=0.5)
    membership = signals.shadow_membership.copy()
    membership[0, :100] = -1
    signals = replace(signals, shadow_membership=membership)
    rows = gather(signals, label=1)
    wanted = signals.shadow_own & (membership >= 0) & (signals.labels == 1)
    assert len(rows) == wanted.sum()
    assert rows.is_member.sum() == (wanted & (membership == 1)).sum()
    assert (rows.num_in, rows.num_out) == (3, 3)


def test_order_of_records_and_shadows_changes_no_row():
    signals, _ = overfitted(own_share=0.8)
    moved, _ = shuffled(signals)
    for label in (0, None):
        for limit in (0, 300):
            one, two = gather(signals, label, max_rows=limit), gather(moved, label, max_rows=limit)
            assert np.array_equal(one.features, two.features)
            assert np.array_equal(one.is_member, two.is_member)
            assert np.array_equal(assign_folds(one, 5), assign_folds(two, 5))


def test_too_many_rows_are_cut_to_whole_shadows():
    signals, _ = overfitted(shadows=20, records=200)
    rows = gather(signals, max_rows=850)
    assert len(rows) == 800
    assert np.bincount(rows.shadow).tolist() == [100] * 8


def test_never_fewer_shadows_than_folds_and_equal_shares_of_them():
    signals, _ = overfitted(shadows=20, records=400)
    rows = gather(signals, max_rows=300)
    counts = np.array(
        [[(rows.is_member[rows.shadow == shadow] == kind).sum() for kind in (0, 1)] for shadow in range(5)]
    )
    assert 280 <= len(rows) <= 300
    assert counts.sum() == len(rows)
    assert np.ptp(counts.sum(axis=1)) <= 2


def test_another_seed_draws_other_rows():
    signals, _ = overfitted(shadows=20, records=400)
    assert not np.array_equal(
        gather(signals, max_rows=300, seed=0).features, gather(signals, max_rows=300, seed=1).features
    )


def test_equal_answers_are_sampled_in_proportion():
    """A defence that shows only the label leaves few different answers: a sample must not take all or none of one."""
    signals, _ = overfitted(shadows=2, records=4000, classes=2)
    hard = np.eye(2, dtype=np.float32)[signals.shadow_outputs.argmax(-1)]
    signals = replace(signals, shadow_outputs=hard, is_probability=True)
    everything, sample = gather(signals, max_rows=0), gather(signals, max_rows=1000)
    assert sample.features[:, 0].mean() == pytest.approx(everything.features[:, 0].mean(), abs=0.05)
    first = everything.features[:500, 0]
    assert first.mean() == pytest.approx(everything.features[:, 0].mean(), abs=0.07)


def test_features():
    probabilities = np.array([[0.1, 0.9, 0.0], [0.3, 0.2, 0.5]])
    labels = np.array([0, 2])

    def features(outputs=probabilities, pooled=False, is_probability=True, **changes):
        return make_features(
            outputs, labels, ShadowSvmOptions(**changes), is_probability=is_probability, is_pooled=pooled
        )

    assert np.array_equal(features(), probabilities)
    assert np.array_equal(features(features="top_k", top_k=2), [[0.9, 0.1], [0.5, 0.3]])
    assert np.array_equal(features(pooled=True)[:, 0], [0.1, 0.5])
    assert features(features="top_k", top_k=2, pooled=True).shape == (2, 3)
    assert np.isfinite(features(features="logits")).all()
    logits = np.log(probabilities + 1e-30) + 7
    assert np.allclose(features(logits, is_probability=False), probabilities)
    assert np.array_equal(features(logits, is_probability=False, features="logits"), logits)


def test_more_largest_probabilities_than_classes_are_refused():
    with pytest.raises(RequestError, match=r"attack\.shadow_svm\.top_k=4 must be at most 3"):
        check_features("shadow_svm", ShadowSvmOptions(features="top_k", top_k=4), 3, 5)
