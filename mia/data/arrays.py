"""An .npz file with `x` and `y`: any data set a person already has as arrays. Never loads a pickle."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mia.checks import RequestError, did_you_mean, positive
from mia.data import Progress, dataset
from mia.data.options import FileOptions, need_path
from mia.data.validate import one_line, validate
from mia.records import Dataset, FeatureGroup

MAX_BYTES = 32 << 30
"""Unpacked size that one array may have; an archive that claims more is taken for a bomb."""


@dataclass
class ArraysOptions(FileOptions):
    """An .npz file with `x` and `y`."""

    name: str = "arrays"
    scale: float | None = None  # a model sees x * scale; null: 1/255 for uint8 pictures, else 1

    def __post_init__(self) -> None:
        super().__post_init__()
        need_path(self.path, "an .npz file with the arrays x and y")
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
    where = f"data.path={options.path!r}"
    arrays = read_npz(options.path, where, required=("x", "y"), optional=("class_names",))
    x, y = _features(arrays["x"], where), _labels(arrays["y"], where)
    is_image = x.ndim == 4
    scale = options.scale if options.scale is not None else (1 / 255 if is_image and x.dtype == np.uint8 else 1.0)
    loaded = Dataset(
        name=Path(options.path).stem,
        x=x,
        y=y,
        num_classes=int(y.max(initial=0)) + 1,
        scale=scale,
        class_names=tuple(str(name) for name in arrays.get("class_names", np.array([])).ravel()),
        features=() if is_image else column_features(x),
    )
    return validate(loaded, where)


def read_npz(
    path: str, where: str, required: tuple[str, ...], optional: tuple[str, ...] = (), *, is_strict: bool = False
) -> dict[str, np.ndarray]:
    """Return the named arrays of an .npz file; with `is_strict`, others must not look like one that is absent.

    Raises:
        RequestError: there is no such file, it is not an .npz, is damaged, holds pickled objects or lacks an array.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        problem = "is a folder" if file.is_dir() else "does not exist"
        raise RequestError(f"{where} {problem}; it must be an .npz file with the arrays {' and '.join(required)}")
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        _check_members(sizes, where, required)
        if is_strict:
            _check_strangers(sizes, where, (*required, *optional))
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            return {name: stored[name] for name in (*required, *optional) if name in sizes}
    except zipfile.BadZipFile as error:
        raise RequestError(f"{where} is damaged or no .npz file ({one_line(error)})") from error
    except ValueError as error:
        if isinstance(error, RequestError):
            raise
        problem = "holds pickled objects, which could run code" if "pickle" in str(error) else "holds a damaged array"
        raise RequestError(f"{where} {problem}; its arrays must be plain numbers (or text, for names)") from error
    except (OSError, EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise RequestError(f"{where} cannot be read ({one_line(error)}); it must be an .npz file") from error


def _check_members(sizes: dict[str, int], where: str, required: tuple[str, ...]) -> None:
    for name in required:
        if name not in sizes:
            found = ", ".join(sorted(sizes)[:10]) or "nothing"
            hint = did_you_mean(name, sizes)
            form = ", ".join(f"{one}=" for one in required)
            raise RequestError(
                f"{where} holds {found}, but no array {name!r}{hint}; save it with np.savez(path, {form})"
            )
    for name, size in sizes.items():
        if size > MAX_BYTES:
            raise RequestError(f"{where} holds {name!r} of {size:,} bytes; an array may have {MAX_BYTES:,}")


def _check_strangers(sizes: dict[str, int], where: str, known: tuple[str, ...]) -> None:
    """Refuse an array that would be ignored, though its name seems to be meant for one that is not there."""
    for name in sizes:
        if name not in known and (hint := did_you_mean(name, [one for one in known if one not in sizes])):
            raise RequestError(f"{where} holds {name!r}, which is none of {', '.join(known)}{hint}")


def _features(x: np.ndarray, where: str) -> np.ndarray:
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
    return np.ascontiguousarray(x[..., None] if x.ndim == 3 else x)


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
