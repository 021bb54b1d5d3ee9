"""Where runs and pools are kept: the `mlruns` folder.

Takes the environment; gives a path. Creates nothing.
"""

import os
from pathlib import Path


def home() -> Path:
    """Return the `mlruns` folder: $MIA_HOME, else the repository's for a checkout, else the current folder's."""
    chosen = os.environ.get("MIA_HOME")
    if chosen:
        return Path(chosen).expanduser().resolve()
    return (checkout() or Path.cwd()) / "mlruns"


def checkout() -> Path | None:
    """Return the repository that this package lies in, or None for an installed one."""
    parent = Path(__file__).resolve().parent.parent
    return parent if (parent / "pyproject.toml").is_file() and (parent / "conf").is_dir() else None
