"""MNIST from its four official IDX files, training and test files pooled in that order.

An IDX file is a big-endian header (two zero bytes, a type, a number of axes, their lengths) and bytes. Re-compressed
copies are good too: what counts is the hash of the bytes inside.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mia.checks import RequestError
from mia.data import files
from mia.data.options import MnistOptions
from mia.data.progress import Progress
from mia.data.validate import validate
from mia.records import Dataset

_UBYTE = 8


def load_mnist(options: MnistOptions, progress: Progress | None = None) -> Dataset:
    """Return MNIST as uint8 [70000 28 28 1], scale 1/255, 10 classes."""
    arrays = [read_idx(path) for path in files.obtain(options, progress)]
    dataset = Dataset(
        name="mnist",
        x=np.concatenate(arrays[::2])[..., None],
        y=np.concatenate(arrays[1::2]).astype(np.int32),
        num_classes=10,
        scale=1 / 255,
        class_names=tuple("0123456789"),
    )
    return validate(dataset, "data=mnist")


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """Return the array in a gzipped IDX file of bytes.

    Raises:
        RequestError: it is damaged, or of another type.
    """
    try:
        content = gzip.decompress(path.read_bytes())
        zeros, kind, num_axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{num_axes}I", content, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise RequestError(f"data=mnist cannot read {str(path)!r} ({files.one_line(error)})") from error
    start = 4 + 4 * num_axes
    if zeros or kind != _UBYTE or len(content) - start != math.prod(shape):
        raise RequestError(f"data=mnist needs IDX files of bytes as long as their headers say; {str(path)!r} is none")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
