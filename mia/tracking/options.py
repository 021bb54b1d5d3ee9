"""Where runs are tracked, as it stands in the config.

Takes plain values; gives a checked dataclass. Opens and contacts nothing.
"""

from dataclasses import dataclass

from mia.checks import RequestError, non_negative
from mia.tracking.address import checked

MAX_NAME = 500


@dataclass
class TrackingOptions:
    """The MLflow experiment that runs are filed under, and the store that keeps them."""

    experiment: str = "mia"
    uri: str | None = None  # None: the SQLite store in mlruns/
    enabled: bool = True  # false: an audit leaves MLflow out
    patience: float = 600.0  # seconds that a run waits for a server or a database that is away; so does a sweep's job

    def __post_init__(self) -> None:
        """Check the name, and that MLflow can keep runs at the address."""
        name = self.experiment
        if not name.strip() or name != name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise RequestError(
                f"tracking.experiment={name[:60]!r} must be a name of 1 to {MAX_NAME} printable characters"
            )
        non_negative("tracking.patience", self.patience)
        if self.uri is not None:
            self.uri = checked(self.uri)

    def check_enabled(self) -> None:
        """Refuse to leave out the store of runs: what a run or a sweep is for lies there.

        Raises:
            RequestError: tracking is off.
        """
        if not self.enabled:
            raise RequestError(
                "tracking.enabled=false is for mia audit; runs and sweeps are kept in a store, and tracking.uri= or "
                "MIA_HOME= says in which"
            )
