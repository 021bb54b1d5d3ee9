"""A run of the Python face in the store of runs, as the command leaves one: opened first, failed with its traceback.

Takes an experiment's options and data; gives the open run. Runs nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mia.experiment.identity import run_identity
from mia.experiment.options import ExperimentOptions
from mia.fingerprint import fingerprint, plain
from mia.home import home
from mia.records import Dataset

if TYPE_CHECKING:
    from mia.tracking.run import Run


@contextmanager
def tracked_run(options: ExperimentOptions, data: Dataset, name: str = "") -> Iterator["Run"]:
    """Yield a new run, closed with the status that fits how the block ends.

    Args:
        options: What is run.
        data: The data set.
        name: Of somebody's own training; empty: ours.
    """
    from mia.config import yaml_of
    from mia.tracking import Tracker, TrackingOptions

    config = as_config(options)
    own = {"own_training": name} if name else {}
    what = [data.name, name or options.model.name, f"n={options.split.size}"]
    tags = {
        "mia.data_fingerprint": data.fingerprint,
        "mia.data": f"{data.name}: {len(data.x)} records, {data.num_classes} classes",
        **({"mia.own_training": name} if name else {}),
    }
    identity = fingerprint(run_identity(options, data) | own)
    params = dict(flat_values(config))
    tracker = Tracker.open(TrackingOptions(), home())
    with tracker.run(name=" ".join(what), fingerprint=identity, params=params, tags=tags) as run:
        run.log_text(yaml_of(config), "config.yaml")
        yield run


def as_config(options: ExperimentOptions) -> dict[str, Any]:
    """Return options as the config that they would be composed from."""
    config = {one.name: plain(getattr(options, one.name)) for one in fields(options)}
    attack = options.attack
    chosen = {name: plain(one) for name, one in attack.chosen.items()}
    return config | {"attack": {"prior": attack.prior, "growth": attack.growth, **chosen}}


def flat_values(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value under its dotted key; lists are joined with commas, nothings left out."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            if not value:
                yield f"{prefix}{key}", True
            yield from flat_values(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ",".join(map(str, value))
        elif value is not None:
            yield f"{prefix}{key}", value
