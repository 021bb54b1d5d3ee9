"""The MLflow experiment that runs are filed under: found by name, or made once.

Takes a client of a sound store; gives the experiment's id. MLflow's own `set_experiment` is not used: of two processes
that call it at once, one files its runs under `Default`.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from mia.checks import RequestError
from mia.files import StorageError
from mia.tracking import database, view
from mia.tracking.calls import Calls

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient


def get_or_create(client: "MlflowClient", where: str, name: str, place: database.Place | None) -> str:
    """Return the experiment's id, making it if need be; processes that start together agree on one.

    Raises:
        RequestError: the experiment has been deleted.
        StorageError: the store refused.
    """
    calls = Calls(where)
    found = calls(client.get_experiment_by_name, name)
    if found is None and place is None:
        return _create_on_server(client, calls, name)
    if found is None and place is not None:
        with database.locked(place):
            found = calls(client.get_experiment_by_name, name)
            if found is None:
                return _create(client, calls, name, place.artifacts.as_uri())
    assert found is not None
    if found.lifecycle_stage == "deleted":
        raise RequestError(
            f"tracking.experiment={name!r} is deleted in {where}: choose another name, or restore it with "
            f"'mlflow experiments restore -x {found.experiment_id}'"
        )
    return found.experiment_id


def store_view(client: "MlflowClient", calls: Calls, experiment_id: str, tag: str, value: str) -> bool:
    """Store a view for the UI, and tell whether that worked: a view is a convenience, and never a reason to fail."""
    with suppress(StorageError):
        calls(client.set_experiment_tag, experiment_id, tag, value)
        return True
    return False


def _create(client: "MlflowClient", calls: Calls, name: str, artifacts: str | None) -> str:
    experiment_id = calls(client.create_experiment, name, artifacts, view.experiment_tags())
    store_view(client, calls, experiment_id, *view.saved_view("All runs", view.AXES, view.LEAKAGE))
    return experiment_id


def _create_on_server(client: "MlflowClient", calls: Calls, name: str) -> str:
    try:
        return _create(client, calls, name, None)
    except StorageError:
        found = calls(client.get_experiment_by_name, name)  # another process may have been faster
        if found is None:
            raise
        return found.experiment_id
