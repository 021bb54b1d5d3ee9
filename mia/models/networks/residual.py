"""The wide residual network WRN-depth-width (Zagoruyko and Komodakis 2016): norm, relu, conv 3x3, in that order.

Takes pictures, gives logits. Three groups of blocks with 16, 32 and 64 times `width` filters, the second and third at
half the size; then the mean over pixels and one dense layer, whose inputs dropout applies to. Kernels of convolutions
are He normal, that of the dense layer Glorot uniform.

Batch normalisation learns running statistics and uses them in evaluation mode, so that a record's logits never depend
on others; group normalisation never looks at other records at all.
"""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from mia.models.networks.convolution import convolve
from mia.models.networks.layers import Dense, Training, dropout, with_probe

STEM = 16  # filters of the first convolution
GROUPS = 8  # of group normalisation
MOMENTUM = 0.9  # of running statistics
EPSILON = 1e-5
he_normal = nnx.initializers.he_normal()


class Conv(nnx.Module):
    """A convolution without bias that keeps the size of the picture, but for its stride."""

    def __init__(self, size: int, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(he_normal(rngs.params(), (size, size, inputs, outputs), jnp.float32))
        self.margin, self.stride = size // 2, stride

    def __call__(self, x: Float[Array, "B H W C"], training: Training | None) -> Float[Array, "B P Q F"]:
        """Return the convolution of the zero-padded pictures."""
        layer = lambda x, kernel: convolve(x, kernel, self.stride, self.margin)  # noqa: E731
        return with_probe(layer, x, self.kernel[...], training)


class GroupNorm(nnx.Module):
    """Normalises each record over its pixels and a group of its channels."""

    def __init__(self, channels: int) -> None:
        self.scale, self.bias = nnx.Param(jnp.ones(channels)), nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Float[Array, "B H W C"], training: Training | None) -> Float[Array, "B H W C"]:
        """Return the normalised activations; the same in training and in evaluation."""
        pixels = x.reshape(len(x), -1, x.shape[-1])
        mean = group_mean(pixels)
        normal = (pixels - mean) * lax.rsqrt(group_mean(jnp.square(pixels - mean)) + EPSILON)
        parameters = self.scale[...], self.bias[...]
        return with_probe(lambda x, given: x * given[0] + given[1], normal.reshape(x.shape), parameters, training)


def group_mean(x: Float[Array, "B P C"]) -> Float[Array, "B 1 C"]:
    """Return for each channel the mean over the pixels and its group.

    Pixels are summed first, all channels at once: one pass over memory that vector units take.
    """
    batch, pixels, channels = x.shape
    sums = x.sum(axis=1).reshape(batch, GROUPS, -1).sum(axis=2)
    return jnp.repeat(sums / (pixels * channels // GROUPS), channels // GROUPS, axis=1)[:, None]


class BatchNorm(nnx.Module):
    """Normalises each channel: over the records of a batch in training, by running statistics in evaluation."""

    def __init__(self, channels: int) -> None:
        self.scale, self.bias = nnx.Param(jnp.ones(channels)), nnx.Param(jnp.zeros(channels))
        self.mean, self.variance = nnx.BatchStat(jnp.zeros(channels)), nnx.BatchStat(jnp.ones(channels))

    def __call__(self, x: Float[Array, "B H W C"], training: Training | None) -> Float[Array, "B H W C"]:
        """Return the normalised activations; in training the padding of a short batch does not count."""
        mean, variance = self.mean[...], self.variance[...]
        if training is not None:
            weights = (training.weights / training.weights.sum())[:, None]
            mean = (weights * x.mean(axis=(1, 2))).sum(axis=0)
            variance = (weights * jnp.square(x - mean).mean(axis=(1, 2))).sum(axis=0)
            self.mean[...] = MOMENTUM * self.mean[...] + (1 - MOMENTUM) * mean
            self.variance[...] = MOMENTUM * self.variance[...] + (1 - MOMENTUM) * variance
        return (x - mean) * (lax.rsqrt(variance + EPSILON) * self.scale[...]) + self.bias[...]


def make_norm(name: str, channels: int) -> GroupNorm | BatchNorm:
    """Return the normalisation of that name."""
    return GroupNorm(channels) if name == "group" else BatchNorm(channels)


class Block(nnx.Module):
    """Two convolutions and a shortcut, which is a convolution of size 1 where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str, rngs: nnx.Rngs) -> None:
        self.norm1, self.conv1 = make_norm(norm, inputs), Conv(3, inputs, outputs, stride, rngs)
        self.norm2, self.conv2 = make_norm(norm, outputs), Conv(3, outputs, outputs, 1, rngs)
        self.is_reshaping = inputs != outputs or stride != 1
        if self.is_reshaping:
            self.shortcut = Conv(1, inputs, outputs, stride, rngs)

    def __call__(self, x: Float[Array, "B H W C"], training: Training | None) -> Float[Array, "B P Q F"]:
        """Return the shortcut plus the residual."""
        y = nnx.relu(self.norm1(x, training))
        shortcut = self.shortcut(y, training) if self.is_reshaping else x
        return shortcut + self.conv2(nnx.relu(self.norm2(self.conv1(y, training), training)), training)


class WideResnet(nnx.Module):
    """The network for pictures of one shape [H W C]."""

    def __init__(
        self, depth: int, width: int, norm: str, shape: tuple[int, ...], num_classes: int, rngs: nnx.Rngs
    ) -> None:
        self.stem = Conv(3, shape[2], STEM, 1, rngs)
        blocks, channels = [], STEM
        for group in range(3):
            outputs = STEM * width * 2**group
            for i in range((depth - 4) // 6):
                stride = 2 if group and not i else 1
                blocks.append(Block(channels, outputs, stride, norm, rngs))
                channels = outputs
        self.blocks = nnx.List(blocks)
        self.norm = make_norm(norm, channels)
        self.dense = Dense(channels, num_classes, rngs)

    def __call__(self, x: Float[Array, "B H W C"], training: Training | None = None) -> Float[Array, "B classes"]:
        """Return logits."""
        x = self.stem(x, training)
        for block in self.blocks:
            x = block(x, training)
        x = nnx.relu(self.norm(x, training)).mean(axis=(1, 2))
        return self.dense(dropout(x, training, 0), training)
