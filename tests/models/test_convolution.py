"""The convolution made of patches against `lax.conv`, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mia.models.networks import convolution

CASES = [((2, 9, 7, 4), 3, 1), ((3, 12, 13, 3), 5, 2), ((1, 6, 6, 2), 1, 2)]  # shape, kernel, stride or pool
TOLERANCES = [("float32", 2e-5), ("float64", 1e-10)]


def arrays(shape, size, dtype):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(size, size, shape[3], 5))
    return [jnp.asarray(array, dtype) for array in (rng.normal(size=shape), kernel, rng.normal(size=5))]


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
@pytest.mark.parametrize(("shape", "size", "stride"), CASES)
def test_convolution(shape, size, stride, dtype, tolerance):
    kinds = convolution._by_patches, convolution._by_vendor
    with jax.enable_x64(dtype == "float64"):
        functions = [lambda x, kernel, f=f: f(x, kernel, stride) for f in kinds]
        assert_same_function(functions, arrays(shape, size, dtype)[:2], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize(("shape", "size", "pool"), CASES)
def test_convolution_pool_and_tanh(shape, size, pool, dtype, tolerance):
    """Pooling stands before tanh here, and after it in what it is compared with."""

    def obvious(x, kernel, bias):
        y = jnp.tanh(convolution._by_vendor(x, kernel, 1) + bias)
        window = (1, pool, pool, 1)
        return jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, window, window, "VALID")

    kinds = convolution._pooled_by_patches, convolution._pooled_by_vendor
    with jax.enable_x64(dtype == "float64"):
        x, kernel, bias = arrays(shape, size, dtype)
        functions = [lambda *three, f=f: f(*three, pool) for f in kinds]
        arguments = x, 0.1 * kernel, bias  # no saturated tanh, whose values tie
        assert_same_function([*functions, obvious], arguments, tolerance)


def test_the_gradient_goes_to_the_first_among_equals():
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((1, 1, 1, 1))
    grad = jax.jit(jax.grad(lambda x: convolution._pooled_by_patches(x, kernel, jnp.zeros(1), 2).sum()))(x)
    assert (np.flatnonzero(grad) == [0, 2, 8, 10]).all()


def test_under_vmap_as_alone():
    x, kernel, bias = arrays((6, 8, 8, 2), 3, "float32")

    @jax.jit
    def both(x, kernel, bias):
        many = jax.vmap(convolution._pooled_by_patches, (0, None, None, None))
        return many(x.reshape(3, 2, 8, 8, 2), kernel, bias, 2), convolution._pooled_by_patches(x, kernel, bias, 2)

    batched, alone = both(x, kernel, bias)
    np.testing.assert_allclose(batched.reshape(alone.shape), alone, rtol=1e-5, atol=1e-6)
