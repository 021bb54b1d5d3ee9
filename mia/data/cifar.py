"""CIFAR-10 and CIFAR-100 from the official binary archives, training and test files pooled in that order.

A record is one label byte (CIFAR-100: coarse, then fine; the fine one is used) and 3,072 bytes of pixels in red, green
and blue planes. The archive's members are read in place; nothing is unpacked to disk.
"""

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from mia.checks import RequestError
from mia.data import Progress, dataset
from mia.data.cache import Arrays, cached
from mia.data.official import OfficialOptions, Source, obtain
from mia.data.validate import one_line, validate
from mia.records import Dataset

_VERSION = 1  # raise when what `_decode` makes of the same archive changes
_PIXELS = 3 * 32 * 32
_SITE = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class Layout:
    """How an archive is laid out: which members, how many records and label bytes."""

    members: tuple[str, ...]
    names: str
    label_bytes: int  # the last of them is the label
    num_classes: int
    per_class: int  # records of every class, over all members


CIFAR10 = Layout((*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"), "batches.meta.txt", 1, 10, 6000)
CIFAR100 = Layout(("train.bin", "test.bin"), "fine_label_names.txt", 2, 100, 600)


@dataclass
class Cifar10Options(OfficialOptions):
    """CIFAR-10: 60,000 colour pictures of 32x32 pixels, 10 classes."""

    name: str = "cifar10"
    sources: ClassVar[tuple[Source, ...]] = (
        Source("cifar-10-binary.tar.gz", _SITE, 170_052_171, "md5:c32a1d4ab5d03f1284b67883e8d87530"),
    )


@dataclass
class Cifar100Options(OfficialOptions):
    """CIFAR-100: 60,000 colour pictures of 32x32 pixels, 100 classes."""

    name: str = "cifar100"
    sources: ClassVar[tuple[Source, ...]] = (
        Source("cifar-100-binary.tar.gz", _SITE, 168_513_733, "md5:03b5dce01913d631647c71ecec9e9cb8"),
    )


@dataset("cifar10", options=Cifar10Options)
def load_cifar10(options: Cifar10Options, progress: Progress | None = None) -> Dataset:
    """Return CIFAR-10 as uint8 [60000 32 32 3], scale 1/255, 10 classes of 6,000."""
    return _load(options, CIFAR10, progress)


@dataset("cifar100", options=Cifar100Options)
def load_cifar100(options: Cifar100Options, progress: Progress | None = None) -> Dataset:
    """Return CIFAR-100 as uint8 [60000 32 32 3], scale 1/255, 100 (fine) classes of 600."""
    return _load(options, CIFAR100, progress)


def _load(options: OfficialOptions, layout: Layout, progress: Progress | None) -> Dataset:
    (path,) = obtain(options, progress)
    key = f"{options.name} {options.sources[0].hash} {layout} {_VERSION}"
    arrays = cached(options.name, key, lambda: _decode(options.name, path, layout))
    loaded = Dataset(
        name=options.name,
        x=arrays["x"],
        y=arrays["y"].astype(np.int32),
        num_classes=layout.num_classes,
        scale=1 / 255,
        class_names=tuple(arrays["class_names"].tolist()),
    )
    return validate(loaded, f"data={options.name}")


def _decode(name: str, path: Path, layout: Layout) -> Arrays:
    contents = _read_members(name, path, {*layout.members, layout.names})
    size = layout.label_bytes + _PIXELS
    for member in layout.members:
        if len(contents[member]) % size:
            raise RequestError(f"data={name}: {member} in {str(path)!r} must hold records of {size:,} bytes")
    records = np.frombuffer(b"".join(contents[member] for member in layout.members), np.uint8).reshape(-1, size)
    labels = records[:, layout.label_bytes - 1]
    counts = np.bincount(labels, minlength=layout.num_classes)
    if len(counts) != layout.num_classes or (counts != layout.per_class).any():
        raise RequestError(
            f"data={name}: {str(path)!r} must hold {layout.per_class:,} records of each of {layout.num_classes} classes"
        )
    names = contents[layout.names].decode("ascii", "replace").split()
    return {"x": planes_to_pixels(records[:, layout.label_bytes :]), "y": labels, "class_names": np.array(names)}


def planes_to_pixels(planes: UInt8[np.ndarray, "N 3072"]) -> UInt8[np.ndarray, "N 32 32 3"]:
    """Return pictures [N height width channels] from bytes in channel planes."""
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _read_members(name: str, path: Path, wanted: set[str]) -> dict[str, bytes]:
    contents = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file_name = member.name.rpartition("/")[2]
                if member.isfile() and file_name in wanted:
                    file = archive.extractfile(member)
                    assert file is not None
                    contents[file_name] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise RequestError(f"data={name} cannot read the archive {str(path)!r}: {one_line(error)}") from error
    missing = sorted(wanted - contents.keys())
    if missing:
        raise RequestError(f"data={name}: the archive {str(path)!r} must hold {missing[0]}")
    return contents
