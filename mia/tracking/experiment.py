"""The MLflow experiment that runs are filed under: found by name, or made once.

Takes a client of a sound store; gives the experiment's id. MLflow's own `set_experiment` is not used: of two processes
that call it at once, one files its runs under `Default`.
"""

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
    if found is None and place is not None:
        with database.locked(place):
            found = calls(client.get_experiment_by_name, name)
            if found is None:
                return calls(client.create_experiment, name, place.artifacts.as_uri(), view.experiment_tags())
    elif found is None:
        try:
            return calls(client.create_experiment, name, tags=view.experiment_tags())
        except StorageError:
            found = calls(client.get_experiment_by_name, name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise RequestError(
            f"tracking.experiment={name!r} is deleted in {where}: choose another name, or restore it with "
            f"'mlflow experiments restore -x {found.experiment_id}'"
        )
    return found.experiment_id
