import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mia.checks import RequestError
from mia.models.networks.layers import Training, dropout
from mia.models.networks.network import Network, to_flat
from mia.models.networks.residual import BatchNorm, GroupNorm
from mia.models.options import CnnOptions, MlpOptions, WideResnetOptions

KEY = jax.random.key(0)


def parameter_count(options, shape, num_classes):
    parameters, _ = jax.eval_shape(Network(options, shape, num_classes).initialise, KEY)
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))


def logits(options, shape, num_classes=10):
    network = Network(options, shape, num_classes)
    x = jax.random.uniform(KEY, (2, *shape))
    return jax.eval_shape(lambda: network.apply(*network.initialise(KEY), x)[0])


def test_the_cnn_is_the_study_s():
    assert parameter_count(CnnOptions(), (32, 32, 3), 10) == 160_554


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1), (8, 8, 1), (16, 17, 3), (9, 40, 1), (2, 3, 1), (1, 1, 1)])
def test_the_cnn_takes_pictures_of_any_size(shape):
    assert logits(CnnOptions(), shape).shape == (2, 10)


def test_wide_resnet_has_the_published_size():
    count = parameter_count(WideResnetOptions(depth=28, width=10, norm="batch"), (32, 32, 3), 10)
    assert round(count / 1e6, 1) == 36.5
    assert logits(WideResnetOptions(), (32, 32, 3), 7).shape == (2, 7)


def test_initialisation_is_keras_s():
    parameters, statistics = jax.jit(Network(CnnOptions(), (32, 32, 3), 10).initialise)(KEY)
    assert not statistics
    kernel = np.asarray(parameters["conv1"]["kernel"])
    limit = np.sqrt(6 / (25 * 3 + 25 * 32))
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert not np.any(parameters["dense2"]["bias"])


def test_mlp_counts_and_flat_names():
    network = Network(MlpOptions(hidden=[7, 5]), (3, 2), 4)
    assert parameter_count(MlpOptions(hidden=[7, 5]), (3, 2), 4) == 6 * 7 + 7 + 7 * 5 + 5 + 5 * 4 + 4
    flat = to_flat(*jax.jit(network.initialise)(KEY))
    assert set(flat) == {f"layers.{i}.{kind}" for i in range(3) for kind in ("kernel", "bias")}
    parameters, _ = network.from_flat(flat)
    np.testing.assert_array_equal(parameters["layers"][1]["kernel"], flat["layers.1.kernel"])


def test_dropout_drops_its_share_and_keeps_the_mean():
    x = jnp.ones((200, 100))
    training = Training(KEY, jnp.float32(0.3), jnp.ones(200))
    dropped = dropout(x, training, 0)
    assert abs(float((dropped == 0).mean()) - 0.3) < 0.02
    assert abs(float(dropped.mean()) - 1) < 0.02
    assert (dropout(x, training, 1) != dropped).any()
    assert (dropout(x, Training(KEY, jnp.float32(0), jnp.ones(200)), 0) == x).all()
    assert dropout(x, None, 0) is x


def test_batch_norm_ignores_padding_in_training_and_mates_in_evaluation():
    x = jax.random.normal(KEY, (5, 4, 4, 2)) + 3
    training = Training(KEY, jnp.float32(0), jnp.array([1.0, 1, 1, 0, 0]))

    @jax.jit
    def step(x):
        norm = BatchNorm(2)
        in_training = norm(x, training)
        return in_training, norm(x, None), norm.mean[...], norm.variance[...]

    one, other = step(x), step(x.at[3:].set(9.0))
    for before, after in zip(one, other, strict=True):
        np.testing.assert_allclose(before[:3], after[:3], atol=1e-5)
    real = np.asarray(x[:3])
    np.testing.assert_allclose(one[0][:3].mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(one[2], 0.1 * real.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(one[3], 0.9 + 0.1 * real.var(axis=(0, 1, 2)), rtol=1e-5)


def test_group_norm_looks_at_one_record_and_one_group():
    x = np.asarray(jax.random.normal(KEY, (2, 4, 4, 16)) + 3)
    groups = x.reshape(2, 16, 8, 2)
    expected = (groups - groups.mean((1, 3), keepdims=True)) / np.sqrt(groups.var((1, 3), keepdims=True) + 1e-5)
    normal = jax.jit(lambda x: GroupNorm(16)(x, None))(x)
    np.testing.assert_allclose(normal, expected.reshape(x.shape), atol=1e-4)


def test_models_for_pictures_refuse_tables():
    with pytest.raises(RequestError, match=r"model=cnn takes pictures.*\[446\]"):
        Network(CnnOptions(), (446,), 10).initialise(KEY)
