"""Where a store is and how to look at it, in the words that end a run, a sweep and an audit."""

import shlex

from mia.home import home


def place_of(where: str) -> str:
    """Return the store's place for a person: the folder of MIA_HOME's own, another's file or address."""
    return str(home()) if _is_own(where) else where


def browse_words(where: str) -> str:
    """Return how to browse a store.

    Args:
        where: As a tracker names it: the path of a database file, or an address without secrets.
    """
    if _is_own(where):
        return "browse it with: mia ui"
    if where.startswith(("http://", "https://")):
        return "browse it there"
    if "://" in where:  # another database, whose password a person must give
        return f"list it with: mia runs {_asking(where)}"
    return f"browse it with: mia ui {_asking(f'sqlite:///{where}')}"


def _is_own(where: str) -> bool:
    return where == str(home() / "mlflow.db")


def _asking(uri: str) -> str:
    return shlex.quote(f"tracking.uri={uri}")
