"""DP-SGD: gradients like a slow twin's, noise as stated, batches as drawn, epsilon as the library's, memory bounded."""

import math
from dataclasses import replace
from types import SimpleNamespace

import dp_accounting
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from jax.extend.random import threefry_2x32
from scipy import stats
from scipy.special import log_ndtr
from training import hooks_of

from mia.checks import RequestError
from mia.models.networks import convolution
from mia.models.networks.layers import Training
from mia.models.networks.network import Network
from mia.models.options import CnnOptions, MlpOptions, WideResnetOptions
from mia.train.defence_options import DpOptions
from mia.train.defences import Batch
from mia.train.devices import mesh
from mia.train.hooks import Defences, Strengths
from mia.train.loss import record_losses
from mia.train.many import train_many
from mia.train.options import TrainOptions
from mia.train.privacy import epsilon_of, grid_step, with_noise
from mia.train.private import (
    PoissonBatch,
    clipped_gradient,
    in_microbatches,
    noisy_mean,
    normals,
    poisson_batch,
    poisson_microbatch,
    positions_in,
)
from mia.train.sharded import bytes_needed
from mia.train.state import Model, Plan, Records

KEY = jax.random.key(0)
MODELS = {
    "mlp": (MlpOptions(hidden=[9, 7]), (5,)),
    "cnn": (CnnOptions(), (8, 8, 1)),
    "cnn valid": (CnnOptions(), (18, 17, 2)),
    "wide_resnet": (WideResnetOptions(depth=10, width=1), (8, 8, 1)),
}


@pytest.mark.parametrize("is_on_cpu", [True, False], ids=["CPU", "elsewhere"])
@pytest.mark.parametrize("name", MODELS)
def test_clipped_gradients_equal_those_of_one_record_after_another(name, is_on_cpu, monkeypatch):
    monkeypatch.setattr(convolution, "is_on_cpu", lambda: is_on_cpu)
    model, shape = MODELS[name]
    network = Network(model, shape, 3)
    parameters, _ = network.initialise(KEY)
    rng = np.random.default_rng(0)
    x = jnp.array(rng.normal(size=(6, *shape)), jnp.float32)
    labels, weights = jnp.array(rng.integers(0, 3, 6)), jnp.array([1.0, 1, 1, 1, 1, 0])
    options = TrainOptions(label_smoothing=0.1, confidence_penalty=0.2, dp=DpOptions(clipping_norm=1.0))
    hooks = hooks_of(options)
    batch = Batch(x, labels, jax.nn.one_hot(labels, 3))

    def one(parameters, x, target):
        logits, _ = network.apply(parameters, {}, x, Training(KEY, jnp.float32(0), jnp.ones(1)))
        return record_losses(logits, target, hooks)[0]

    gradient = jax.jit(jax.grad(one))
    gradients = [gradient(parameters, x[i : i + 1], batch.targets[i : i + 1]) for i in range(5)]
    norms = [math.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(own))) for own in gradients]
    clip = float(np.median(norms))  # some are clipped and some are not
    expected = jax.tree.map(
        lambda *leaves: sum(leaf * min(1, clip / norm) for leaf, norm in zip(leaves, norms, strict=True)), *gradients
    )
    training = Training(KEY, jnp.float32(0), weights)
    found, _ = jax.jit(lambda given: clipped_gradient(network, given, batch, training, hooks, jnp.float32(clip)))(
        parameters
    )
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)
    assert norms[int(np.argmax(norms))] > clip


@pytest.mark.parametrize("microbatch", [5, 64])
def test_no_noise_and_no_clipping_is_plain_training(microbatch, table, split):
    members, nonmembers = split(2, 40, 120)
    plain = TrainOptions(epochs=3, batch_size=16, learning_rate=0.01, l2=0.01, weight_decay=0.1)
    dp = DpOptions(clipping_norm=1e9, sampling="shuffled", microbatch=microbatch)
    both = [plain, replace(plain, dp=dp)]
    rows = members[[0, 0]], nonmembers[[0, 0]]
    one, other = train_many(table, *rows, np.zeros(2, np.uint32), MlpOptions(hidden=[16]), both)
    for name, value in one.parameters.items():
        np.testing.assert_allclose(other.parameters[name], value, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(other.train_loss, one.train_loss, rtol=1e-4)


def test_noise_has_the_stated_deviation_and_is_fresh_in_every_parameter():
    total = {"a": jnp.zeros((50, 40)), "b": jnp.zeros(3000)}
    found = noisy_mean(total, 8.0, KEY, jnp.float32(1.5), jnp.float32(0.4))
    drawn = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])
    scaled = drawn / (1.5 * 0.4 / 8)
    assert stats.kstest(scaled, "norm").pvalue > 0.01
    low, high = stats.chi2.ppf([0.001, 0.999], len(scaled))
    assert low < (scaled**2).sum() < high
    assert len(np.unique(drawn)) > 4990
    other = noisy_mean(total, 8.0, jax.random.key(1), jnp.float32(1.5), jnp.float32(0.4))
    both = np.corrcoef(drawn, np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(other)]))[0, 1]
    assert abs(both) < 0.06


def test_normal_numbers_use_every_word_and_have_no_edges():
    count = 200_001
    drawn = np.asarray(normals(KEY, count), dtype=np.float64)
    assert stats.kstest(drawn, "norm").pvalue > 0.01
    assert np.isfinite(drawn).all()
    assert stats.normaltest(drawn).pvalue > 0.001  # skewness and kurtosis
    halves = drawn[: count // 2], drawn[count // 2 + 1 :]  # the two words of each block of the generator
    assert abs(np.corrcoef(*halves)[0, 1]) < 4 / np.sqrt(count / 2)
    assert abs(np.corrcoef(halves[0] ** 2, halves[1] ** 2)[0, 1]) < 4 / np.sqrt(count / 2)
    assert len(np.intersect1d(drawn, np.asarray(normals(jax.random.key(1), count), dtype=np.float64))) < count / 8
    np.testing.assert_array_equal(drawn, normals(KEY, count))


def test_random_words_are_kept_in_memory_for_all_that_is_made_of_them():
    """Where XLA worked them out anew for each use, a step of a small model took fifteen times as long."""
    many = jax.jit(
        lambda keys: jax.lax.fori_loop(0, 3, lambda i, total: total + normals(keys[i], 4096), jnp.zeros(4096))
    )
    text = many.lower(jax.random.split(KEY, 3)).compile().as_text()
    assert "conditional(" in text


def test_an_empty_batch_is_noise_alone(table, split):
    members, nonmembers = split(1, 2, 20)
    options = TrainOptions(epochs=30, batch_size=1, dp=DpOptions(1.0, 1.0))  # a quarter of the batches is empty
    (one,) = train_many(table, members, nonmembers, np.zeros(1, np.uint32), MlpOptions(hidden=[4]), [options])
    assert all(np.isfinite(value).all() for value in one.parameters.values())


def test_no_noise_is_drawn_at_zero():
    found = noisy_mean({"kernel": jnp.full(6, 4.0)}, jnp.float32(2), KEY, jnp.float32(0), jnp.float32(math.inf))
    np.testing.assert_array_equal(found["kernel"], jnp.full(6, 2.0))


def test_poisson_batches_hold_each_record_on_its_own():
    keys = jax.random.split(KEY, 400)
    drawn = jax.vmap(lambda key: poisson_batch(key, 50, 10))(keys)
    of_one = jax.vmap(poisson_microbatch, in_axes=(None, 0, None))
    rows, weights = jax.vmap(of_one, in_axes=(0, None, None))(drawn, jnp.arange(13), 4)
    assert rows.shape == (400, 13, 4)
    flat = weights.reshape(400, -1)
    counts = np.asarray(flat.sum(axis=1)).astype(int)
    np.testing.assert_array_equal(drawn.counts[:, -1], counts)
    assert (np.diff(flat, axis=1) <= 0).all()  # padding stands at the end
    assert ((rows >= 0) & (rows < 50)).all()
    for row, count in zip(np.asarray(rows).reshape(400, -1), counts, strict=True):
        assert len(np.unique(row[:count])) == count
    assert stats.binomtest(int(counts.sum()), 400 * 50, 0.2).pvalue > 0.001
    assert 0.7 < counts.var() / (50 * 0.2 * 0.8) < 1.4
    times = np.bincount(np.concatenate([r[:c] for r, c in zip(np.asarray(rows).reshape(400, -1), counts, strict=True)]))
    assert stats.chisquare(times).pvalue > 0.001


@pytest.mark.parametrize("count", [1, 31, 32, 33, 500])
@pytest.mark.parametrize("share", [1, 30, 100])
def test_the_records_of_a_poisson_batch_are_those_that_were_drawn(count, share):
    rate = share * count / 100  # of it the draw below depends, whatever form the batch has
    batch = poisson_batch(KEY, count, rate)
    drawn = np.flatnonzero(np.asarray(jax.random.uniform(KEY, (count,))) < rate / count)
    assert batch.counts[-1] == len(drawn)
    np.testing.assert_array_equal(positions_in(batch, jnp.arange(len(drawn)) + 1), drawn)


def test_of_an_empty_batch_every_place_is_padding():
    batch = PoissonBatch(jnp.zeros(3, jnp.uint32), jnp.zeros(3, jnp.int32))
    rows, weights = poisson_microbatch(batch, jnp.int32(0), 5)
    np.testing.assert_array_equal(rows, 0)
    np.testing.assert_array_equal(weights, 0)


def test_normal_numbers_are_those_of_the_generator_s_words():
    """Whatever form XLA is given: the words of JAX's own call, first halves for lengths, second for angles."""
    words = np.asarray(threefry_2x32(jax.random.key_data(KEY), jnp.arange(14, dtype=jnp.uint32)), np.float64)
    length = np.sqrt(-2 * np.log((words[:7] // 2**9 + 0.5) / 2**23))
    angle = 2 * np.pi * words[7:] / 2**32
    expected = np.concatenate([length * np.sin(angle), length * np.cos(angle)])
    np.testing.assert_allclose(normals(KEY, 13), expected[:13], atol=2e-6)


def test_microbatches_hold_every_record_once():
    rows, weights = in_microbatches(jnp.arange(7) + 1, jnp.array([1.0] * 6 + [0]), 3)
    np.testing.assert_array_equal(rows, [[1, 2, 3], [4, 5, 6], [7, 0, 0]])
    np.testing.assert_array_equal(weights, [[1, 1, 1], [1, 1, 1], [0, 0, 0]])


def test_the_size_of_microbatches_changes_nothing_but_roundoff(table, split):
    members, nonmembers = split(1, 60, 120)
    options = TrainOptions(epochs=2, batch_size=30, learning_rate=0.01)
    found = []
    for microbatch in (7, 64):
        dp = DpOptions(noise_multiplier=0.5, clipping_norm=0.3, microbatch=microbatch)
        seeds = np.zeros(1, np.uint32)
        (one,) = train_many(table, members, nonmembers, seeds, MlpOptions(hidden=[16]), [replace(options, dp=dp)])
        found.append(one.parameters)
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-3, atol=1e-4)


def test_memory_is_bounded_as_the_batch_grows(pictures):
    network, on = Network(CnnOptions(), (8, 8, 1), 3), mesh()
    records = Records(jnp.array(pictures.x), jnp.array(pictures.y))

    def needed(batch_size, dp):
        options = TrainOptions(batch_size=batch_size, dp=dp)
        model = Model(np.arange(4096, dtype=np.int32) % 96, np.arange(0, dtype=np.int32), np.uint32(0),
                      Strengths.of(options), {})  # fmt: skip
        return bytes_needed(Plan(network, 1.0, batch_size, Defences.of(options)), on, 1, records, model)

    private = DpOptions(clipping_norm=1.0, sampling="shuffled", microbatch=32)
    plain_growth = needed(4096, DpOptions()) - needed(32, DpOptions())
    assert needed(4096, private) - needed(32, private) < 0.02 * plain_growth


@pytest.mark.parametrize(("num_records", "batch_size", "epochs"), [(1000, 50, 3), (1001, 50, 2), (30, 64, 2)])
def test_epsilon_is_that_of_the_library_called_by_hand(num_records, batch_size, epochs):
    options = TrainOptions(epochs=epochs, batch_size=batch_size, dp=DpOptions(1.3, 2.0, delta=1e-4))
    batch = min(batch_size, num_records)
    steps = epochs * math.ceil(num_records / batch)
    event = dp_accounting.PoissonSampledDpEvent(batch / num_records, dp_accounting.GaussianDpEvent(1.3))
    by_hand = PLDAccountant().compose(dp_accounting.SelfComposedDpEvent(event, steps)).get_epsilon(1e-4)
    assert epsilon_of(options, num_records) == by_hand


def test_the_noise_for_an_epsilon_spends_it_and_hardly_less():
    options = TrainOptions(epochs=2, batch_size=50, dp=DpOptions(clipping_norm=1.0, epsilon=1.5))
    found = with_noise(options, 1000)
    assert found.dp.epsilon is None
    assert 1.45 < epsilon_of(found, 1000) <= 1.5
    assert epsilon_of(options, 1000) == epsilon_of(found, 1000)
    assert with_noise(found, 1000) == found
    assert epsilon_of(replace(options, dp=DpOptions(clipping_norm=1.0)), 1000) == math.inf


@pytest.mark.parametrize(("noise", "steps"), [(0.024, 1), (0.1, 20)])
def test_little_noise_is_accounted_for_in_seconds_and_never_too_low(noise, steps):
    """Beside the closed form for full batches (Balle and Wang 2018)."""
    options = TrainOptions(epochs=steps, batch_size=10, dp=DpOptions(noise, 1.0))
    found = epsilon_of(options, 10)

    def delta(epsilon):
        mu = math.sqrt(steps) / noise
        return stats.norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))

    assert delta(found) <= options.dp.delta
    assert delta(0.99 * found) > options.dp.delta


def test_a_large_epsilon_is_reached():
    options = TrainOptions(epochs=1, dp=DpOptions(clipping_norm=1.0, epsilon=1000.0))  # once 300 s and 4.5 GB
    noise = with_noise(options, 10).dp.noise_multiplier
    assert 900 < epsilon_of(options, 10) <= 1000
    assert epsilon_of(replace(options, dp=DpOptions(0.9 * noise, 1.0)), 10) > 1000


def test_usual_noise_is_accounted_for_on_the_library_s_own_grid():
    assert grid_step(0.5, 0.1, 1000) == grid_step(1.0, 1.0, 100) == grid_step(0.0, 1.0, 1) == 1e-4
    assert grid_step(0.1, 0.1, 10) > 1e-4


def test_what_the_accountant_is_wrong_about_stays_visible(monkeypatch):
    """A bug is no wrong request: only that no noise is enough is one."""
    monkeypatch.setattr("mia.train.privacy._composed", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        with_noise(TrainOptions(dp=DpOptions(clipping_norm=1.0, epsilon=3.21)), 77)
    monkeypatch.undo()
    with pytest.raises(RequestError, match=r"train\.dp\.epsilon=1e-09 cannot be reached"):
        with_noise(TrainOptions(dp=DpOptions(clipping_norm=1.0, epsilon=1e-9, delta=1e-15)), 77)


def test_batch_normalisation_is_refused():
    pictures = SimpleNamespace(shape=(8, 8, 1))
    from mia.train.compatible import check_compatible

    options = TrainOptions(dp=DpOptions(1.0, 1.0))
    check_compatible(options, WideResnetOptions(), pictures.shape, 10)
    with pytest.raises(RequestError, match=r"model\.norm='batch'"):
        check_compatible(options, WideResnetOptions(norm="batch"), pictures.shape, 10)
