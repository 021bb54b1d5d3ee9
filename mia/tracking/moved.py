"""A store that was moved or copied: MLflow keeps absolute addresses of files, which would then lead nowhere.

Takes a place; rewrites the addresses that begin with the folder's old name, in one transaction, or reads them as if
that were done. Touches no file of a run.

Two ways without SQL were tried. A relative location is made absolute by MLflow when the experiment is created.
`mlflow-artifacts:` locations follow every move, but only a server resolves them: MLflow's own client on this file, as
in anybody's notebook, then refuses to list or read a single artifact.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mia.checks import RequestError
from mia.tracking.database import Place, connection_to, locked

LOCATIONS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"))


def follow_move(place: Place) -> Path | None:
    """Make the store's paths lead to its own folder of artifacts; return the old folder if they did not.

    Raises:
        RequestError: the store could not be changed; it is then as it was.
    """
    if moved_from(place) is None:
        return None
    with locked(place):
        old = moved_from(place)  # another process may have been faster
        if old is None:
            return None
        try:
            _rewrite(place, old)
        except sqlite3.Error as error:
            raise RequestError(
                f"{place.database} was moved from {local_path(old)} and its paths could not be changed ({error}): "
                "end other programs that use it and repeat the command"
            ) from error
        return local_path(old)


def local_path(uri: str, place: Place | None = None, old: str | None = None) -> Path | None:
    """Return the path that an artifact address stands for, or None for one that is not on this machine.

    Args:
        uri: the address.
        place: the local store that holds it.
        old: what `moved_from` says of a store whose addresses cannot be changed.
    """
    if place is not None and old is not None and uri.startswith(f"{old}/"):
        return place.artifacts / url2pathname(uri[len(old) + 1 :])
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme else Path(uri)


def moved_from(place: Place) -> str | None:
    """Return the address of the old folder of artifacts; None if the store was not moved, or is not in mlruns/."""
    if not place.is_ours:
        return None
    with closing(connection_to(place)) as connection:
        row = connection.execute("SELECT artifact_location FROM experiments WHERE experiment_id = 0").fetchone()
    root = str(row[0]).removesuffix("/0") if row else ""
    old = local_path(root)
    if root == place.artifacts.as_uri() or old is None or old.name != "artifacts":
        return None
    if old.exists() and (not place.artifacts.exists() or old.samefile(place.artifacts)):
        return None  # the same folder under another name, or a copy of the file alone: the paths still lead there
    return root


def _rewrite(place: Place, old: str) -> None:
    new = place.artifacts.as_uri()
    with closing(connection_to(place)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, column in LOCATIONS:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?)"  # noqa: S608 - names from LOCATIONS
                f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
        connection.execute("COMMIT")
