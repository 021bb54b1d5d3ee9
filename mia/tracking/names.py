"""What MLflow accepts: names, lengths, numbers.

Takes anything; gives what can be stored, cut or replaced where MLflow would refuse it. Contacts nothing.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from mia.checks import RequestError
from mia.tracking.address import without_secrets

MAX_NAME, MAX_PARAM, MAX_TAG = 250, 6000, 8000
PARAMS_PER_BATCH, METRICS_PER_BATCH = 100, 800  # MLflow takes 1000 of all kinds at once
MAX_SCORE = 180  # letters of an attack's name: its metrics' names go on behind it
LARGEST = 1.7976931348623157e308  # what MLflow stores for infinity

Item = TypeVar("Item")


def clean_name(name: str) -> str:
    """Return a name that MLflow accepts for a param, a metric or a tag: other characters become underscores."""
    allowed = re.sub(r"[^A-Za-z0-9_\-. :/]", "_", name)
    parts = [part if part.strip(".") else "_" * len(part) for part in allowed.split("/") if part]
    return "/".join(parts)[:MAX_NAME].rstrip("/") or "_"


def check_apart(names: Iterable[str]) -> None:
    """Refuse names of scores whose metrics would overwrite one another in MLflow, or lose their endings there.

    Raises:
        RequestError: a name is too long, or two become one.
    """
    known: dict[str, str] = {}
    ways_out = "or audit with tracking.enabled=false"
    for name in names:
        if len(name) > MAX_SCORE:
            raise RequestError(
                f"the score {cut(name, 80)!r} must have a name of at most {MAX_SCORE} letters, or MLflow cannot hold "
                f"its metrics: give it a shorter one, {ways_out}"
            )
        stored = clean_name(f"attack/{name}/auc").split("/")[1]
        if (other := known.setdefault(stored, name)) != name:
            raise RequestError(
                f"the scores {other!r} and {name!r} would both be {stored!r} in MLflow, which takes A-Z, a-z, 0-9, "
                f"spaces and _ - . alone: rename one, {ways_out}"
            )


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text, which says so at its end when some are missing."""
    if len(text) <= limit:
        return text
    note = f" ... ({len(text)} characters)"
    return text[: limit - len(note)] + note


def cut_lines(text: str, limit: int, note: str) -> str:
    """Return as many whole lines as `limit` characters hold, and `note` on a line of its own if some are missing."""
    if len(text) <= limit:
        return text
    return text[: limit - len(note) - 2].rpartition("\n")[0] + "\n\n" + note


def as_params(params: Mapping[str, object]) -> dict[str, str]:
    """Return params as MLflow stores them, without the secrets of addresses."""
    return {clean_name(name): cut(without_secrets(str(value)), MAX_PARAM) for name, value in params.items()}


def as_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """Return tags as MLflow stores them, without the secrets of addresses."""
    return {clean_name(name): cut(without_secrets(str(value)), MAX_TAG) for name, value in tags.items()}


def from_stored(value: float) -> float:
    """Return a metric as it was logged: MLflow stores infinity as the largest number."""
    return math.copysign(math.inf, value) if abs(value) >= LARGEST else value


def batches(items: Iterable[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield the items in lists of at most `size`."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
