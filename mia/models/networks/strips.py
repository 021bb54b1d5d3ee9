"""Convolutions of any stride that pad with zeros, in two halves: columns laid beside one another, then rows added up.

A kernel of k x k pixels is one matrix [k C, k F]: of the k pixels beside one another that a row of it sees, it makes
what they give to each of the k rows of outputs above and below. So pictures are laid out k times beside themselves, not
k * k times as patches are; all three products, forward and backward, have short sides of k C and k F, where matrix
products are fastest; and loops keep their speed, unlike the gradients of `lax.conv` on a CPU. Of the 3 x 3 convolutions
of a wide residual network one core did 70 to 120 GFLOP a second so, 30 to 70 by patches, and 40 to 60 by `lax.conv`
outside loops.

Takes and gives float arrays [B height width channels].
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Window = tuple[int, int]
"""Stride and margin."""


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_in_strips(x: Float[Array, "B H W C"], kernel: Float[Array, "k k C F"], window: Window) -> Array:
    """Return the convolution [B P Q F] of pictures with `margin` zeros around them."""
    size, _, _, filters = kernel.shape
    rows, width = outputs(x.shape[1], size, window), outputs(x.shape[2], size, window)
    products = _matrix_product(_columns(x, size, width, window), _as_matrix(kernel))
    products = products.reshape(len(x), -1, width, size, filters)
    total = jnp.zeros((len(x), rows, width, filters), x.dtype)
    for i in range(size):
        low, span = window[1] - i, (rows - 1) * window[0] + 1
        part = shifted(products[:, :, :, i], 1, low, span, 1)
        total = total + (part[:, :: window[0]] if window[0] > 1 else part)
    return total


def outputs(length: int, size: int, window: Window) -> int:
    """Return the number of outputs along one side of a picture."""
    stride, margin = window
    return (length + 2 * margin - size) // stride + 1


def _forward(x: Array, kernel: Array, window: Window) -> tuple[Array, tuple[Array, Array]]:
    return convolve_in_strips(x, kernel, window), (x, kernel)  # columns are laid out again: deep networks keep little


def _backward(window: Window, saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    x, kernel = saved
    size, _, channels, filters = kernel.shape
    stride, margin = window
    height, width = x.shape[1:3]
    each = [shifted(grad, 1, i - margin, height, stride) for i in range(size)]
    grad_products = lax.optimization_barrier(jnp.concatenate(each, axis=3)).reshape(-1, size * filters)
    columns = lax.optimization_barrier(_columns(x, size, grad.shape[2], window))
    # the barrier keeps XLA from turning the product round, which is slower
    matrix = lax.optimization_barrier(grad_products.T @ columns.reshape(-1, size * channels))
    grad_kernel = matrix.reshape(size, filters, size, channels).transpose(0, 2, 3, 1)
    grad_columns = _matrix_product(grad_products, _as_matrix(kernel).T)
    grad_columns = grad_columns.reshape(len(x), height, -1, size * channels)
    grad_x = jnp.zeros_like(x)
    for j in range(size):
        part = grad_columns[..., j * channels : (j + 1) * channels]
        grad_x = grad_x + shifted(part, 2, j - margin, width, stride)
    return grad_x, grad_kernel


convolve_in_strips.defvjp(_forward, _backward)


def _as_matrix(kernel: Float[Array, "k k C F"]) -> Float[Array, "kC kF"]:
    size, _, channels, filters = kernel.shape
    return kernel.transpose(1, 2, 0, 3).reshape(size * channels, size * filters)


def _matrix_product(rows: Array, matrix: Float[Array, "I O"]) -> Float[Array, "n O"]:
    """Return the product of two arrays that lie in memory: where XLA computes them on the way it is slower."""
    rows, matrix = lax.optimization_barrier((rows.reshape(-1, len(matrix)), matrix))
    return lax.optimization_barrier(rows @ matrix)


def _columns(x: Float[Array, "B H W C"], size: int, width: int, window: Window) -> Float[Array, "B H Q kC"]:
    """Return what each row of a kernel sees for each of `width` columns of outputs."""
    stride, margin = window
    if margin:
        x = lax.optimization_barrier(jnp.pad(x, ((0, 0), (0, 0), (margin, margin), (0, 0))))
    span = (width - 1) * stride + 1
    return jnp.concatenate([x[:, :, j : j + span : stride] for j in range(size)], axis=3)


def shifted(x: Array, axis: int, low: int, length: int, stride: int) -> Array:
    """Return an array of zeros with `length` places along an axis, and `x` from place `low` on, `stride` apart."""
    padding = [(0, 0, 0)] * x.ndim
    padding[axis] = (low, length - low - (x.shape[axis] - 1) * stride - 1, stride - 1)
    return lax.pad(x, jnp.zeros((), x.dtype), padding)
