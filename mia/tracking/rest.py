"""Pages of runs from an MLflow server as plain JSON, and files of runs in one request each.

Takes MLflow's client and what it would be asked; gives dictionaries and paths. MLflow's client makes an object of every
number of a run, which takes longer than all that the server does, and asks three times before it fetches a file. What
is asked of the server is its public REST interface; the connection, with its retries and credentials, is MLflow's own.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient

SEARCH = "/api/2.0/mlflow/runs/search"


def speaks_rest(client: "MlflowClient") -> bool:
    """Tell whether a client's store is a server, and not a database."""
    return client.tracking_uri.startswith(("http://", "https://"))


def search_page(
    client: "MlflowClient", experiments: Sequence[str], condition: str, most: int, token: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the runs of a page as the server describes them, latest first, and the token of the next page.

    Raises:
        MlflowException: the server refused, or is away.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    asked = {"experiment_ids": list(experiments), "filter": condition, "max_results": most,
             "order_by": ["attributes.start_time DESC"], "run_view_type": "ACTIVE_ONLY"}  # fmt: skip
    asked |= {"page_token": token} if token else {}
    answer = http_request(get_default_host_creds(client.tracking_uri), SEARCH, "POST", json=asked)
    found: dict[str, Any] = verify_rest_response(answer, SEARCH).json()
    return found.get("runs", []), found.get("next_page_token") or None


def pairs(run: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Any]]:
    """Yield names and values of a run's params, metrics or tags; numbers that JSON lacks come as words."""
    for one in run.get("data", {}).get(kind, ()):
        yield one["key"], one.get("value", "")


def fetch_file(client: "MlflowClient", uri: str, path: str) -> Path | None:
    """Return a file of the run whose artifacts are at an address, fetched to a temporary folder; None if it has none.

    Raises:
        MlflowException: the server refused, or is away.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from requests import HTTPError

    folder = Path(tempfile.mkdtemp(prefix="mia-"))
    target = folder / Path(path).name
    try:
        get_artifact_repository(uri, tracking_uri=client.tracking_uri)._download_file(path, str(target))
    except (HTTPError, MlflowException, OSError) as error:
        target.unlink(missing_ok=True)
        folder.rmdir()
        if _is_missing(error):
            return None
        raise
    return target


def _is_missing(error: BaseException) -> bool:
    """Tell whether a server, or a store behind it, has said that there is no such file."""
    answer = getattr(error, "response", None)
    code = getattr(answer, "status_code", None) or getattr(error, "get_http_status_code", lambda: 0)()
    return code == 404 or isinstance(error, FileNotFoundError)
