"""A name becomes a data set: `load(options)` finds, verifies, decodes and checks it.

The only code that opens data files. Never splits, shuffles or normalises by what a model may not know.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mia import checks
from mia.data.options import DataOptions
from mia.data.progress import Progress

if TYPE_CHECKING:
    from mia.records import Dataset

LOADERS = {
    "digits": "digits:load_digits",
    "cifar10": "cifar:load_cifar10",
    "cifar100": "cifar:load_cifar100",
    "mnist": "mnist:load_mnist",
    "adult": "adult:load_adult",
    "locations": "bits:load_locations",
    "purchase": "bits:load_purchase",
    "texas": "bits:load_texas",
    "arrays": "arrays:load_arrays",
    "images": "images:load_images",
    "table": "table:load_table",
}
"""Where each data set's loader is: module and function; a module is imported when it is asked for."""


def load(options: DataOptions, progress: Progress | None = None) -> "Dataset":
    """Return the data set that `options` name.

    Args:
        options: one of the dataclasses of `mia.data.options`.
        progress: called with (done, total) while something slow goes on: bytes of a download, pictures decoded.

    Raises:
        RequestError: the data are missing, damaged or of another kind than they should be.
    """
    module, function = LOADERS[checks.one_of("data.name", options.name, LOADERS)].split(":")
    dataset: Dataset = getattr(import_module(f"mia.data.{module}"), function)(options, progress)
    return dataset
