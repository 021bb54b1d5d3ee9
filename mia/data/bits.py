"""The paper's tables of bits (Shokri et al. 2017): Locations, Purchase and Texas, from the authors' archives.

Each is text, one record per line; it is parsed as it is unpacked, one byte per bit, so that Texas (831 MB of text)
never needs more than its 415 MB of bits and a little. Nothing is unpacked to disk.
"""

import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Int32, UInt8

from mia.checks import RequestError
from mia.data import Progress, dataset
from mia.data.cache import Arrays, cached
from mia.data.official import OfficialOptions, Source, obtain
from mia.data.validate import one_line, validate
from mia.records import Dataset, FeatureGroup

_VERSION = 1  # raise when what is made of the same archive changes
_ZERO, _ONE, _COMMA = b"01,"
_SITE = "https://github.com/privacytrustlab/datasets/raw/master/"
PURCHASE_CLASSES = (2, 10, 20, 50, 100)


@dataclass
class LocationsOptions(OfficialOptions):
    """Locations: 5,010 records of 446 bits, 30 classes."""

    name: str = "locations"
    sources: ClassVar[tuple[Source, ...]] = (
        Source(
            "dataset_location.tgz",
            _SITE,
            287_293,
            "sha256:927203f85a868f8ee17a0ded1dc61699efe602167beabe34fbf45b4b1de94b33",
        ),
    )


@dataclass
class PurchaseOptions(OfficialOptions):
    """Purchase: 197,324 records of 600 bits, 100 classes or fewer."""

    name: str = "purchase"
    classes: int = 100  # 100: the labels in the file; 2, 10, 20, 50: clusters of the purchases
    sources: ClassVar[tuple[Source, ...]] = (
        Source("dataset_purchase.tgz", _SITE, None, "git:3efa7476ad5ed7ac3e558d28585a186b38fc5f19"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes not in PURCHASE_CLASSES:
            known = ", ".join(map(str, PURCHASE_CLASSES))
            raise RequestError(f"data.classes={self.classes!r} must be one of {known}")


@dataclass
class TexasOptions(OfficialOptions):
    """Texas hospital stays: 67,330 records of 6,170 bits, 100 classes."""

    name: str = "texas"
    sources: ClassVar[tuple[Source, ...]] = (
        Source("dataset_texas.tgz", _SITE, None, "git:966f7ff40b24cf5912ff84759aab9adb8c25f30e"),
    )


@dataset("locations", options=LocationsOptions)
def load_locations(options: LocationsOptions, progress: Progress | None = None) -> Dataset:
    """Return Locations as uint8 [5010 446] bits, 30 classes: where people checked in, and what kind of people."""
    return _load(options, progress, {"bangkok": parse_labelled})


@dataset("purchase", options=PurchaseOptions)
def load_purchase(options: PurchaseOptions, progress: Progress | None = None) -> Dataset:
    """Return Purchase as uint8 [197324 600] bits: what people bought.

    With `data.classes=100` the labels are those of the file; with 2, 10, 20 or 50 they are clusters of the purchases
    (k-means with a fixed seed, as the paper made its classes; the paper's own clusters were not published).
    """
    loaded = _load(options, progress, {"dataset_purchase": parse_labelled})
    if options.classes == loaded.num_classes:
        return loaded
    key = f"purchase {loaded.fingerprint} {options.classes} {_VERSION}"
    arrays = cached("purchase-classes", key, lambda: {"y": cluster(loaded.x, options.classes)})
    clustered = Dataset("purchase", loaded.x, arrays["y"], options.classes, features=loaded.features)
    return validate(clustered, f"data=purchase data.classes={options.classes}")


@dataset("texas", options=TexasOptions)
def load_texas(options: TexasOptions, progress: Progress | None = None) -> Dataset:
    """Return Texas-100 as uint8 [67330 6170] bits, 100 classes: hospital stays and their main procedure."""
    return _load(options, progress, {"texas/100/feats": parse_bits, "texas/100/labels": parse_labels})


Parser = Callable[[Iterable[bytes], str], Arrays]


def _load(options: OfficialOptions, progress: Progress | None, parsers: dict[str, Parser]) -> Dataset:
    (path,) = obtain(options, progress)
    where = f"data={options.name}"
    key = f"{options.name} {options.sources[0].hash} {_VERSION}"
    arrays = cached(options.name, key, lambda: _parse(path, where, parsers))
    x, y = arrays["x"], arrays["y"]
    features = tuple(FeatureGroup(f"bit {i}", "bit", i, i + 1) for i in range(x.shape[1]))
    return validate(Dataset(options.name, x, y, int(y.max()) + 1, features=features), where)


def _parse(path: Path, where: str, parsers: dict[str, Parser]) -> Arrays:
    arrays: Arrays = {}
    missing = set(parsers)
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if member.isfile() and name in missing:
                    lines = archive.extractfile(member)
                    assert lines is not None
                    arrays |= parsers[name](lines, f"{where}: {name}")
                    missing.remove(name)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{where} cannot read the archive {str(path)!r} ({one_line(error)})") from error
    if missing:
        raise RequestError(f"{where}: the archive {str(path)!r} must hold {min(missing)!r}")
    return arrays


def parse_labelled(lines: Iterable[bytes], where: str) -> Arrays:
    """Return `x` and `y` of lines that begin with a label, quoted or not."""
    labels: list[bytes] = []

    def rest() -> Iterable[bytes]:
        for line in lines:
            label, _, bits = line.partition(b",")
            labels.append(label)
            yield bits

    return parse_bits(rest(), where) | parse_labels(labels, where)


def parse_labels(lines: Iterable[bytes], where: str) -> dict[str, Int32[np.ndarray, "N"]]:
    """Return `y`, labels counted from 0, of lines that hold labels counted from 1.

    Raises:
        RequestError: a line holds something else.
    """
    try:
        labels = np.array([int(line.strip(b' "\r\n')) for line in lines], np.int32)
    except ValueError as error:
        raise RequestError(f"{where} must hold labels that are whole numbers ({one_line(error)})") from error
    return {"y": labels - 1}


def parse_bits(lines: Iterable[bytes], where: str) -> dict[str, UInt8[np.ndarray, "N F"]]:
    """Return `x` of lines of bits with commas between them.

    Raises:
        RequestError: a line holds something else, or is not as long as the first.
    """
    bits, width, count = bytearray(), 0, 0
    for count, line in enumerate(lines, start=1):
        cells = np.frombuffer(line.rstrip(b"\r\n"), np.uint8)
        width = width or (len(cells) + 1) // 2
        values = cells[::2]
        is_bit = (values == _ZERO) | (values == _ONE)
        if len(cells) != 2 * width - 1 or not is_bit.all() or (cells[1::2] != _COMMA).any():
            raise RequestError(f"{where} must hold {width} bits in every line, but does not in line {count}")
        bits += (values - _ZERO).data
    return {"x": np.frombuffer(bits, np.uint8).reshape(count, width)}


def cluster(x: UInt8[np.ndarray, "N F"], num_classes: int) -> Int32[np.ndarray, "N"]:
    """Return the k-means cluster of every record, the largest first; the seed is fixed."""
    from sklearn.cluster import KMeans

    means = KMeans(num_classes, n_init=1, random_state=0, copy_x=False).fit(x.astype(np.float32))
    by_size = np.argsort(-np.bincount(means.labels_, minlength=num_classes), kind="stable")
    rank = np.empty(num_classes, np.int32)
    rank[by_size] = np.arange(num_classes)
    return rank[means.labels_]
