"""The convolutions made of patches and of slices against `lax.conv`, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mia.models.networks import convolution
from mia.models.networks.network import Network
from mia.models.networks.strips import convolve_in_strips
from mia.models.networks.winograd import convolve_in_tiles
from mia.models.options import CnnOptions, WideResnetOptions

CASES = [((2, 9, 7, 4), 3, 1), ((3, 12, 13, 3), 5, 2), ((1, 6, 6, 2), 1, 2)]  # shape, kernel, stride or pool
TOLERANCES = [("float32", 2e-5), ("float64", 1e-10)]


def arrays(shape, size, dtype):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(size, size, shape[3], 5))
    return [jnp.asarray(array, dtype) for array in (rng.normal(size=shape), kernel, rng.normal(size=5))]


def by_vendor(x, kernel, stride):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=numbers)


def padded(x, margin):
    sides = (margin, margin)
    return jnp.pad(x, ((0, 0), sides, sides, (0, 0)))


def pooled_by_vendor(x, kernel, bias, pool):
    """Pooling stands after tanh here, and before it in what is compared with this."""
    window = (1, pool, pool, 1)
    return jax.lax.reduce_window(
        jnp.tanh(by_vendor(x, kernel, 1) + bias), -jnp.inf, jax.lax.max, window, window, "VALID"
    )


def assert_same_function(functions, arguments, tolerance):
    """Values and gradients of all functions equal those of the last."""

    @jax.jit
    def values_and_gradients(*arguments):
        results = []
        for function in functions:
            value, pull = jax.vjp(function, *arguments)
            results.append((value, *pull(jnp.cos(jnp.arange(value.size, dtype=value.dtype)).reshape(value.shape))))
        return results

    *results, expected = values_and_gradients(*arguments)
    for result in results:
        for own, other in zip(result, expected, strict=True):
            scale = float(jnp.abs(other).max()) + 1
            np.testing.assert_allclose(own, other, atol=tolerance * scale, rtol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize(("shape", "size", "stride"), [*CASES, ((16, 6, 7, 2), 3, 1), ((17, 6, 6, 2), 3, 2)])
def test_convolution(shape, size, stride, dtype, tolerance):
    for margin in {0, size // 2}:
        with jax.enable_x64(dtype == "float64"):
            functions = [
                lambda x, kernel, f=f, m=margin: f(padded(x, m), kernel, stride)
                for f in (convolution._by_slices, by_vendor)
            ]
            own = lambda x, kernel, m=margin: convolve_in_strips(x, kernel, (stride, m))  # noqa: E731
            assert_same_function([own, *functions], arrays(shape, size, dtype)[:2], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("shape", [(2, 9, 7, 4), (1, 8, 4, 2), (3, 16, 16, 8), (2, 7, 13, 3), (2, 4, 1, 3)])
def test_convolution_in_tiles(shape, dtype, tolerance):
    """Whatever is left of a picture beside whole tiles, and with each margin that is possible."""
    for margin in range(3) if shape[2] >= 3 else (1, 2):
        with jax.enable_x64(dtype == "float64"):
            own = lambda x, kernel, m=margin: convolve_in_tiles(x, kernel, m)  # noqa: E731
            expected = lambda x, kernel, m=margin: by_vendor(padded(x, m), kernel, 1)  # noqa: E731
            assert_same_function([own, expected], arrays(shape, 3, dtype)[:2], tolerance)


@pytest.mark.parametrize("way", convolution.WAYS)
@pytest.mark.parametrize("pictures", [8, 16])
def test_how_a_convolution_is_taken_changes_nothing(way, pictures, monkeypatch):
    """Whichever way, eight pictures at a time or all at once."""
    x, kernel, bias = arrays((16, 8, 8, 8), 3, "float32")
    monkeypatch.setattr(convolution, "PICTURES", pictures)
    with convolution.convolutions(way):
        together = lambda x, kernel, bias: convolution.conv_pool_tanh(x, 0.1 * kernel, bias)  # noqa: E731
        expected = lambda x, kernel, bias: pooled_by_vendor(x, 0.1 * kernel, bias, 2)  # noqa: E731
        assert_same_function([together, expected], (x, kernel, bias), 2e-5)
        own = lambda x, kernel: convolution.convolve(x, kernel, 1, 1)  # noqa: E731
        assert_same_function([own, lambda x, kernel: by_vendor(padded(x, 1), kernel, 1)], (x, kernel), 2e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize(("shape", "size", "pool"), CASES)
def test_convolution_pool_and_tanh(shape, size, pool, dtype, tolerance):
    kinds = [pooled("patches"), pooled("slices"), pooled_by_vendor]
    if size == 3:
        kinds.insert(0, pooled("tiles"))
    with jax.enable_x64(dtype == "float64"):
        x, kernel, bias = arrays(shape, size, dtype)
        functions = [lambda *three, f=f: f(*three, pool) for f in kinds]
        assert_same_function(functions, (x, 0.1 * kernel, bias), tolerance)  # no saturated tanh, whose values tie


KINDS = ["patches", "slices"]


def pooled(kind):
    if kind == "tiles":
        return lambda x, kernel, bias, pool: convolution._pooled(convolve_in_tiles(x, kernel, 0), bias, pool)
    return getattr(convolution, f"_pooled_by_{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_goes_to_the_first_among_equals(kind):
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((1, 1, 1, 1))
    grad = jax.jit(jax.grad(lambda x: pooled(kind)(x, kernel, jnp.zeros(1), 2).sum()))(x)
    assert (np.flatnonzero(grad) == [0, 2, 8, 10]).all()


@pytest.mark.parametrize("kind", [*KINDS, "tiles"])
def test_models_side_by_side_as_alone(kind):
    """Each with pictures and parameters of its own, values and gradients."""
    three = [
        tuple(array + 0.1 * i for array in (x, 0.1 * kernel, bias))
        for i, (x, kernel, bias) in enumerate([arrays((2, 9, 8, 2), 3, "float32")] * 3)
    ]

    def work(*arguments):
        return jax.value_and_grad(lambda arguments: (pooled(kind)(*arguments, 2) ** 2).sum())(arguments)

    together = jax.jit(jax.vmap(work))(*[jnp.stack(leaves) for leaves in zip(*three, strict=True)])
    for i, arguments in enumerate(three):
        for own, expected in zip(jax.tree.leaves(together), jax.tree.leaves(work(*arguments)), strict=True):
            np.testing.assert_allclose(own[i], expected, rtol=1e-4, atol=1e-4 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize("is_on_cpu", [True, False], ids=["CPU", "elsewhere"])
def test_gradients_of_each_picture_are_those_of_it_alone(is_on_cpu, monkeypatch):
    monkeypatch.setattr(convolution, "is_on_cpu", lambda: is_on_cpu)
    x, kernel, bias = arrays((3, 9, 8, 2), 3, "float32")
    kernel *= 0.1

    def loss(x, kernel, bias):
        return (convolution.conv_pool_tanh(x, kernel, bias) ** 2).sum()

    def loss_of_each(x, kernels, biases):
        return (convolution.conv_pool_tanh_of_each(x, kernels, biases) ** 2).sum()

    wide = [jnp.broadcast_to(leaf, (3, *leaf.shape)) for leaf in (kernel, bias)]
    found = jax.jit(jax.grad(loss_of_each, argnums=(0, 1, 2)))(x, *wide)
    alone = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    for i in range(3):
        expected = alone(x[i : i + 1], kernel, bias)
        for own, other in zip(found, (expected[0][0], *expected[1:]), strict=True):
            np.testing.assert_allclose(own[i], other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [CnnOptions(), WideResnetOptions(depth=10, width=1)], ids=["cnn", "wide_resnet"])
def test_off_the_cpu_models_are_the_same_function(monkeypatch, options):
    """Gradients of a whole network, as a GPU would compute them."""
    network = Network(options, (17, 18, 3), 4)
    x, key = jax.random.uniform(jax.random.key(1), (3, 17, 18, 3)), jax.random.key(0)
    parameters, statistics = network.initialise(key)

    def gradient():
        loss = lambda parameters: (network.apply(parameters, statistics, x)[0] ** 2).sum()  # noqa: E731
        return jax.jit(jax.value_and_grad(loss))(parameters)

    by_patches = gradient()
    monkeypatch.setattr(convolution, "is_on_cpu", lambda: False)
    assert "gather" not in str(jax.make_jaxpr(gradient)())
    for own, expected in zip(jax.tree.leaves(gradient()), jax.tree.leaves(by_patches), strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4 * float(jnp.abs(expected).max()))
