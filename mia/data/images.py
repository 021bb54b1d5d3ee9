"""A folder, zip or tar of `.../<class>/<file>` pictures, decoded once and cached as one array.

Records are sorted by name, so that the same pictures give the same data set however they are packed. An outer train/,
test/ or val/ is pooled. Colour and grey pictures together become colour; transparency and rotation tags are ignored,
and of an animation the first picture counts. Files that are no pictures and do not claim to be are left out, and named.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mia.checks import RequestError
from mia.data import Progress, dataset
from mia.data.cache import Arrays, cached
from mia.data.containers import Container, open_container
from mia.data.options import FileOptions, need_path
from mia.data.validate import finish, some
from mia.records import Dataset

_VERSION = 2  # raise when what is made of the same files changes
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}
_PICTURES = {
    "jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "ppm", "pgm", "pbm", "pnm", "tif", "tiff", "webp", "heic",
    "heif", "avif", "jp2", "svg", "eps", "psd", "dng", "cr2", "nef", "ico", "tga", "dcm", "exr",
}  # fmt: skip
"""Endings of files that claim to be pictures, those included that cannot be read here."""


@dataclass
class ImagesOptions(FileOptions):
    """A folder, zip or tar of `.../<class>/<file>` pictures."""

    name: str = "images"
    depth: int | None = (
        None  # 8: keep the upper 8 bits of pictures with 16 bits per channel; null: refuse such pictures
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        need_path(self.path, "a folder, zip or tar of <class>/<file> pictures")
        if self.depth not in (None, 8):
            raise RequestError(f"data.depth={self.depth!r} must be 8, or null")


@dataset("images", options=ImagesOptions)
def load_images(options: ImagesOptions, progress: Progress | None = None) -> Dataset:
    """Return the pictures as uint8 [N height width channels], scale 1/255; classes are the folders' names, sorted.

    Raises:
        RequestError: no such collection, a broken picture, different sizes, fewer than two classes.
    """
    where = options.where
    container = open_container(options.path, where)
    key = f"{container.key} {options.depth} {_VERSION}"
    arrays = cached("images", key, lambda: _decode(container, options, progress))
    loaded = Dataset(
        name=Path(options.path).expanduser().resolve().stem,
        x=arrays["x"],
        y=arrays["y"],
        num_classes=len(arrays["class_names"]),
        scale=1 / 255,
        class_names=tuple(arrays["class_names"].tolist()),
        notes=tuple(arrays["notes"].tolist()),
    )
    return finish(loaded, where, options.duplicates)


def _decode(container: Container, options: ImagesOptions, progress: Progress | None) -> Arrays:
    from mia.data.pictures import Decoder

    where = options.where
    names = container.names()
    if not names:
        raise RequestError(f"{where} holds no files; it must hold <class>/<file> pictures")
    may_be_other = np.array([not claims_to_be_a_picture(name) for name in names])
    if may_be_other.all():
        may_be_other[:] = False  # pictures without endings
    classes_of([name for name, other in zip(names, may_be_other, strict=True) if not other], where)
    chosen = _lying_alike(names, may_be_other)
    decoder = Decoder(names, chosen, may_be_other, options)
    x = decoder.decode(container.contents(), progress)
    kept = [names[i] for i in decoder.kept]
    if not kept:
        raise RequestError(f"{where} holds no picture that can be read, but {some(names)}")
    classes = classes_of(kept, where)
    class_names = sorted(set(classes))
    y = np.searchsorted(np.array(class_names), np.array(classes)).astype(np.int32)
    by_name = np.argsort(np.array(kept), kind="stable")
    notes = decoder.notes()
    if left_out := sorted(set(names) - set(kept)):
        notes.insert(0, f"{_are_none(len(left_out))} left out: {some(left_out)}")
    return {"x": x, "y": y[by_name], "class_names": np.array(class_names), "notes": np.array(notes, dtype=np.str_)}


def _are_none(count: int) -> str:
    return "1 file is no picture and was" if count == 1 else f"{count:,} files are no pictures and were"


def claims_to_be_a_picture(name: str) -> bool:
    """Tell whether a file's ending is one of pictures."""
    return name.rpartition("/")[2].lower().rpartition(".")[2] in _PICTURES


def _lying_alike(names: Sequence[str], may_be_other: np.ndarray) -> np.ndarray:
    """Return which files [N] are to be opened: all but those that claim nothing and do not lie where pictures lie."""
    depths = np.array([name.count("/") for name in names])
    usual = np.bincount(depths[~may_be_other]).argmax()
    return ~may_be_other | ((depths == usual) & (usual > 0))


def classes_of(names: Sequence[str], where: str) -> list[str]:
    """Return the class of every file: the folder it lies in, below common outer folders and train/, test/ or val/.

    Raises:
        RequestError: there are no files, or one does not lie as <class>/<file>.
    """
    if not names:
        raise RequestError(f"{where} holds no files; it must hold <class>/<file> pictures")
    paths = [name.split("/") for name in names]
    lengths = Counter(len(path) for path in paths)
    length = lengths.most_common(1)[0][0]
    if len(lengths) > 1 or length < 2:
        odd = next(name for name, path in zip(names, paths, strict=True) if len(lengths) == 1 or len(path) != length)
        raise RequestError(f"{where} holds {odd!r}, which does not lie as <class>/<file> like the others must")
    shared = 0
    while length - shared > 2 and len({path[shared] for path in paths}) == 1:
        shared += 1
    outer = {path[shared].lower() for path in paths}
    if length - shared > 3 or (length - shared == 3 and not outer <= _SPLITS):
        raise RequestError(
            f"{where} holds {names[0]!r}, which lies too deep; it must be <class>/<file>, or that in train/ and test/"
        )
    return [path[-2] for path in paths]
