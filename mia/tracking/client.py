"""MLflow's client, and the experiment that runs are filed under: found by name, or made once.

Takes the address of a store that is known to be sound; gives a client and an experiment's id. MLflow's own
`set_experiment` is not used: of two processes that call it at once, one files its runs under `Default`.
"""

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from mia.checks import RequestError
from mia.files import StorageError
from mia.tracking import database, ui_views
from mia.tracking.mlflow_errors import Calls, quiet_mlflow

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.tracking.client import MlflowClient

STORE = "mia.store"  # a tag of an experiment: its own id, by which pools name who uses them


def connect(uri: str, where: str, patience: float = 0.0) -> "MlflowClient":
    """Return MLflow's client for a store; the first call imports MLflow.

    Raises:
        StorageError: the store refused.
    """
    quiet_mlflow()
    from mlflow.tracking.client import MlflowClient

    return Calls(where, patience)(MlflowClient, tracking_uri=uri)


def get_or_create(
    client: "MlflowClient", where: str, name: str, place: database.Place | None, patience: float = 0.0
) -> str:
    """Return the experiment's id, making it if need be; processes that start together agree on one.

    Raises:
        RequestError: the experiment has been deleted.
        StorageError: the store refused.
    """
    calls = Calls(where, patience)
    if place is not None:
        with database.locked(place):
            return _get(client, calls, name) or _create(client, calls, name, place.artifacts.as_uri())
    if found := _get(client, calls, name):
        return found
    try:
        return _create(client, calls, name, None)
    except StorageError:
        found = _get(client, calls, name)  # another process may have been faster
        if not found:
            raise
        return found


def store_view(client: "MlflowClient", calls: Calls, experiment_id: str, tag: str, value: str) -> bool:
    """Store a view for the UI, and tell whether that worked: a view is a convenience, and never a reason to fail."""
    with suppress(StorageError):
        calls(client.set_experiment_tag, experiment_id, tag, value)
        return True
    return False


def needed_tags() -> dict[str, str]:
    """Return the tags that an experiment of ours must have."""
    return {**ui_views.experiment_tags(), STORE: uuid.uuid4().hex}


def _get(client: "MlflowClient", calls: Calls, name: str) -> str:
    """Return an experiment's id, with the tags it needs; empty if there is none."""
    found: Experiment | None = calls(client.get_experiment_by_name, name)
    if found is None:
        return ""
    if found.lifecycle_stage == "deleted":
        raise RequestError(
            f"tracking.experiment={name!r} is deleted in {calls.where}: choose another name, or restore it with "
            f"'mlflow experiments restore -x {found.experiment_id}'"
        )
    for tag, value in needed_tags().items():
        if tag not in found.tags:
            calls(client.set_experiment_tag, found.experiment_id, tag, value)
    return found.experiment_id


def _create(client: "MlflowClient", calls: Calls, name: str, artifacts: str | None) -> str:
    experiment_id = calls(client.create_experiment, name, artifacts, needed_tags())
    store_view(client, calls, experiment_id, *ui_views.saved_view("All runs", ui_views.AXES, ui_views.LEAKAGE))
    return experiment_id
