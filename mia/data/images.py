"""A folder, zip or tar of `.../<class>/<file>` pictures, decoded once and cached as one array.

Records are sorted by name, so that the same pictures give the same data set however they are packed. An outer train/,
test/ or val/ is pooled. Colour and grey pictures together become colour; transparency and rotation tags are ignored,
and of an animation the first picture counts.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mia.checks import RequestError
from mia.data import Progress, dataset
from mia.data.cache import Arrays, cached
from mia.data.containers import Container, open_container
from mia.data.options import FileOptions, need_path
from mia.data.validate import validate
from mia.records import Dataset

_VERSION = 1  # raise when what is made of the same files changes
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}


@dataclass
class ImagesOptions(FileOptions):
    """A folder, zip or tar of `.../<class>/<file>` pictures."""

    name: str = "images"

    def __post_init__(self) -> None:
        super().__post_init__()
        need_path(self.path, "a folder, zip or tar of <class>/<file> pictures")


@dataset("images", options=ImagesOptions)
def load_images(options: ImagesOptions, progress: Progress | None = None) -> Dataset:
    """Return the pictures as uint8 [N height width channels], scale 1/255; classes are the folders' names, sorted.

    Raises:
        RequestError: no such collection, a file that is no picture, different sizes, fewer than two classes.
    """
    where = f"data.path={options.path!r}"
    container = open_container(options.path, where)
    arrays = cached("images", f"{container.key} {_VERSION}", lambda: _decode(container, where, progress))
    loaded = Dataset(
        name=Path(options.path).expanduser().resolve().stem,
        x=arrays["x"],
        y=arrays["y"],
        num_classes=len(arrays["class_names"]),
        scale=1 / 255,
        class_names=tuple(arrays["class_names"].tolist()),
    )
    return validate(loaded, where)


def _decode(container: Container, where: str, progress: Progress | None) -> Arrays:
    from mia.data.pictures import Decoder

    names = container.names()
    classes = classes_of(names, where)
    class_names = sorted(set(classes))
    by_name = np.argsort(np.array(names), kind="stable")
    order = np.empty(len(names), np.int64)
    order[by_name] = np.arange(len(names))
    y = np.searchsorted(np.array(class_names), np.array(classes)).astype(np.int32)
    x = Decoder(names, order, where).decode(container.contents(), progress)
    return {"x": x, "y": y[by_name], "class_names": np.array(class_names)}


def classes_of(names: list[str], where: str) -> list[str]:
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
