"""What the two files of a trained model hold: described when they are written, and held against that when read.

Takes paths and the description in a model's manifest; gives arrays, or says in a few words why a file is not what it
was. A checksum alone would not do: whoever changes a file can compute it again. Never trusts a size, a shape or a type
that a file declares before it is held against the file's own length.
"""

import io
import json
import math
import zipfile
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mia.files import IrregularFileError, file_digest, regular_file, whole_file
from mia.records import CURVES

ANSWERS, PARAMETERS = "npz", "safetensors"
MOST_JSON = 2**24  # bytes of a manifest
BROKEN = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, MemoryError, RecursionError),
    *(NotImplementedError, RuntimeError, SyntaxError, OverflowError, zipfile.BadZipFile),
)
"""What the parsers of NumPy, zipfile, json and safetensors raise at files that are not theirs."""


class DamagedError(ValueError):
    """A file does not hold what it should; the message is a few words."""


def describe(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Return type, shape and finiteness of arrays, for a manifest."""
    return {
        name: {"dtype": array.dtype.name, "shape": list(array.shape), "finite": bool(np.isfinite(array).all())}
        for name, array in arrays.items()
    }


def read_json(path: Path) -> dict[str, Any]:
    """Return a mapping, empty where the file is missing or damaged."""
    try:
        with regular_file(path, MOST_JSON) as file:
            found = json.loads(file.read())
    except (OSError, *BROKEN):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Any) -> None:
    """Write a mapping; it appears whole or not at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_answers(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Return some arrays of a model's .npz; the others are not read.

    Raises:
        DamagedError: there is no such array, or the file declares something else than it holds.
    """
    with regular_file(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {one.filename: one for one in archive.infolist()}
                if len(members) != len(archive.infolist()):
                    raise DamagedError("an array stands there twice")
                return {name: _read_member(archive, members, name) for name in names}
        except DamagedError:
            raise
        except BROKEN as error:
            raise DamagedError(f"{path.name} is not an .npz of ours") from error


def _read_member(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str) -> np.ndarray:
    member = members.get(f"{name}.npy")
    if member is None:
        raise DamagedError(f"{name} is missing")
    if member.compress_type != zipfile.ZIP_STORED:  # NumPy stores as it is: nothing can grow when it is read
        raise DamagedError(f"{name} is compressed")
    with archive.open(member) as stream:
        content = stream.read()
    buffer = io.BytesIO(content)
    shape, dtype = _header(buffer)
    if dtype.kind not in "fiub" or buffer.tell() + math.prod(shape) * dtype.itemsize != len(content):
        raise DamagedError(f"{name} is not an array of numbers of its size")
    buffer.seek(0)
    return np.lib.format.read_array(buffer, allow_pickle=False)


def _header(file: BinaryIO | io.BytesIO) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read(file)
    return shape, dtype


def read_parameters(path: Path) -> dict[str, np.ndarray]:
    """Return a model's parameters by name.

    Raises:
        DamagedError: the file is not a .safetensors of numbers.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    with regular_file(path) as file:
        content = file.read()
    try:
        return load(content)
    except (SafetensorError, *BROKEN) as error:
        raise DamagedError(f"{path.name} is not a .safetensors of ours") from error


def damage(path: Path, digest: Any, described: Any, expected: Mapping[str, tuple[int, ...]]) -> str:
    """Return in a few words what is wrong with one of a model's files; nothing if it is what it was.

    Args:
        path: the file, .npz or .safetensors.
        digest: its SHA-256, from the manifest.
        described: what it holds, from the manifest; None in manifests of old, which did not say.
        expected: shapes that the caller knows, by array.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return f"{path.name} is missing"
    stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
    return _damage(path, stamp, str(digest), json.dumps(described, sort_keys=True), tuple(sorted(expected.items())))


@lru_cache(maxsize=4096)  # a sweep asks for the same models in every configuration
def _damage(
    path: Path, stamp: tuple[int, ...], digest: str, described: str, expected: tuple[tuple[str, tuple[int, ...]], ...]
) -> str:
    del stamp  # part of the key: a file that has changed is looked at again
    try:
        if file_digest(path) != digest:
            return f"{path.name} has another checksum"
        told = json.loads(described)
        names = CURVES if isinstance(told, dict) and "logits" not in told else ("logits", *CURVES)
        arrays = read_answers(path, names) if path.suffix == f".{ANSWERS}" else read_parameters(path)
        _hold_against(describe(arrays), told)
        for name, shape in expected:
            if name in arrays and arrays[name].shape != shape:
                raise DamagedError(f"{name} has the shape {arrays[name].shape}, not {shape}")
    except FileNotFoundError:
        return f"{path.name} is missing"
    except (IrregularFileError, DamagedError) as error:
        return str(error)
    return ""


def _hold_against(found: Mapping[str, Mapping[str, Any]], described: Any) -> None:
    if described is None:
        described = {name: {**one, "finite": name not in CURVES} for name, one in found.items()}
        _check_shapes(found)
    if not isinstance(described, dict) or set(described) != set(found):
        raise DamagedError("it holds other arrays than it did")
    for name, one in found.items():
        was = described[name]
        if not isinstance(was, dict) or [was.get("dtype"), was.get("shape")] != [one["dtype"], one["shape"]]:
            raise DamagedError(f"{name} is {one['dtype']} {one['shape']}, which it was not")
        if was.get("finite") and not one["finite"]:
            raise DamagedError(f"{name} holds values that are not finite")


def _check_shapes(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Check what can be known of files whose manifest does not say what they hold."""
    if "logits" in found:
        lengths = {tuple(found[name]["shape"]) for name in CURVES}
        if len(found["logits"]["shape"]) != 2 or len(lengths) != 1 or len(lengths.pop()) != 1:
            raise DamagedError("logits or curves have impossible shapes")
        if any(not one["dtype"].startswith("float") for one in found.values()):
            raise DamagedError("logits or curves are not floating-point numbers")
