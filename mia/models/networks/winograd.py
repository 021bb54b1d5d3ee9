"""Convolutions of 3 x 3 pixels and stride 1 with half the multiplications, on CPUs.

Four outputs above one another see six inputs. Winograd's minimal filtering F(4, 3) (Winograd 1980; Lavin and Gray 2016,
section 4.1, here down the columns alone) makes them of six products in place of twelve: sums of the rows with small
whole factors are multiplied with sums of the kernel's rows, and added up to the outputs. Along a row a product gives
what it has for the three outputs around it, as in `strips`.

So all products have matrices of C x 3 F, and what is laid out of a picture is 1.5 times as large as it. Of the 3 x 3
convolutions of WRN-28-2 one core does forward and backward in 8.3 ms in place of the 15.4 of strips (one of each width,
eight pictures); round-off is some 1e-6 of the largest output, several times that of strips. Tiles of 4 x 4 outputs save
more multiplications, but their 36 sums are so many that the whole network gained a tenth and compiled eight times as
long.

Takes and gives float arrays [B height width channels].
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from mia.models.networks.strips import shifted

SIZE, OUTPUTS, INPUTS = 3, 4, 6  # pixels of a kernel's side; rows of a tile
INPUT_SUMS = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNEL_SUMS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
OUTPUT_SUMS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
"""Winograd's matrices for the points 0, 1, -1, 2 and -2: OUTPUT_SUMS @ ((KERNEL_SUMS @ kernel) * (INPUT_SUMS @ x)) are
the four outputs of a filter of three on six inputs."""


def takes_tiles(shape: tuple[int, ...], kernel_shape: tuple[int, ...], stride: int, margin: int) -> bool:
    """Tell whether `convolve_in_tiles` does such a convolution, and with less work than strips."""
    size, _, channels, _ = kernel_shape
    return size == SIZE and stride == 1 and margin < SIZE and channels >= 8 and _outputs(shape[1], margin) >= OUTPUTS


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve_in_tiles(x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C F"], margin: int) -> Array:
    """Return the convolution [B P Q F] of pictures with `margin` zeros around them, at most two."""
    sums = _flat(_input_sums(x, margin))
    products = lax.optimization_barrier(jnp.einsum("snc,scf->snf", sums, _kernel_sums(kernel)))
    parts = products.reshape(INPUTS, len(x), -1, x.shape[2], SIZE, kernel.shape[3])
    width = _outputs(x.shape[2], margin)
    columns = [shifted(parts[..., i, :], 3, margin - i, width, 1) for i in range(SIZE)]
    added = sum(columns[1:], start=columns[0])
    return _above_one_another(_sums(OUTPUT_SUMS, added))[:, : _outputs(x.shape[1], margin)]


def _forward(x: Array, kernel: Array, margin: int) -> tuple[Array, tuple[Array, Array]]:
    return convolve_in_tiles(x, kernel, margin), (x, kernel)  # sums are taken again: deep networks keep little


def _backward(margin: int, saved: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    x, kernel = saved
    batch, height, width, channels = x.shape
    sums = lax.optimization_barrier(jnp.stack(_sums(OUTPUT_SUMS.T, _rows(grad, 0, OUTPUTS))))
    beyond = SIZE - 1 - margin
    sums = jnp.pad(sums, (*((0, 0),) * 3, (beyond, beyond), (0, 0)))
    columns = [sums[:, :, :, i : i + width] for i in reversed(range(SIZE))]
    grad_products = lax.optimization_barrier(_flat(jnp.concatenate(columns, axis=4)))
    # the barrier keeps XLA from turning the products round, which is slower
    grad_kernels = jnp.einsum("snc,snf->scf", _flat(_input_sums(x, margin)), grad_products)
    grad_rows = jnp.tensordot(KERNEL_SUMS.T.astype(x.dtype), lax.optimization_barrier(grad_kernels), 1)
    grad_kernel = grad_rows.reshape(SIZE, channels, SIZE, -1).swapaxes(1, 2)
    grad_sums = lax.optimization_barrier(jnp.einsum("snf,scf->snc", grad_products, _kernel_sums(kernel)))
    rows = _sums(INPUT_SUMS.T, grad_sums.reshape(INPUTS, batch, -1, width, channels))
    tile = [_with_zeros(row, 0, 1) for row in rows[:OUTPUTS]]
    for i, row in enumerate(rows[OUTPUTS:]):  # those that the next tile sees as well
        tile[i] = tile[i] + _with_zeros(row, 1, 0)
    return _above_one_another(tile)[:, margin : margin + height], grad_kernel


convolve_in_tiles.defvjp(_forward, _backward)


def _outputs(length: int, margin: int) -> int:
    return length + 2 * margin - SIZE + 1


def _input_sums(x: Float[Array, "B H W C"], margin: int) -> Float[Array, "6 B tiles W C"]:
    return lax.optimization_barrier(jnp.stack(_sums(INPUT_SUMS, _rows(x, margin, INPUTS))))


def _kernel_sums(kernel: Float[Array, "3 3 C F"]) -> Float[Array, "6 C K"]:
    """Return the sums of a kernel's rows, the filters of its three columns beside one another."""
    rows = lax.optimization_barrier(kernel.swapaxes(1, 2).reshape(SIZE, -1))
    sums = lax.optimization_barrier(KERNEL_SUMS.astype(kernel.dtype) @ rows)
    return sums.reshape(INPUTS, kernel.shape[2], -1)


def _rows(x: Float[Array, "B H W C"], margin: int, count: int) -> list[Float[Array, "B tiles W C"]]:
    """Return the rows that each tile sees, `count` of them, tiles four apart; zeros where pictures end."""
    batch, height, width, channels = x.shape
    shared = count - OUTPUTS  # rows that the next tile sees as well
    tiles = -(-(height + 2 * margin - shared) // OUTPUTS)
    more = (tiles + bool(shared)) * OUTPUTS - height - margin
    if margin or more:
        x = lax.optimization_barrier(_with_zeros(x, margin, more))
    x = x.reshape(batch, -1, OUTPUTS, width, channels)
    return [x[:, i // OUTPUTS : i // OUTPUTS + tiles, i % OUTPUTS] for i in range(count)]


def _with_zeros(x: Float[Array, "B H W C"], before: int, after: int) -> Float[Array, "B P W C"]:
    return jnp.pad(x, ((0, 0), (before, after), (0, 0), (0, 0)))


def _flat(x: Array) -> Float[Array, "6 n C"]:
    return x.reshape(INPUTS, -1, x.shape[-1])


def _above_one_another(rows: Sequence[Float[Array, "B tiles W C"]]) -> Float[Array, "B H W C"]:
    batch, tiles, width, channels = rows[0].shape
    return jnp.stack(rows, axis=2).reshape(batch, tiles * OUTPUTS, width, channels)


def _sums(factors: np.ndarray, parts: Sequence[Array] | Array) -> list[Array]:
    """Return a sum of arrays for each row of factors, of which zeros and ones cost nothing."""
    found = []
    for row in factors.tolist():
        terms = [part if factor == 1 else part * factor for factor, part in zip(row, parts, strict=True) if factor]
        found.append(sum(terms[1:], start=terms[0]))
    return found
