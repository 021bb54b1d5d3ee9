"""A name becomes a data set: `load(options)` finds, verifies, decodes and checks it.

A data set is one module: an options class, and a loader under `@dataset`. The modules of this folder, and those that
installed packages name in the entry point group `mia.data`, are the only code that opens data files. Never splits,
shuffles or normalises by what a model may not know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mia.checks import RequestError
from mia.data.options import DataOptions, Progress
from mia.registry import Registry, naming

if TYPE_CHECKING:
    from mia.records import Dataset

__all__ = ["DATASETS", "DataOptions", "DatasetEntry", "Progress", "dataset", "load"]

Loader = TypeVar("Loader", bound=Callable[..., "Dataset"])


@dataclass(frozen=True)
class DatasetEntry:
    """A data set that can be chosen: what can be set about it, and what loads it."""

    name: str
    options: type
    load: Callable[[Any, Progress | None], "Dataset"]


DATASETS: Registry[DatasetEntry] = Registry("data", "mia.data", "mia.data")
"""Every data set by name; modules are imported when an entry is asked for."""


def dataset(name: str, options: type) -> Callable[[Loader], Loader]:
    """Enter a loader, `(options, progress) -> Dataset`, under a name.

    Args:
        name: What follows `data=`.
        options: A dataclass of what can be set; it needs neither a base class nor a field `name`.
    """

    def enter(loader: Loader) -> Loader:
        DATASETS.add(name, DatasetEntry(name, options, loader), loader.__module__, options)
        return loader

    return enter


def load(options: Any, progress: Progress | None = None) -> "Dataset":
    """Return the data set that `options` describe.

    Args:
        options: An instance of the options class of an entry of `DATASETS`.
        progress: Called with (done, total) while something slow goes on: bytes of a download, pictures decoded.

    Raises:
        RequestError: the data are missing, damaged or of another kind than they should be.
        ExtensionError: the loader of another package failed.
    """
    entry = entry_of(options)
    with naming(DATASETS.outside(entry.name)):
        loaded = entry.load(options, progress)
    if DATASETS.is_ours(entry.name):
        return loaded
    from mia.data.validate import validate

    return validate(loaded, f"data={entry.name}")


def entry_of(options: Any) -> DatasetEntry:
    """Return the entry whose options these are.

    Raises:
        RequestError: no data set has such options.
    """
    entries = [entry for _, entry in DATASETS.items()]
    for is_its in (lambda entry: type(options) is entry.options, lambda entry: isinstance(options, entry.options)):
        if found := next(filter(is_its, entries), None):
            return found
    raise RequestError(f"data={type(options).__name__} is no data set; known: {', '.join(DATASETS)}")
