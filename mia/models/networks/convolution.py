"""Convolutions that stay fast inside compiled loops and side by side: as products of matrices everywhere.

XLA's CPU backend runs the gradients of `lax.conv` inside a loop on a naive path (about a hundred times slower than
outside it); matrix products keep their speed there. So on a CPU pictures are cut into patches, which are multiplied
with the kernel as a matrix, and the gradients are written out with few passes over memory.

Elsewhere models train side by side, and there a vendor's library meets many small convolutions at once, which it is
slow at: on an H200 it trains 242,000 to 331,000 records a second with 66 models, and products 881,000. So slices of the
pictures, shifted against one another, are laid beside one another and multiplied with the kernel as a matrix.

Convolutions of 3 x 3 and stride 1 take half the multiplications on a CPU, see `winograd`.

Where one step of the study's CNN goes (batch 32, one core, ms of 6.3): the first convolution's kernel gradient 1.7, its
products 1.2 and patches 0.2, the second's three products 0.6, 0.5 and 0.5 and what is laid out for them 0.4, dense
layers 0.4, gradients through tanh and pool 0.3, Adam 0.2, parts added up 0.1, tanh 0.1.

Takes and gives float arrays [B height width channels]. Convolutions with a pool never pad: callers do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from mia.models.networks.in_memory import in_memory
from mia.models.networks.strips import convolve_in_strips
from mia.models.networks.winograd import convolve_in_tiles, takes_tiles

PICTURES = 8  # at once on a CPU: what is laid out of more leaves the caches


WAYS = ("fixed", "strips", "vendor")
"""How convolutions may be taken: as is fastest where it was measured; on a CPU without saving multiplications; by XLA's
own, which is naive inside a CPU's loops."""
_way: ContextVar[str] = ContextVar("way of convolutions", default=WAYS[0])


@contextmanager
def convolutions(way: str) -> Iterator[None]:
    """Take convolutions one of `WAYS` in what is traced within; all are the same function up to round-off."""
    token = _way.set(way)
    try:
        yield
    finally:
        _way.reset(token)


def conv_pool_tanh(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C F"], bias: Float[Array, "F"], pool: int = 2
) -> Float[Array, "B P Q F"]:
    """Return tanh of the largest value in each pool x pool window of the valid convolution of stride 1, plus bias.

    That is conv, tanh, max-pool in one, since tanh is monotonic, at a quarter of the tanh work. Rows and columns that
    do not fill a window are left out. Among equals the gradient goes to the first; round-off may tell equals apart.
    """
    if _way.get() == "vendor":
        return _pooled(_by_vendor(x, kernel), bias, pool)
    if not is_on_cpu():
        return _pooled_by_slices(x, kernel, bias, pool)
    if _is_tiled(x, kernel, 1, 0):
        return _pooled(convolve_in_tiles(x, kernel, 0), bias, pool)
    return _pooled_by_patches(x, kernel, bias, pool)


def conv_pool_tanh_of_each(
    x: Float[Array, "B H W C"], kernels: Float[Array, "B k k C F"], biases: Float[Array, "B F"], pool: int = 2
) -> Float[Array, "B P Q F"]:
    """Return `conv_pool_tanh` with parameters for each picture, all equal: gradients in them are those of each."""
    if is_on_cpu():
        return _pooled_of_each(x, kernels, biases, pool)
    return jax.vmap(lambda x, kernel, bias: _pooled_by_slices(x[None], kernel, bias, pool)[0])(x, kernels, biases)


def convolve(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C F"], stride: int = 1, margin: int = 0
) -> Float[Array, "B P Q F"]:
    """Return the convolution of pictures with a margin of zeros."""
    if _way.get() == "vendor":
        return _by_vendor(x, kernel, stride, margin)
    if is_on_cpu():
        own = partial(_on_cpu, kernel=kernel, stride=stride, margin=margin)
        if len(x) <= PICTURES or len(x) % PICTURES:
            return own(x)
        parts = lax.map(own, x.reshape(-1, PICTURES, *x.shape[1:]))
        return parts.reshape(len(x), *parts.shape[2:])
    sides = (margin, margin)
    return _by_slices(jnp.pad(x, ((0, 0), sides, sides, (0, 0))), kernel, stride)


def _on_cpu(x: Array, kernel: Array, stride: int, margin: int) -> Array:
    if _is_tiled(x, kernel, stride, margin):
        return convolve_in_tiles(x, kernel, margin)
    return convolve_in_strips(x, kernel, (stride, margin))


def _is_tiled(x: Array, kernel: Array, stride: int, margin: int) -> bool:
    return _way.get() != "strips" and takes_tiles(x.shape, kernel.shape, stride, margin)


def _by_vendor(x: Array, kernel: Array, stride: int = 1, margin: int = 0) -> Array:
    sides, numbers = (margin, margin), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), (sides, sides), dimension_numbers=numbers)


def is_on_cpu() -> bool:
    """Whether compiled code is for a CPU, whose caches it should then fit."""
    return jax.default_backend() == "cpu"


def _pooled_by_slices(x: Array, kernel: Array, bias: Array, pool: int) -> Array:
    size = kernel.shape[0]
    shape = (x.shape[1] - size + 1) // pool * pool, (x.shape[2] - size + 1) // pool * pool
    return _pool_tanh(_times(take_slices(x, size, shape, 1), kernel), bias, pool)


def _pooled(products: Float[Array, "B H W F"], bias: Array, pool: int) -> Array:
    height, width = products.shape[1] // pool * pool, products.shape[2] // pool * pool
    return _pool_tanh(products[:, :height, :width], bias, pool)


def _by_slices(x: Array, kernel: Array, stride: int) -> Array:
    size = kernel.shape[0]

    @jax.checkpoint  # slices are taken again: deep networks could not keep them all
    def product(x: Array, kernel: Array) -> Array:
        return _times(take_slices(x, size, _output_shape(x, size, stride), stride), kernel)

    return product(x, kernel)


def take_slices(x: Float[Array, "B H W C"], size: int, shape: tuple[int, int], stride: int) -> Float[Array, "B P Q K"]:
    """Return what each of `shape` outputs of a convolution sees, flattened in the order row, column, channel."""
    spans = (shape[0] - 1) * stride + 1, (shape[1] - 1) * stride + 1
    corners = np.ndindex(size, size)
    parts = [x[:, i : i + spans[0] : stride, j : j + spans[1] : stride] for i, j in corners]
    return jnp.concatenate(parts, axis=3)


def _times(rows: Float[Array, "B P Q K"], kernel: Float[Array, "k k C F"]) -> Float[Array, "B P Q F"]:
    matrix = kernel.reshape(-1, kernel.shape[3])
    return (rows.reshape(-1, len(matrix)) @ matrix).reshape(*rows.shape[:3], -1)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _pool_tanh(products: Float[Array, "B H W F"], bias: Float[Array, "F"], pool: int) -> Float[Array, "B P Q F"]:
    return _pool_forward(products, bias, pool)[0]


def _pool_forward(products: Array, bias: Array, pool: int) -> tuple[Array, tuple[Array, Array]]:
    batch, height, width, filters = products.shape
    windows = products.reshape(batch, height // pool, pool, width // pool, pool, filters)
    largest, winner = _tournament([windows[:, :, i, :, j] for i, j in np.ndindex(pool, pool)])
    out = jnp.tanh(largest + bias)
    return out, (out, winner)


def _pool_backward(pool: int, saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    out, winner = saved
    grad_sum = grad * (1 - out * out)
    place = np.arange(pool * pool).reshape(pool, 1, pool, 1)  # of a member in its window
    grad_windows = jnp.where(winner[:, :, None, :, None] == place, grad_sum[:, :, None, :, None], 0)
    batch, p, q, filters = out.shape
    return grad_windows.reshape(batch, p * pool, q * pool, filters), grad_sum.sum(axis=(0, 1, 2))


_pool_tanh.defvjp(_pool_forward, _pool_backward)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _pooled_by_patches(x: Array, kernel: Array, bias: Array, pool: int) -> Array:
    return _pooled_forward(x, kernel, bias, pool)[0]


def _pooled_forward(x: Array, kernel: Array, bias: Array, pool: int) -> tuple[Array, tuple[Array, ...]]:
    size, filters = kernel.shape[0], kernel.shape[3]
    shape = (x.shape[1] - size + 1) // pool, (x.shape[2] - size + 1) // pool
    rows = take_patches(x, size, pooled_corners(shape, pool))
    products = (rows @ kernel.reshape(-1, filters)).reshape(-1, pool * pool * filters)
    largest, _ = _tournament(_members(products, filters))
    out = jnp.tanh(largest + bias)  # of two axes only: XLA vectorises that, but not four
    return out.reshape(len(x), *shape, filters), (x, kernel, rows, products, out)


def _pooled_backward(pool: int, saved: tuple[Array, ...], grad: Array) -> tuple[Array, Array, Array]:
    kernel, rows = saved[1:3]
    grad_x, grad_products, grad_sum = _before_kernel(pool, saved, grad)
    return grad_x, _kernel_gradient(rows, grad_products, kernel.shape), grad_sum.sum(axis=0)


def _before_kernel(pool: int, saved: tuple[Array, ...], grad: Array) -> tuple[Array, Array, Array]:
    """Return the gradients of the pictures, of the products, and of what tanh takes."""
    x, kernel, _, products, out = saved
    size, _, channels, filters = kernel.shape
    _, p, q, _ = grad.shape
    grad_sum = grad.reshape(out.shape) * (1 - out * out)
    _, winner = _tournament(_members(products, filters))
    is_winner = winner[:, None] == jnp.arange(pool * pool)[:, None]
    grad_products = jnp.where(is_winner, grad_sum[:, None], 0).reshape(-1, filters)
    grad_rows = grad_products @ kernel.reshape(-1, filters).T
    patches = grad_rows.reshape(len(x), p, q, pool, pool, size, size, channels).swapaxes(2, 3)
    patches = patches.reshape(len(x), p * pool, q * pool, size, size, channels)
    return add_patches(patches, x.shape, 1), grad_products, grad_sum


_pooled_by_patches.defvjp(_pooled_forward, _pooled_backward)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _pooled_of_each(x: Array, kernels: Float[Array, "B k k C F"], biases: Float[Array, "B F"], pool: int) -> Array:
    """Do the same with a kernel and a bias for each picture."""
    return _pooled_forward(x, kernels[0], biases[0], pool)[0]


def _of_each_forward(x: Array, kernels: Array, biases: Array, pool: int) -> tuple[Array, tuple[Array, ...]]:
    return _pooled_forward(x, kernels[0], biases[0], pool)


def _of_each_backward(pool: int, saved: tuple[Array, ...], grad: Array) -> tuple[Array, Array, Array]:
    x, kernel, rows = saved[:3]
    grad_x, grad_products, grad_sum = _before_kernel(pool, saved, grad)
    by_picture = [array.reshape(len(x), -1, array.shape[-1]) for array in (rows, grad_products, grad_sum)]
    kernels = jnp.einsum("bnk,bnf->bkf", *by_picture[:2]).reshape(len(x), *kernel.shape)
    return grad_x, kernels, by_picture[2].sum(axis=1)


_pooled_of_each.defvjp(_of_each_forward, _of_each_backward)


def _members(products: Float[Array, "R mF"], filters: int) -> list[Float[Array, "R F"]]:
    return [products[:, i : i + filters] for i in range(0, products.shape[1], filters)]


def _tournament(members: list[Array]) -> tuple[Array, Array]:
    """Return the largest of the members of each pooling window, and which it is (the first among equals)."""
    rounds = [(member, jnp.full_like(member, i, dtype=jnp.int32)) for i, member in enumerate(members)]
    while len(rounds) > 1:
        pairs = zip(rounds[::2], rounds[1::2], strict=True)
        rounds = [(jnp.maximum(a, b), jnp.where(a >= b, i, j)) for (a, i), (b, j) in pairs]
    return rounds[0]


def _kernel_gradient(rows: Float[Array, "n K"], grad: Float[Array, "n F"], shape: tuple[int, ...]) -> Array:
    # the short side of the result first: twice as fast; without the barrier XLA turns the product round again
    return lax.optimization_barrier(grad.T @ rows).T.reshape(shape)


def _output_shape(x: Array, size: int, stride: int) -> tuple[int, int]:
    return (x.shape[1] - size) // stride + 1, (x.shape[2] - size) // stride + 1


def pooled_corners(shape: tuple[int, int], pool: int) -> Int[np.ndarray, "n 2"]:
    """Return the top left pixel of every patch, the pool x pool patches of one pooling window after another."""
    p, q, i, j = np.ogrid[: shape[0], : shape[1], :pool, :pool]
    return _stacked(p * pool + i, q * pool + j)


def _stacked(rows: np.ndarray, columns: np.ndarray) -> Int[np.ndarray, "n 2"]:
    return np.stack(np.broadcast_arrays(rows, columns), axis=-1).reshape(-1, 2)


def take_patches(x: Float[Array, "B H W C"], size: int, corners: Int[np.ndarray, "n 2"]) -> Float[Array, "B*n taps"]:
    """Return the size x size patches at `corners` of every picture, flattened in the order row, column, channel."""
    batch, height, width, channels = x.shape
    pictures, rows = np.ogrid[:batch, :size]
    first = pictures[..., None] * height + corners[:, 0, None] + rows[:, None]
    starts = ((first * width + corners[:, 1, None]) * channels).reshape(-1, 1).astype(np.int32)
    length = size * channels  # a row of a patch is a run of memory

    def gather() -> Array:
        numbers = lax.GatherDimensionNumbers((1,), (), (0,))
        return lax.gather(x.reshape(-1), starts, numbers, (length,), mode="promise_in_bounds")

    return in_memory(gather, x).reshape(batch * len(corners), size * length)


def add_patches(patches: Float[Array, "B P Q k k C"], shape: tuple[int, ...], stride: int) -> Float[Array, "B H W C"]:
    """Return the pictures in which each pixel is the sum of what the patches of a convolution say about it."""
    _, p, q, size, _, _ = patches.shape
    spans = (p - 1) * stride + 1, (q - 1) * stride + 1
    total = jnp.zeros(shape, patches.dtype)
    for i in range(size):
        for j in range(size):
            rows = (i, shape[1] - spans[0] - i, stride - 1)
            columns = (j, shape[2] - spans[1] - j, stride - 1)
            zero = jnp.zeros((), patches.dtype)
            total = total + lax.pad(patches[:, :, :, i, j], zero, ((0, 0, 0), rows, columns, (0, 0, 0)))
    return total
