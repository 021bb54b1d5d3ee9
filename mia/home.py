"""Where runs and pools are kept: the `mlruns` folder.

Takes the environment; gives a path. Creates nothing.
"""

import os
import unicodedata
from pathlib import Path

from mia.checks import RequestError


def home() -> Path:
    """Return the `mlruns` folder: $MIA_HOME, else the repository's for a checkout, else the current folder's.

    Raises:
        RequestError: $MIA_HOME cannot be the name of a folder.
    """
    chosen = os.environ.get("MIA_HOME")
    folder = _chosen(chosen) if chosen else (checkout() or Path.cwd()) / "mlruns"
    # line breaks would tear our messages and MLflow's settings apart; bytes that are no UTF-8 are in no address
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in str(folder)):
        raise RequestError(f"MIA_HOME={str(folder)!r} holds line breaks, control characters or broken text: rename it")
    return folder


def checkout() -> Path | None:
    """Return the repository that this package lies in, or None for an installed one."""
    parent = Path(__file__).resolve().parent.parent
    return parent if (parent / "pyproject.toml").is_file() and (parent / "conf").is_dir() else None


def _chosen(name: str) -> Path:
    try:
        return Path(name).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # an unknown user, a link to itself
        raise RequestError(f"MIA_HOME={name!r} is not the name of a folder: {error}") from error
