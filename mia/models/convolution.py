"""Convolution followed by max-pooling and tanh, as matrix products that stay fast inside compiled loops on a CPU.

XLA's CPU backend runs the gradients of `lax.conv` inside a loop on a naive path (about a hundred times slower than
outside); matrix products keep their speed there. So pictures are cut into patches and multiplied with the kernel as
a matrix. Gradients are exact, with rules of their own where automatic ones pass over memory more often.

Takes and gives float arrays [B height width channels]. Never pads: callers do.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def patches(x: Float[Array, "B H W C"], height: int, width: int) -> Float[Array, "B P Q kC"]:
    """Return every height x width window of `x`, flattened in the order row, column, channel."""
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    slices = [x[:, i : i + rows, j : j + columns, :] for i in range(height) for j in range(width)]
    return jnp.concatenate(slices, axis=-1)


def space_to_depth(x: Array) -> Array:
    """Return `x` [B 2h 2w C] as [B h w 4C]: each 2 x 2 block of pixels becomes one pixel (row, column, channel)."""
    batch, height, width, channels = x.shape
    blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return blocks.swapaxes(2, 3).reshape(batch, height // 2, width // 2, 4 * channels)


def block_kernel(kernel: Float[Array, "k k C F"]) -> Float[Array, "K 4F"]:
    """Return the matrix that maps a (k+1) x (k+1) window of `space_to_depth` pixels to its 2 x 2 outputs; k is odd."""
    size, _, channels, filters = kernel.shape
    half = (size + 1) // 2
    shifted = [jnp.pad(kernel, ((a, 1 - a), (b, 1 - b), (0, 0), (0, 0))) for a in range(2) for b in range(2)]
    stacked = jnp.stack(shifted, axis=3).reshape(half, 2, half, 2, channels, 4 * filters)
    return stacked.swapaxes(1, 2).reshape(half * half * 4 * channels, 4 * filters)


@jax.custom_vjp
def product(rows: Float[Array, "R K"], matrix: Float[Array, "K F"]) -> Float[Array, "R F"]:
    """Return rows @ matrix; the gradient of the matrix is taken as one product over the long axis."""
    return rows @ matrix


def _product_forward(rows: Array, matrix: Array) -> tuple[Array, tuple[Array, Array]]:
    return rows @ matrix, (rows, matrix)


def _product_backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    rows, matrix = saved
    # XLA would turn the transposed product back into one of half the speed, hence the barrier
    return grad @ matrix.T, jax.lax.optimization_barrier(grad.T @ rows).T


product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def largest(x: Float[Array, "*rest 4 F"]) -> Float[Array, "*rest F"]:
    """Return the maximum over the last axis but one; the gradient goes to the first of equals."""
    return x.max(axis=-2)


def _largest_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    top = x.max(axis=-2)
    return top, (x, top)


def _largest_backward(saved: tuple[Array, Array], grad: Array) -> tuple[Array]:
    x, top = saved
    is_top = x == top[..., None, :]
    earlier = jnp.zeros_like(is_top[..., 0, :])
    parts = []
    for i in range(x.shape[-2]):
        parts.append(jnp.where(is_top[..., i, :] & ~earlier, grad, 0))
        earlier = earlier | is_top[..., i, :]
    return (jnp.stack(parts, axis=-2),)


largest.defvjp(_largest_forward, _largest_backward)


def convolve(x: Float[Array, "B H W C"], kernel: Float[Array, "k k C F"]) -> Float[Array, "B P Q F"]:
    """Return the valid convolution of stride 1."""
    size, _, channels, filters = kernel.shape
    windows = patches(x, size, size)
    flat = product(windows.reshape(-1, windows.shape[-1]), kernel.reshape(size * size * channels, filters))
    return flat.reshape(*windows.shape[:3], filters)


def convolve_blocks(x: Float[Array, "B h w D"], kernel: Float[Array, "k k C F"]) -> Float[Array, "B p q 4 F"]:
    """Return the valid convolution of a `space_to_depth` picture, its outputs grouped by 2 x 2 pooling window."""
    half, filters = (kernel.shape[0] + 1) // 2, kernel.shape[3]
    windows = patches(x, half, half)
    flat = product(windows.reshape(-1, windows.shape[-1]), block_kernel(kernel))
    return flat.reshape(*windows.shape[:3], 4, filters)


def pool(x: Float[Array, "B H W F"]) -> Float[Array, "B p q F"]:
    """Return the maximum over 2 x 2 windows; an odd last row or column is left out."""
    batch, height, width, filters = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    x = x.reshape(batch, height // 2, 2, width // 2, 2, filters).swapaxes(2, 3)
    return largest(x.reshape(batch, height // 2, width // 2, 4, filters))
