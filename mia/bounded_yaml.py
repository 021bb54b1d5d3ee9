"""YAML that others wrote, as plain data: nothing in it can name code, read the environment, or grow beyond bounds.

Takes a text; gives plain values, or refuses in one line that names the place.
"""

from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mia.checks import RequestError

MOST_NODES, DEEPEST = 50_000, 10
"""Values that a text may hold, and levels: no bomb."""
FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_bounded(text: str) -> Any:
    """Return the content of a YAML text as plain values, read as Hydra reads it.

    Raises:
        RequestError: it is no YAML; or it has anchors, aliases, tags or interpolations, or is too large or too deep.
    """
    try:
        refuse_tricks(text)
        return OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"cannot be read as YAML: {' '.join(str(error).split())}") from error


def refuse_tricks(text: str) -> None:
    """Refuse a YAML text that is more than data, or too much of it.

    Raises:
        RequestError: it has anchors, aliases, tags or interpolations, or is too large or too deep.
        YAMLError: it is no YAML.
    """
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=FAST)):
        line = f"line {event.start_mark.line + 1}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if count > MOST_NODES or depth > DEEPEST:
            raise RequestError(f"{line}: a sweep file has at most {MOST_NODES} values, {DEEPEST} deep")
        if getattr(event, "anchor", None):  # of an alias, too
            raise RequestError(f"{line}: anchors and aliases are not read; write the value out")
        if getattr(event, "tag", None):
            raise RequestError(f"{line}: the tag {event.tag} is not read; a sweep file holds plain values")
        if "${" in (getattr(event, "value", None) or ""):
            raise RequestError(f"{line}: {event.value} is not read, nothing with ${{...}} is; write the value out")
