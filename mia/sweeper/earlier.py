"""Finished runs that might have been a search's trials. Takes the store; gives what each chose and what came of it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mia.checks import RequestError
from mia.records import StoredRun
from mia.sweeper.check import Composer, Configuration, LastData, check_all
from mia.sweeper.objectives import Objectives
from mia.sweeper.space import Choice, Space
from mia.sweeper.study import Trial

if TYPE_CHECKING:
    from mia.tracking.reading import Reader


@dataclass(frozen=True)
class Earlier:
    """A finished run that is what a trial would be."""

    run: StoredRun
    choices: Mapping[str, Choice]
    values: list[float]
    configuration: Configuration


def earlier_runs(
    reader: "Reader",
    objectives: Objectives,
    space: Space,
    composer: Composer,
    spell: Callable[[Space, Trial], list[str]],
    data: LastData,
    known: Collection[str],
) -> Iterator[Earlier]:
    """Yield the finished runs that lie in a space and have what is sought, each configuration once.

    Args:
        reader: The store.
        objectives: What is sought.
        space: What may be tried; a run is in it if some choices give its very fingerprint.
        composer: Composes configurations.
        spell: Returns the overrides of a trial.
        data: Loads data sets.
        known: Fingerprints of the search's own runs, which are left out.
    """
    seen = set(known)
    for run in reader.runs(kind="run", status="FINISHED"):
        name, values = run.tags.get("mia.fingerprint", ""), objectives.values(run.metrics)
        if not name or name in seen or values is None:
            continue
        seen.add(name)
        for choices in space.candidates(run.params):
            try:
                (same,) = check_all([spell(space, Trial(0, choices))], composer, data)
            except RequestError:
                continue
            if same.fingerprint == name:
                yield Earlier(run, choices, values, same)
                break
