"""Files of arrays: .npz, .npy, .csv, .parquet and .safetensors.

Takes a path; gives arrays by name, as memory maps where the format allows. Never unpickles, reads nothing that is no
regular file, and says in one line what is wrong with a file.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mia.checks import RequestError
from mia.machine import memory_bytes

MAX_BYTES = 64 << 30
"""Unpacked size that one array may have; an archive that claims more is taken for a bomb."""
MAX_HEADER = 16 << 20  # bytes of a safetensors header
FORMATS = (".npz", ".npy", ".csv", ".parquet", ".safetensors")
MEMBERS_FIRST = ("member", "shadow_member", "shadow_loss", "shadow_logits", "shadow_probabilities", "loss", "logits",
                 "probabilities")  # fmt: skip
"""Arrays whose first axis is the model; in a table, whose rows are records, the model is the first number of a name."""

NAN = ("nan", "NaN", "-nan", "-NaN")
MISSING = (*NAN, "NA", "N/A", "n/a", "<NA>", "#N/A", "null", "NULL", "None")
"""Words that stand for a missing number among numbers in a CSV file, as pandas has them; elsewhere they are text."""


def read_arrays(path: Path, where: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name.

    A table's columns are arrays [N]; columns `name_0`, `name_1` ... are one array, whose further axes the numbers
    count: `target_logits_2` is class 2, `shadow_logits_0_2` class 2 of shadow 0.

    Args:
        path: The file.
        where: What to call it in an error: `signals=FILE.npz`.

    Raises:
        RequestError: no such file, another format, damaged, or holding what could run code.
    """
    check_file(path, where, (".npz", ".csv", ".parquet", ".safetensors"))
    return _read(path, where, {".npz": _npz, ".csv": _table, ".parquet": _table, ".safetensors": _safetensors})


def read_array(path: Path, where: str, name: str = "") -> np.ndarray:
    """Return the one array of a file; of a file with several, the one called `name`.

    A table is one array [N C]: all its columns in order, or [N] where it has one.

    Raises:
        RequestError: as for `read_arrays`, or several arrays of which none has the name.
    """
    check_file(path, where, FORMATS)
    if path.suffix in (".csv", ".parquet"):
        table = _read(path, where, {".csv": _columns, ".parquet": _columns})
        columns = [table[name]] if name in table else list(table.values())
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
    found = _read(path, where, {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors})
    if name in found:
        return found[name]
    if len(found) != 1:
        wanted = f"none is called {name!r}" if name else "one is wanted"
        raise RequestError(f"{where} holds {len(found)} arrays ({', '.join(sorted(found)[:5])}): {wanted}")
    return next(iter(found.values()))


def check_file(path: Path, where: str, formats: Iterable[str]) -> None:
    """Refuse what is no regular file of one of the formats.

    Raises:
        RequestError: with what it is instead.
    """
    formats = tuple(formats)
    wanted = f"it must be a file: {', '.join(formats)}"
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        raise RequestError(f"{where} {problem}; {wanted}")
    if path.suffix not in formats:
        raise RequestError(f"{where} is of an unknown format; {wanted}")


def _read(path: Path, where: str, readers: Mapping[str, Any]) -> Any:
    try:
        return readers[path.suffix](path, where)
    except RequestError:
        raise
    except OSError as error:
        raise RequestError(f"{where} cannot be read ({error.strerror or 'it breaks off'})") from error
    except MemoryError as error:
        raise RequestError(f"{where} does not fit into memory") from error
    except Exception as error:  # whatever NumPy, zipfile, pandas or Arrow have against a damaged file
        raise RequestError(f"{where} is damaged, or no {path.suffix} file") from error


def _npz(path: Path, where: str) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name == member.filename:
                raise RequestError(f"{where} holds {member.filename!r}, which is no array; save it with np.savez")
            if name in arrays:
                raise RequestError(f"{where} holds {name!r} twice: which of the two is meant?")
            most = min(MAX_BYTES, memory_bytes())
            if member.file_size > most:
                raise RequestError(f"{where} holds {name!r} of {member.file_size:,} bytes; {most:,} are the most here")
            with archive.open(member) as file:
                _check_header(file, name, where)
            with archive.open(member) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def _npy(path: Path, where: str) -> dict[str, np.ndarray]:
    with path.open("rb") as file:
        _check_header(file, path.name, where)
    return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}


def _check_header(file: Any, name: str, where: str) -> None:
    """Refuse objects, which only a pickle can hold, before anything is read of them."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    if read(file)[2].hasobject:
        raise RequestError(
            f"{where} holds {name!r} as Python objects, which could run code: text from pandas or from a model's "
            f"classes_ becomes plain text by np.asarray({name.removesuffix('.npy')}, str)"
        )


def _columns(path: Path, where: str) -> dict[str, np.ndarray]:
    """Return the columns of a table; a CSV file of numbers alone has no header."""
    import pandas as pd

    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        with path.open(encoding="utf-8-sig", errors="strict") as file:
            first = file.readline().strip()
        header = None if first and all(_is_number(cell) for cell in first.split(",")) else 0
        names = [] if header is None else [cell.strip().strip('"') for cell in first.split(",")]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise RequestError(f"{where} has two columns {twice[0]!r}: which of the two is meant?")
        frame = pd.read_csv(path, header=header, skipinitialspace=True, keep_default_na=False, na_values=[""])
        frame = frame.apply(_as_numbers)
    found = {}
    for name in frame:
        column = frame[name].to_numpy()
        if column.dtype == object or not isinstance(column.dtype, np.dtype):
            if frame[name].isna().any():
                raise RequestError(f"{where}: column {name!r} has empty cells")
            column = frame[name].astype(str).to_numpy().astype(str)
        found[str(name)] = column
    return found


def _as_numbers(column: Any) -> Any:
    """Return a column of numbers and words for a missing one as numbers; any other as it is: a class may be `None`."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column
    is_word = column.isin(MISSING)
    numbers = pd.to_numeric(column.mask(is_word), errors="coerce")
    is_all_numbers = (numbers.notna() | is_word | column.isna()).all()
    return numbers if is_all_numbers and (numbers.notna().any() or column.isin(NAN).any()) else column


def _table(path: Path, where: str) -> dict[str, np.ndarray]:
    """Return a table's columns as arrays, those that are numbered alike put together."""
    parts: dict[str, dict[tuple[int, ...], np.ndarray]] = {}
    for name, column in _columns(path, where).items():
        stem, numbers = re.fullmatch(r"(.*?)((?:_\d+)*)", name).groups()  # type: ignore[union-attr]
        if name.startswith("slice_"):
            stem, numbers = name, ""
        parts.setdefault(stem, {})[tuple(map(int, numbers.split("_")[1:]))] = column
    return {stem: _joined(stem, columns, where) for stem, columns in parts.items()}


def _joined(stem: str, columns: Mapping[tuple[int, ...], np.ndarray], where: str) -> np.ndarray:
    shape = tuple(max(axis) + 1 for axis in zip(*columns, strict=False))
    if len(columns) != int(np.prod(shape)) or any(len(numbers) != len(shape) for numbers in columns):
        raise RequestError(f"{where}: the columns {stem}_... do not count from 0 without a gap")
    array = np.stack([columns[numbers] for numbers in np.ndindex(*shape)], axis=-1)
    array = array.reshape(len(array), *shape)
    return np.moveaxis(array, 1, 0) if stem in MEMBERS_FIRST and array.ndim > 1 else array


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def _safetensors(path: Path, where: str) -> dict[str, np.ndarray]:
    """Return the tensors of a file as memory maps; bfloat16, which NumPy lacks, as float32."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER, size):
            raise RequestError(f"{where} is damaged: its header claims {length:,} bytes")
        header = json.loads(file.read(length))
    arrays = {}
    for name, one in header.items():
        if name == "__metadata__":
            continue
        if one["dtype"] not in SAFETENSORS:
            raise RequestError(f"{where} holds {name!r} of type {one['dtype']}; save it as F32")
        kind, shape = np.dtype(SAFETENSORS[one["dtype"]]), tuple(map(int, one["shape"]))
        begin, end = one["data_offsets"]
        if end - begin != kind.itemsize * int(np.prod(shape)) or 8 + length + end > size:
            raise RequestError(f"{where} is damaged: {name!r} lies outside the file")
        mapped = np.memmap(path, kind, "r", 8 + length + begin, shape) if end > begin else np.empty(shape, kind)
        arrays[name] = widen_bfloat16(mapped) if one["dtype"] == "BF16" else mapped
    return arrays


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return float32 numbers from the 16 bits of each bfloat16: they are the upper half."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
