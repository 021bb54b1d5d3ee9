"""MNIST from its four official IDX files, training and test files pooled in that order.

An IDX file is a big-endian header (two zero bytes, a type, a number of axes, their lengths) and bytes. Re-compressed
copies are good too: what counts is the hash of the bytes inside.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from mia.checks import RequestError
from mia.data import Progress, dataset
from mia.data.official import OfficialOptions, Source, obtain
from mia.data.validate import one_line, validate
from mia.records import Dataset

_UBYTE = 8
_SITE = "https://ossci-datasets.s3.amazonaws.com/mnist/"


@dataclass
class MnistOptions(OfficialOptions):
    """MNIST: 70,000 grey pictures of 28x28 pixels, 10 classes."""

    name: str = "mnist"
    sources: ClassVar[tuple[Source, ...]] = (
        Source(
            "train-images-idx3-ubyte.gz",
            _SITE,
            9_912_422,
            "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "md5:6bbc9ace898e44ae57da46a324031adb",
        ),
        Source(
            "train-labels-idx1-ubyte.gz",
            _SITE,
            28_881,
            "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "md5:a25bea736e30d166cdddb491f175f624",
        ),
        Source(
            "t10k-images-idx3-ubyte.gz",
            _SITE,
            1_648_877,
            "md5:9fb629c4189551a2d022fa330f9573f3",
            "md5:2646ac647ad5339dbf082846283269ea",
        ),
        Source(
            "t10k-labels-idx1-ubyte.gz",
            _SITE,
            4_542,
            "md5:ec29112dd5afa0611ce80d1b7f02629c",
            "md5:27ae3e4e09519cfbb04c329615203637",
        ),
    )


@dataset("mnist", options=MnistOptions)
def load_mnist(options: MnistOptions, progress: Progress | None = None) -> Dataset:
    """Return MNIST as uint8 [70000 28 28 1], scale 1/255, 10 classes."""
    arrays = [read_idx(path) for path in obtain(options, progress)]
    loaded = Dataset(
        name="mnist",
        x=np.concatenate(arrays[::2])[..., None],
        y=np.concatenate(arrays[1::2]).astype(np.int32),
        num_classes=10,
        scale=1 / 255,
        class_names=tuple("0123456789"),
    )
    return validate(loaded, "data=mnist")


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
        raise RequestError(f"data=mnist cannot read {str(path)!r} ({one_line(error)})") from error
    start = 4 + 4 * num_axes
    if zeros or kind != _UBYTE or len(content) - start != math.prod(shape):
        raise RequestError(f"data=mnist needs IDX files of bytes as long as their headers say; {str(path)!r} is none")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
