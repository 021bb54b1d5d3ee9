"""What the options of data sets have in common; those of one data set stand beside its loader.

Takes plain values, gives checked ones. Never opens a file and never imports anything heavy.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

from mia import checks
from mia.checks import RequestError

Progress = Callable[[int, int], None]
"""How slow steps say how far they are: called with what is done and what there is to do (0: unknown)."""


@dataclass
class DataOptions:
    """What all data sets of this package have in common: a name, which chooses the loader."""

    name: str = ""

    def __post_init__(self) -> None:
        expected = next(str(item.default) for item in fields(self) if item.name == "name")
        if self.name != expected:
            raise RequestError(f"data.name={self.name!r} must stay {expected!r}; choose the data set with data=<name>")


@dataclass
class FileOptions(DataOptions):
    """A data set of one's own, which lies somewhere."""

    path: str = ""
    duplicates: str = "keep"  # records that are exact copies of an earlier one: "keep", or "drop"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.one_of("data.duplicates", self.duplicates, ["keep", "drop"])

    @property
    def where(self) -> str:
        """What messages about the data begin with."""
        return f"data.path={self.path!r}"


def need_path(path: str, what: str) -> None:
    """Check that a path was given, and can be one.

    Raises:
        RequestError: it is empty, or holds a NUL.
    """
    if not path.strip() or "\0" in path:
        raise RequestError(f"data.path={path!r} must name {what}")
