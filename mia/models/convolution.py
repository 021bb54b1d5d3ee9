"""Convolution, max-pooling and tanh in one function that stays fast inside compiled loops on a CPU.

XLA's CPU backend runs the gradients of `lax.conv` inside a loop on a naive path (about a hundred times slower than
outside it); matrix products keep their speed there. So on a CPU pictures are cut into patches, which are multiplied
with the kernel as a matrix, and the gradients are written out with few passes over memory. Elsewhere the vendor's
convolution is used. Pooling comes before tanh: the same function, since tanh is monotonic, at a quarter of the work.

Takes and gives float arrays [B height width channels]. Never pads: callers do.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int


def conv_pool_tanh(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C F"], bias: Float[Array, "F"], pool: int = 2
) -> Float[Array, "B P Q F"]:
    """Return tanh of the largest value in each pool x pool window of the valid convolution of stride 1, plus bias.

    Rows and columns that do not fill a window are left out. Among equals the gradient goes to the first.
    """
    if jax.default_backend() == "cpu":
        return _by_patches(x, kernel, bias, pool)
    return _by_vendor(x, kernel, bias, pool)


def _by_vendor(x: Array, kernel: Array, bias: Array, pool: int) -> Array:
    y = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    window = (1, pool, pool, 1)
    return jnp.tanh(lax.reduce_window(y, -jnp.inf, lax.max, window, window, "VALID") + bias)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _by_patches(x: Array, kernel: Array, bias: Array, pool: int) -> Array:
    return _forward(x, kernel, bias, pool)[0]


def _forward(x: Array, kernel: Array, bias: Array, pool: int) -> tuple[Array, tuple[Array, ...]]:
    size, _, channels, filters = kernel.shape
    batch, height, width, _ = x.shape
    shape = (batch, (height - size + 1) // pool, (width - size + 1) // pool, filters)
    rows = _patches(x, size, pool, shape[1:3]).reshape(-1, size * size * channels)
    products = (rows @ kernel.reshape(-1, filters)).reshape(-1, pool * pool * filters)
    largest = _tournament(_members(products, filters))[0]
    out = jnp.tanh(largest + bias)  # two axes only: XLA vectorises that, and not four
    return out.reshape(shape), (x, kernel, rows, products, out)


def _backward(pool: int, saved: tuple[Array, ...], grad: Array) -> tuple[Array, Array, Array]:
    x, kernel, rows, products, out = saved
    size, _, channels, filters = kernel.shape
    grad_sum = grad.reshape(out.shape) * (1 - out * out)
    winner = _tournament(_members(products, filters))[1]
    is_winner = winner[:, None] == jnp.arange(pool * pool)[:, None]
    grad_products = jnp.where(is_winner, grad_sum[:, None], 0).reshape(-1, filters)
    # the short side of the result first: twice as fast; without the barrier XLA turns the product round again
    grad_kernel = lax.optimization_barrier(grad_products.T @ rows).T.reshape(kernel.shape)
    grad_rows = grad_products @ kernel.reshape(-1, filters).T
    windows = (grad.shape[1], grad.shape[2])
    grad_rows = grad_rows.reshape(len(x), *windows, pool, pool, size, size, channels)
    return _add_patches(grad_rows, x.shape), grad_kernel, grad_sum.sum(axis=0)


_by_patches.defvjp(_forward, _backward)


def _members(products: Float[Array, "R F*m"], filters: int) -> list[Array]:
    """Return the products of each member of the pooling windows; slices of columns, which cost nothing."""
    return [products[:, i : i + filters] for i in range(0, products.shape[1], filters)]


def _tournament(members: list[Array]) -> tuple[Array, Array]:
    """Return the largest of the members at each place, and which one it is (the first among equals)."""
    rounds = [(member, jnp.full_like(member, i, dtype=jnp.int32)) for i, member in enumerate(members)]
    while len(rounds) > 1:
        pairs = zip(rounds[::2], rounds[1::2], strict=True)
        rounds = [(jnp.maximum(a, b), jnp.where(a >= b, i, j)) for (a, i), (b, j) in pairs]
    return rounds[0]


def _patches(x: Float[Array, "B H W C"], size: int, pool: int, windows: tuple[int, int]) -> Float[Array, "n k*C"]:
    """Return the rows of every patch, the patches of one pooling window after another, each row a run of memory."""
    batch, height, width, channels = x.shape
    starts = _run_starts(batch, height, width, size, pool, windows) * channels
    length = size * channels

    def gather() -> Array:
        numbers = lax.GatherDimensionNumbers((1,), (), (0,))
        return lax.gather(x.reshape(-1), starts, numbers, (length,), mode="promise_in_bounds")

    return _in_memory(gather, (len(starts), length), x)


def _run_starts(
    batch: int, height: int, width: int, size: int, pool: int, windows: tuple[int, int]
) -> Int[np.ndarray, "n 1"]:
    """Return the pixel at which each row of each patch begins: picture, window, member of the window, row."""
    b, p, q, i, j, row = np.ogrid[:batch, : windows[0], : windows[1], :pool, :pool, :size]
    return np.int32((b * height + p * pool + i + row) * width + q * pool + j).reshape(-1, 1)


def _in_memory(compute: Callable[[], Array], shape: tuple[int, ...], probe: Array) -> Array:
    """Return compute(), copied run by run instead of element by element.

    XLA would merge the gather with the change of shape that follows, and then compute every element's address: ten
    times slower. It merges nothing across a condition. This one holds unless `probe` is not a number.
    """
    first = probe.reshape(-1)[0]
    return lax.cond(first == first, compute, lambda: jnp.full(shape, jnp.nan, probe.dtype))


def _add_patches(rows: Float[Array, "B P Q m m k k C"], shape: tuple[int, ...]) -> Float[Array, "B H W C"]:
    """Return the pictures whose patches sum to `rows`: the transpose of `_patches`."""
    batch, p, q, pool, _, size, _, channels = rows.shape
    height, width = p * pool, q * pool
    rows = rows.swapaxes(2, 3).reshape(batch, height, width, size, size, channels)
    total = jnp.zeros(shape, rows.dtype)
    for i in range(size):
        for j in range(size):
            margins = ((0, 0), (i, shape[1] - height - i), (j, shape[2] - width - j), (0, 0))
            total = total + jnp.pad(rows[:, :, :, i, j], margins)
    return total
