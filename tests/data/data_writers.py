"""Small files in the true formats, and the hashes that make them official for a test."""

import dataclasses
import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from mia.data import DATASETS
from mia.data.official import digest

SHARED = Path(__file__).parents[3] / "shared" / "data"


def official(monkeypatch, name, folder, contents):
    """Write a data set's official files and pin their hashes; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pinned = []
    options = DATASETS[name].options
    for source in options.sources:
        path = folder / source.file
        path.write_bytes(contents[source.file])
        pinned.append(dataclasses.replace(source, hash=digest(path, source.hash)))
    monkeypatch.setattr(options, "sources", tuple(pinned))
    return folder


def tar(members, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def idx(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def picture(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def folder(path, members):
    for name, content in members.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path
