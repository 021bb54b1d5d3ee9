"""Small files of every kind, made when a case asks for them: nothing binary lies in the repository."""

import io
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from mia.checks import RequestError

RECORDS = 24
ODD = b"\0\xff\x80\x7f\r\n\"',;\t -+.%:[]{}()&*!\x1b\xef\xbb\xbf1e9"


def csv_of(columns, separator=",", end="\n", header=True):
    """Return a CSV file's text of columns that may be shorter than the others: they are repeated."""
    names = list(dict.fromkeys([*columns, "class"]))
    cells = {"class": ["no", "yes"], **{name: list(column) for name, column in columns.items()}}
    rows = [[str(cells[name][i % len(cells[name])]) for name in names] for i in range(RECORDS)]
    quoted = [
        [f'"{cell}"' if separator in cell else cell for cell in row] for row in ([names] if header else []) + rows
    ]
    return end.join(separator.join(row) for row in quoted) + end


def table(columns=None, *, text=None, content=None, name="mine.csv", encoding="utf-8", **form):
    """Return a maker of a CSV file: from columns, from text or from bytes."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            content if content is not None else (csv_of(columns, **form) if text is None else text).encode(encoding)
        )
        return path

    return make


def parquet(columns, name="mine.parquet"):
    """Return a maker of a Parquet file."""

    def make(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet

        full = {"class": ["no", "yes"] * (RECORDS // 2), **columns}
        pyarrow.parquet.write_table(pa.table(full), folder / name)
        return folder / name

    return make


def dictionary(values):
    """Return a column that is encoded as a dictionary."""
    import pyarrow as pa

    return pa.array(values).dictionary_encode()


def frame(folder, columns):
    """Write a Parquet file from pandas, whole numbers written as text being its categories; return its path."""
    import pandas as pd

    full = pd.DataFrame({"class": ["no", "yes"] * (RECORDS // 2), **columns})
    for name, values in columns.items():
        if all(isinstance(value, str) for value in values):
            full[name] = full[name].astype(int).astype("category")
    full.to_parquet(folder / "mine.parquet")
    return folder / "mine.parquet"


def npz(raw=(), **arrays):
    """Return a maker of an .npz file; `raw` holds further members as (name, bytes)."""

    def make(folder: Path) -> Path:
        path = folder / "mine.npz"
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                archive.writestr(f"{name}.npy", npy(array))
            for name, content in raw:
                archive.writestr(name, content)
        return path

    return make


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def picture(pixels, kind="PNG", mode=None):
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


def deep_png(pixels):
    """Return a PNG of 16 bits per channel, grey [H W] or colour [H W 3], which Pillow cannot write in colour."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2").reshape(height, -1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(body)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def pets(seed=0, each=4):
    """Return names and pixels of pictures of two classes."""
    rng = np.random.default_rng(seed)
    return {
        f"{animal}/{i}.png": rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        for animal in ("cat", "dog")
        for i in range(each)
    }


def files(members, kind="folder"):
    """Return a maker of a folder, zip or tar of files: name -> bytes, None for an entry of a folder."""

    def make(folder: Path) -> Path:
        path = folder / f"pets.{kind}"
        if kind == "folder":
            for name, content in members.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(content)
        elif kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(zipfile.ZipInfo(name), content)
        else:
            with tarfile.open(path, "w") as archive:
                for name, content in members.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        return path

    return make


def special(what):
    """Return a maker of something at a file's place that is no file."""
    import os

    def make(folder: Path) -> Path:
        path = folder / "mine.csv"
        if what == "fifo":
            os.mkfifo(path)
        elif what == "folder":
            path.mkdir()
        elif what == "dangling":
            path.symlink_to(folder / "gone")
        elif what == "device":
            path.symlink_to("/dev/zero")
        elif what == "loop":
            path.symlink_to(path)
        return path

    return make


def damage(content, rng):
    """Return bytes with a few changes."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(0, len(content) + 1))
        length = int(rng.integers(1, 9))
        match rng.integers(0, 7):
            case 0 if at < len(content):
                content[at] ^= 1 << rng.integers(0, 8)
            case 1 if at < len(content):
                content[at] = ODD[rng.integers(0, len(ODD))]
            case 2:
                content[at:at] = bytes(ODD[i] for i in rng.integers(0, len(ODD), length))
            case 3:
                del content[at : at + length]
            case 4:
                content[at : at + length] = b"\xff" * length
            case 5:
                content[at:at] = content[max(0, at - 40) : at]
            case 6 if rng.random() < 0.3:
                del content[at:]
    return bytes(content)


def survives(read):
    """Ask for something that may be damaged; return whether it was read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read()
        except RequestError as error:
            text = str(error)
            assert text.isprintable(), text
            assert len(text) < 2000, text
            return False
    return True
