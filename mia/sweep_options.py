"""What can be set about the sweepers (`hydra/sweeper=NAME`, `hydra.sweeper.*`). Imports nothing heavy."""

from dataclasses import dataclass
from typing import Any


@dataclass
class GridOptions:
    """The grid: every combination of the values that are listed."""

    params: dict[str, Any] | None = None  # key -> values, as one would type them: 1,2,3


SWEEPERS: dict[str, type] = {"grid": GridOptions}
