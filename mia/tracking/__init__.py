"""Tracking: every run, its numbers and its files, in MLflow. The only importer of MLflow.

`Tracker` opens the store, finds and starts runs and reads them back; `Run` is what a running experiment writes to.
Importing this package is cheap: MLflow itself is imported when a tracker is opened.
"""

from typing import TYPE_CHECKING, Any

from mia.home import home
from mia.tracking.options import TrackingOptions

if TYPE_CHECKING:
    from mia.tracking.run import Run
    from mia.tracking.tracker import Tracker

__all__ = ["Run", "Tracker", "TrackingOptions", "home"]


def __getattr__(name: str) -> Any:
    if name == "Tracker":
        from mia.tracking.tracker import Tracker

        return Tracker
    if name == "Run":
        from mia.tracking.run import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
