"""Tracking: every run, its numbers and its files, in MLflow. The only importer of MLflow.

`Tracker` opens the store, finds and starts runs and reads them back; `Reader` only reads, and needs no disk that can be
written; `Run` is what a running experiment writes to. Importing this package is cheap, and MLflow itself is imported
when something is written, or read from a server.
"""

from typing import TYPE_CHECKING, Any

from mia.home import home
from mia.tracking.options import TrackingOptions

if TYPE_CHECKING:
    from mia.tracking.reading import Reader
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

__all__ = ["Reader", "Run", "Tracker", "TrackingOptions", "home"]
LATER = {"Reader": "reading", "Run": "run", "Tracker": "tracker"}


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"mia.tracking.{LATER[name]}"), name)
