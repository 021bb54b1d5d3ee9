"""An .npz file with `x` and `y`: any data set a person already has as arrays. Never loads a pickle."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mia.checks import RequestError, did_you_mean, one_of, positive
from mia.data import Progress, dataset
from mia.data.options import FileOptions, need_path
from mia.data.validate import finish, locate
from mia.machine import memory_bytes
from mia.records import Dataset, FeatureGroup

MAX_BYTES = 32 << 30
"""Unpacked size that one array may have; an archive that claims more is taken for a bomb."""


LAYOUTS = ("channels_last", "channels_first")
_MOST_CHANNELS = 4
_LAST_LETTER = 0x10FFFF  # of Unicode


@dataclass
class ArraysOptions(FileOptions):
    """An .npz file with `x` and `y`."""

    name: str = "arrays"
    layout: str | None = (
        None  # of pictures: channels_last [N H W C], channels_first [N C H W]; null: last, if plausible
    )
    scale: float | None = None  # a model sees x * scale; null: 1/255 for uint8 pictures, else 1

    def __post_init__(self) -> None:
        super().__post_init__()
        need_path(self.path, "an .npz file with the arrays x and y")
        if self.layout is not None:
            one_of("data.layout", self.layout, LAYOUTS)
        if self.scale is not None:
            positive("data.scale", self.scale)


@dataset("arrays", options=ArraysOptions)
def load_arrays(options: ArraysOptions, progress: Progress | None = None) -> Dataset:  # noqa: ARG001
    """Return the arrays `x` and `y` of an .npz file, and `class_names` if it is there.

    `x` is uint8, bool or float (cast to float32): [N H W C] or [N H W] pictures, [N F] tables. `y` is [N], integers
    0 .. C-1.

    Raises:
        RequestError: the file cannot be read or its arrays are of another kind.
    """
    where = options.where
    arrays = read_npz(options.path, where, required=("x", "y"), optional=("class_names",))
    x, y = _features(arrays["x"], where, options.layout), _labels(arrays["y"], where)
    is_image = x.ndim == 4
    scale = options.scale if options.scale is not None else (1 / 255 if is_image and x.dtype == np.uint8 else 1.0)
    if options.scale and float(np.abs(x).max(initial=0)) * scale > np.finfo(np.float32).max:
        raise RequestError(f"data.scale={scale!r} makes values of {where} too large for float32; give a smaller one")
    loaded = Dataset(
        name=Path(options.path).stem,
        x=x,
        y=y,
        num_classes=int(y.max(initial=0)) + 1,
        scale=scale,
        class_names=text_names(arrays["class_names"], f"{where} holds class_names") if "class_names" in arrays else (),
        features=() if is_image else column_features(x),
        notes=tuple(_notes(x, scale, options)),
    )
    return finish(loaded, where, options.duplicates)


def read_npz(
    path: str, where: str, required: tuple[str, ...], optional: tuple[str, ...] = (), *, is_strict: bool = False
) -> dict[str, np.ndarray]:
    """Return the named arrays of an .npz file; with `is_strict`, others must not look like one that is absent.

    Values of two bytes without a type are taken for bfloat16, which .npy files cannot name, and become float32.

    Raises:
        RequestError: there is no such file, it is not an .npz, is damaged, holds pickled objects or lacks an array.
    """
    file = locate(path, where, f"an .npz file with the arrays {' and '.join(required)}")
    if file.is_dir():
        raise RequestError(f"{where} is a folder; it must be an .npz file with the arrays {' and '.join(required)}")
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = _sizes(archive, where)
        _check_members(sizes, where, required)
        if is_strict:
            _check_strangers(sizes, where, (*required, *optional))
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            return {name: _array(stored[name], name, where) for name in (*required, *optional) if name in sizes}
    except zipfile.BadZipFile as error:
        raise RequestError(f"{where} is damaged, or no .npz file; save it with np.savez") from error
    except (ValueError, SyntaxError, TypeError, RecursionError, tokenize.TokenError) as error:
        if isinstance(error, RequestError):
            raise
        problem = "holds pickled objects, which could run code" if "pickle" in str(error) else "holds a damaged array"
        raise RequestError(f"{where} {problem}; its arrays must be plain numbers (or text, for names)") from error
    except (
        OSError, EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError, OverflowError, zlib.error,
        lzma.LZMAError, struct.error,
    ) as error:  # fmt: skip
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise RequestError(f"{where} cannot be read{reason}; it must be an .npz file, saved with np.savez") from error


def _sizes(archive: zipfile.ZipFile, where: str) -> dict[str, int]:
    """Return the size of every array; NumPy would let the last of two of one name win."""
    sizes: dict[str, int] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in sizes:
            raise RequestError(f"{where} holds two arrays named {name!r}; every name may be there once")
        sizes[name] = info.file_size
    return sizes


def _array(stored: object, name: str, where: str) -> np.ndarray:
    if not isinstance(stored, np.ndarray):
        raise RequestError(f"{where} holds {name!r}, which is no .npy array; save it with np.savez")
    if stored.dtype.kind == "V" and stored.dtype.itemsize == 2 and stored.dtype.names is None:
        return (stored.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return stored


def text_names(array: np.ndarray, what: str) -> tuple[str, ...]:
    """Return names out of an array of text.

    Args:
        array: [C] of text.
        what: what messages begin with, such as `data.path='x.npz' holds class_names`.

    Raises:
        RequestError: it has another shape or type, or names are empty, not printable or twice there.
    """
    if array.ndim != 1 or array.dtype.kind != "U":
        raise RequestError(f"{what} of shape {array.shape} and type {array.dtype}; they must be text, one per class")
    points = np.frombuffer(array.astype(array.dtype.newbyteorder("=")).tobytes(), np.uint32)
    if ((points > _LAST_LETTER) | ((points >= 0xD800) & (points < 0xE000))).any():
        raise RequestError(f"{what} that are damaged: no text has such letters")
    names = tuple(str(name) for name in array)
    odd = next((name for name in names if not name.strip() or not name.isprintable()), None)
    if odd is not None:
        raise RequestError(f"{what} that are not printable, such as {odd[:80]!r}")
    if len(set(names)) < len(names):
        raise RequestError(f"{what} that are there twice; every class needs a name of its own")
    return names


def _check_members(sizes: dict[str, int], where: str, required: tuple[str, ...]) -> None:
    for name in required:
        if name not in sizes:
            found = ", ".join(sorted(sizes)[:10])[:300] or "nothing"
            hint = did_you_mean(name, sizes)
            form = ", ".join(f"{one}=" for one in required)
            raise RequestError(
                f"{where} holds {found}, but no array {name!r}{hint}; save it with np.savez(path, {form})"
            )
    for name, size in sizes.items():
        most = min(MAX_BYTES, memory_bytes())
        if size > most:
            raise RequestError(f"{where} holds {name!r} of {size:,} bytes; an array may have {most:,} here")


def _check_strangers(sizes: dict[str, int], where: str, known: tuple[str, ...]) -> None:
    """Refuse an array that would be ignored, though its name seems to be meant for one that is not there."""
    for name in sizes:
        if name not in known and (hint := did_you_mean(name, [one for one in known if one not in sizes])):
            raise RequestError(f"{where} holds {name!r}, which is none of {', '.join(known)}{hint}")


def _features(x: np.ndarray, where: str, layout: str | None) -> np.ndarray:
    if x.dtype == bool:
        x = x.astype(np.uint8)
    if x.dtype != np.uint8:
        if x.dtype.kind != "f":
            raise RequestError(f"{where} holds x of type {x.dtype}; it must be uint8 (pixels, bits) or a float type")
        with np.errstate(over="ignore"):  # what overflows becomes infinite, which `validate` refuses
            x = x.astype(np.float32)
    if x.ndim not in (2, 3, 4):
        raise RequestError(
            f"{where} holds x of shape {x.shape}; it must be [N F], [N height width] or [N height width channels]"
        )
    if layout is not None and x.ndim != 4:
        raise RequestError(f"data.layout={layout} needs pictures of four axes; {where} holds x of shape {x.shape}")
    if x.ndim == 4 and layout is None and 1 <= x.shape[1] <= _MOST_CHANNELS < x.shape[3]:
        raise RequestError(
            f"{where} holds x of shape {x.shape}: are these {x.shape[1]} channels, or pictures {x.shape[1]} high "
            f"with {x.shape[3]} channels? set data.layout=channels_first or data.layout=channels_last"
        )
    if layout == "channels_first":
        x = x.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(x[..., None] if x.ndim == 3 else x)


def _notes(x: np.ndarray, scale: float, options: ArraysOptions) -> Iterator[str]:
    """Say what was done to the arrays, where that is not plain."""
    if x.ndim == 4:
        last = "moved to the end from [N C H W]" if options.layout == "channels_first" else "last"
        height, width, channels = x.shape[1:]
        yield f"pictures of {width}x{height} with {channels} channels ({last}), {x.dtype}; a model sees x * {scale:.6g}"
        if x.dtype == np.float32 and scale == 1 and np.abs(x).max(initial=0) > 16:
            yield f"pictures are float with values up to {np.abs(x).max():.6g}: for bytes set data.scale=0.00392157"


def _labels(y: np.ndarray, where: str) -> np.ndarray:
    if y.dtype.kind not in "iu":
        raise RequestError(f"{where} holds y of type {y.dtype}; labels must be the integers 0 .. C-1")
    if y.ndim != 1:
        raise RequestError(f"{where} holds y of shape {y.shape}; it must be [N], one label per record")
    if y.size and (y.min() < 0 or y.max() > np.iinfo(np.int32).max):
        raise RequestError(f"{where} holds labels from {y.min()} to {y.max()}; they must be the integers 0 .. C-1")
    return y.astype(np.int32)


def column_features(x: np.ndarray) -> tuple[FeatureGroup, ...]:
    """Return one group per column of a table [N F]: a bit where all values are 0 or 1, else a number."""
    is_bit = ((x == 0) | (x == 1)).all(axis=0) if x.dtype != np.uint8 else x.max(axis=0, initial=0) <= 1
    return tuple(FeatureGroup(f"x{i}", "bit" if bit else "number", i, i + 1) for i, bit in enumerate(is_bit))
