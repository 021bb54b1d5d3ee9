"""What a model is like inside: the last layer gives its logits, gradients are those that JAX forms record by record."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mia.checks import RequestError
from mia.models.cnn import CnnOptions
from mia.models.mlp import MlpOptions
from mia.models.networks.network import Network, to_flat
from mia.models.wide_resnet import WideResnetOptions
from mia.train.insides import gradient_norms, last_layer
from mia.train.loss import cross_entropy
from mia.train.predict import predict

CLASSES = 3
CASES = {
    "mlp": (MlpOptions(hidden=[7]), (5,)),
    "cnn": (CnnOptions(), (8, 8, 1)),
    "wide_resnet": (WideResnetOptions(depth=10, width=1), (8, 8, 3)),
}


def made(name, count):
    options, shape = CASES[name]
    network = Network(options, shape, CLASSES)
    trees = network.initialise(jax.random.key(0))
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, *shape)).astype(np.float32)
    return options, network, trees, to_flat(*trees), x, generator.integers(0, CLASSES, count)


@pytest.mark.parametrize("name", ["mlp", "cnn", pytest.param("wide_resnet", marks=pytest.mark.slow)])
def test_the_last_layer_gives_the_logits(name):
    options, _, _, flat, x, _ = made(name, 150)
    layer = last_layer(options, flat, x, 1.0, CLASSES)
    expected = predict(options, flat, x, 1.0, CLASSES)
    np.testing.assert_allclose(layer.inputs @ layer.kernel + layer.bias, expected, atol=2e-5)


@pytest.mark.parametrize("name", ["mlp", "cnn", pytest.param("wide_resnet", marks=pytest.mark.slow)])
def test_gradient_norms_are_those_of_each_record_alone(name):
    options, network, (parameters, statistics), flat, x, labels = made(name, 4)

    def loss(parameters, x, label):
        logits, _ = network.apply(parameters, statistics, x[None])
        return cross_entropy(logits, jax.nn.one_hot(label, CLASSES)[None])[0]

    expected = [
        np.sqrt(
            sum(
                float(jnp.vdot(leaf, leaf))
                for leaf in jax.tree.leaves(jax.grad(loss)(parameters, jnp.asarray(one), label))
            )
        )
        for one, label in zip(x, labels, strict=True)
    ]
    np.testing.assert_allclose(gradient_norms(options, flat, x, labels, 1.0, CLASSES), expected, rtol=2e-4)


def test_a_model_whose_records_mix_cannot_be_looked_into():
    options = WideResnetOptions(depth=10, width=1, norm="batch")
    with pytest.raises(RequestError, match="cannot be looked into"):
        last_layer(options, {}, np.zeros((2, 8, 8, 3), np.float32), 1.0, CLASSES)
