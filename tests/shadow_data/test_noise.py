"""Noise changes just the share it should, and marginal draws keep what they should and nothing else."""

import numpy as np
import pytest

from mia.shadow_data.noise import add_noise
from mia.shadow_data.options import NoisyOptions
from mia.shadow_data.space import describe_features


def changed_features(before, after, space):
    differs = before != after
    return np.stack([differs[:, space.feature_of_column == one].any(axis=1) for one in range(space.num_features)], 1)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2, 0.25, 1.0])
def test_flipping_changes_exactly_the_share_of_bits(noise):
    x = np.random.default_rng(1).integers(0, 2, (5000, 40), np.uint8)
    space = describe_features(tuple(feature(i) for i in range(40)), x)
    noisy = add_noise(x, space, NoisyOptions(noise=noise), np.random.default_rng(2))
    assert ((noisy != x).sum(axis=1) == round(noise * 40)).all()
    assert noisy.dtype == x.dtype


def feature(i):
    from mia.records import FeatureGroup

    return FeatureGroup(f"bit {i}", "bit", i, i + 1)


def test_every_feature_is_changed_equally_often():
    x = np.zeros((20_000, 10), np.uint8)
    space = describe_features(tuple(feature(i) for i in range(10)), x)
    share = add_noise(x, space, NoisyOptions(noise=0.3), np.random.default_rng(0)).mean(axis=0)
    assert np.abs(share - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 20_000)


def test_flipped_categories_stay_whole_and_become_others(mixed):
    x, features = mixed
    space = describe_features(features, x)
    noisy = add_noise(x, space, NoisyOptions(noise=1.0), np.random.default_rng(0))
    for start, stop in ((12, 15), (15, 20)):
        assert set(np.unique(noisy[:, start:stop])) == {0, 1}
        assert (noisy[:, start:stop].sum(axis=1) == 1).all()
        assert (noisy[:, start:stop].argmax(axis=1) != x[:, start:stop].argmax(axis=1)).all()
    assert (noisy[:, :10] == 1 - x[:, :10]).all()
    assert np.isin(noisy[:, 10], x[:, 10]).all()


def test_flipping_a_share_of_mixed_features_changes_at_most_that_many(mixed):
    x, features = mixed
    space = describe_features(features, x)
    noisy = add_noise(x, space, NoisyOptions(noise=0.5), np.random.default_rng(0))
    counts = changed_features(x, noisy, space).sum(axis=1)
    assert space.num_features == 14
    assert counts.max() == 7
    assert counts.mean() > 6.9  # a number is re-drawn, which seldom gives the same


@pytest.mark.parametrize("change", ["flip", "redraw"])
def test_no_noise_returns_the_same_records(mixed, change):
    x, features = mixed
    noisy = add_noise(x, describe_features(features, x), NoisyOptions(noise=0, change=change), np.random.default_rng(0))
    np.testing.assert_array_equal(noisy, x)


def test_redrawing_keeps_the_marginals_and_flipping_does_not(mixed):
    x, features = mixed
    space = describe_features(features, x)
    redrawn = add_noise(x, space, NoisyOptions(noise=1, change="redraw"), np.random.default_rng(0))
    flipped = add_noise(x, space, NoisyOptions(noise=1), np.random.default_rng(0))
    assert np.abs(redrawn[:, :10].mean(axis=0) - x[:, :10].mean(axis=0)).max() < 0.12
    np.testing.assert_allclose(flipped[:, :10].mean(axis=0), 1 - x[:, :10].mean(axis=0), atol=1e-6)


def test_marginal_draws_match_the_marginals_and_are_independent(mixed):
    x, features = mixed
    x = x.copy()
    x[:, 1] = x[:, 0]  # perfectly dependent
    space = describe_features(features, x)
    drawn = space.draw_marginal(x, 40_000, np.random.default_rng(0))
    spread = np.sqrt(0.25 / 40_000)
    columns = [*range(10), *range(12, 20)]
    assert np.abs(drawn[:, columns].mean(axis=0) - x[:, columns].mean(axis=0)).max() < 5 * spread
    assert np.isin(drawn[:, 10:12], x[:, 10:12]).all()
    np.testing.assert_allclose(drawn[:, 10:12].mean(axis=0), x[:, 10:12].mean(axis=0), atol=0.04)
    assert (drawn[:, 12:15].sum(axis=1) == 1).all()
    assert (drawn[:, 15:20].sum(axis=1) == 1).all()
    assert abs(np.corrcoef(drawn[:, 2], drawn[:, 3])[0, 1]) < 0.03
    p = x[:, 0].mean()
    assert abs((drawn[:, 0] * drawn[:, 1]).mean() - p * p) < 5 * spread


def test_pixels_are_changed_with_all_their_channels():
    x = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3), np.uint8)
    space = describe_features((), x)
    flat = x.reshape(50, -1)
    assert space.num_features == 30
    noisy = add_noise(flat, space, NoisyOptions(noise=0.2), np.random.default_rng(0))
    assert (changed_features(flat, noisy, space).sum(axis=1) <= 6).all()
    drawn = space.draw_uniform(2000, np.random.default_rng(0))
    assert (drawn.min(), drawn.max()) == (x.min(), x.max())
    assert abs(drawn.mean() - 127.5) < 1


def test_uniform_draws_give_every_value_alike_within_the_known_ranges(mixed):
    x, features = mixed
    drawn = describe_features(features, x).draw_uniform(20_000, np.random.default_rng(0))
    spread = np.sqrt(0.25 / 20_000)
    assert np.abs(drawn[:, :10].mean(axis=0) - 0.5).max() < 5 * spread
    assert np.abs(drawn[:, 12:15].mean(axis=0) - 1 / 3).max() < 5 * spread
    assert np.abs(drawn[:, 15:20].mean(axis=0) - 1 / 5).max() < 5 * spread
    for column in (10, 11):
        low, high = x[:, column].min(), x[:, column].max()
        assert low <= drawn[:, column].min() < drawn[:, column].max() <= high
        assert drawn[:, column].mean() == pytest.approx((low + high) / 2, abs=0.1)
