"""`dry_run=true`: what a run or a sweep would do, and about how long that takes here. Leaves nothing in the store.

The estimate rests on finished runs of the same data set and model here: the seconds that a record took in training for
an epoch, and those of everything else in a run. Without such runs there is none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mia.checks import RequestError
from mia.cli.finding import as_value, seconds_taken, span_words
from mia.records import StoredRun
from mia.sweeper.check import Configuration, LastData
from mia.sweeper.lengths import alike, together
from mia.sweeper.total import Total

if TYPE_CHECKING:
    from mia.experiment.options import ExperimentOptions
    from mia.records import Dataset
    from mia.store import PoolStore

MOST_MEASURED = 5
"""Runs of a kind whose bytes are counted."""
UNSAID = ("+sweeps=", "dry_run=")
TRAINING, TRAINED = "time/train_seconds", "pool/models_trained"
Kind = tuple[str, str]  # data set and model


@dataclass(frozen=True)
class Work:
    """What one configuration needs."""

    configuration: Configuration
    done_as: str = ""  # the id of the run that is finished
    models: int = 0  # to be trained, and needed by none before it
    samples: float = 0.0  # records x epochs of all of them

    @property
    def kind(self) -> Kind:
        """What earlier runs must be like to tell how long it takes."""
        config = self.configuration.config
        return config.data.name, config.model.name


@dataclass(frozen=True)
class Pace:
    """How fast things went here."""

    per_sample: Mapping[Kind, float] = field(default_factory=dict)  # seconds of training per record and epoch
    rest: Mapping[Kind, float] = field(default_factory=dict)  # seconds of a run beside training

    def seconds(self, work: Work) -> float | None:
        """Return how long a configuration takes; None if nothing tells."""
        if work.done_as:
            return 0.0
        if work.kind not in self.rest or (work.models and work.kind not in self.per_sample):
            return None
        return work.samples * self.per_sample.get(work.kind, 0.0) + self.rest[work.kind]


def tell(
    configurations: Sequence[Configuration],
    home: Path,
    data: LastData,
    jobs: int = 1,
    search: Total | None = None,
    confirm: int = 0,
) -> int:
    """Print what would be done, and return the exit code.

    Args:
        configurations: What would run, each once.
        home: The folder of the store.
        data: Loads data sets.
        jobs: How many would run at once.
        search: How far a search is, which decides only then what runs; the configurations are those it begins with.
        confirm: How often a search runs again what is on its front.
    """
    runs = finished_runs(configurations, home)
    works = plan(configurations, runs, home / "pools", data)
    pace = pace_of([run for run in runs if run.status == "FINISHED"])
    disk = disk_of(works, runs, home)
    for line in lines(works, pace, jobs, search, disk, confirm):
        print(line)
    return 0


def disk_of(works: Sequence[Work], runs: Iterable[StoredRun], home: Path) -> float | None:
    """Return the bytes that new models and runs take, as the latest runs of their kind did here; None if none tells."""
    from mia.store import PoolStore

    store, per_run, per_model = PoolStore(home / "pools"), dict[Kind, list[float]](), dict[Kind, list[float]]()
    for run in runs:
        kind = run.params.get("data.name", ""), run.params.get("model.name", "")
        if len(of_runs := per_run.setdefault(kind, [])) < MOST_MEASURED:
            of_runs.append(sum(one.stat().st_size for one in (home / "artifacts" / run.id).rglob("*") if one.is_file()))
            for name in filter(None, run.tags.get("mia.pools", "").split(",")):
                if (store.folder / name).is_dir() and (found := store.describe(name))["models"]:
                    per_model.setdefault(kind, []).append(found["bytes"] / found["models"])
    todo = [work for work in works if not work.done_as]
    if not all(work.kind in per_run and work.kind in per_model for work in todo):
        return None
    return sum(median(per_run[work.kind]) + work.models * median(per_model[work.kind]) for work in todo)


def finished_runs(configurations: Sequence[Configuration], home: Path) -> list[StoredRun]:
    """Return the finished runs of the store, latest first; none where there is no store yet."""
    from mia.tracking import Reader

    options = configurations[0].config.tracking
    if options.uri is None and not (home / "mlflow.db").exists():
        return []
    try:
        return Reader.open(options, home).runs(kind="run", status="FINISHED")
    except RequestError:
        if options.uri is None:
            raise
        return []  # a file that is made at the first run


def plan(configurations: Iterable[Configuration], runs: Iterable[StoredRun], pools: Path, data: LastData) -> list[Work]:
    """Return what each configuration needs that is not there, and none before it trains."""
    from mia.store import PoolStore

    finished: dict[str, str] = {}
    for run in runs:
        finished.setdefault(run.tags.get("mia.fingerprint", ""), run.id)
    store, claimed = PoolStore(pools), set[tuple[str, int]]()
    works: dict[str, Work] = {}
    on_the_way: dict[str, set[int]] = {}  # rows that a longer training leaves for a shorter one
    listed = list(configurations)
    for one in together(listed):
        if one.fingerprint in finished and not one.config.rerun:
            works[one.fingerprint] = Work(one, done_as=finished[one.fingerprint])
            continue
        options = one.config.experiment()
        models = set(_missing(options, data.load(options.data), store, one.fingerprint)) - claimed
        rows = on_the_way.setdefault(alike(one), set())
        shared = {row for row in rows if not (options.shadow_train if row else options.train).depends_on_epochs()}
        models = {model for model in models if model[1] not in shared}
        rows |= {row for _, row in models}
        claimed |= models
        samples = float(len(models)) * options.split.size * options.train.epochs
        works[one.fingerprint] = Work(one, models=len(models), samples=samples)
    return [replace(works[one.fingerprint], configuration=one) for one in listed]


def _missing(options: "ExperimentOptions", data: "Dataset", store: "PoolStore", name: str) -> list[tuple[str, int]]:
    """Return the models that are not in their pools: the pool's fingerprint and the model's number.

    Shadows on the attacker's own records have a pool that is known only when these are made: they count as missing.
    """
    from mia.experiment.attacker import as_trained
    from mia.experiment.identity import pool_identity

    data = as_trained(options, data)
    target = store.pool(pool_identity(options, data, options.train))
    shadows = range(1, options.split.num_shadows + 1)
    found = [(target.fingerprint, row) for row in target.missing([0])]
    if options.shadow_data.name != "real":
        return found + [(f"own records of {name}", row) for row in shadows]
    pool = store.pool(pool_identity(options, data, options.shadow_train))
    return found + [(pool.fingerprint, row) for row in pool.missing(shadows)]


def pace_of(runs: Iterable[StoredRun]) -> Pace:
    """Return how fast finished runs went, by kind: medians."""
    per_sample: dict[Kind, list[float]] = {}
    rest: dict[Kind, list[float]] = {}
    for run in runs:
        kind = run.params.get("data.name", ""), run.params.get("model.name", "")
        training = run.metrics.get(TRAINING, 0.0)
        rest.setdefault(kind, []).append(seconds_taken(run) - training)
        size, epochs = (as_value(run.params.get(key, "")) for key in ("split.size", "train.epochs"))
        trained = run.metrics.get(TRAINED, 0.0)
        if trained and isinstance(size, int) and isinstance(epochs, int):
            per_sample.setdefault(kind, []).append(training / (trained * size * epochs))
    middle: Callable[[dict[Kind, list[float]]], dict[Kind, float]] = lambda found: {  # noqa: E731
        kind: median(values) for kind, values in found.items()
    }
    return Pace(middle(per_sample), middle(rest))


def lines(
    works: Sequence[Work],
    pace: Pace,
    jobs: int,
    search: Total | None = None,
    disk: float | None = None,
    confirm: int = 0,
) -> list[str]:
    """Return a line for each configuration, then what all of it comes to."""
    shared = shared_overrides([work.configuration.overrides for work in works])
    found = [f"all with {' '.join(shared)}"] if shared else []
    for number, work in enumerate(works, start=1):
        said = f"finished as run {work.done_as[:8]}" if work.done_as else f"{work.models} models to train"
        own = " ".join(one for one in work.configuration.overrides if one not in shared and not one.startswith(UNSAID))
        found.append(f"[{number}/{len(works)}] {own or ('nothing else' if shared else 'the defaults')}: {said}")
    todo = [work for work in works if not work.done_as]
    models = sum(work.models for work in works)
    done = len(works) - len(todo)
    share = 1.0
    if search:
        share = (search.whole - search.done) / len(works)
        is_begun = f", {search.done} of them done: the others are" if search.done else ""
        found.append(f"a search of {search.whole} trials{is_begun} like the {len(works)} above, chosen as it goes")
        found += [f"then {confirm} runs of each point of its front, not counted here"] if confirm else []
    else:
        found.append(f"{len(works)} configurations: {done} finished, {len(todo)} to run; {models} models to train")
    times = [pace.seconds(work) for work in todo]
    known = [one for one in times if one is not None]
    if not todo:
        return [*found, "nothing to do"]
    if disk is not None:
        found.append(f"about {disk * share / 1e6:,.1f} MB on disk, models and runs")
    if len(known) < len(times):
        return [*found, f"no estimate of the time: {'; '.join(_unknown(todo, pace))}"]
    beside = f", {jobs} at a time" if jobs > 1 else ""
    return [*found, f"about {span_words(sum(known) * share / jobs)}{beside}, as earlier runs of this kind went here"]


def shared_overrides(listed: Sequence[Sequence[str]]) -> list[str]:
    """Return the overrides that all of several configurations have, as they are typed, without the sweep file's."""
    if len(listed) < 2:
        return []
    everywhere = set.intersection(*map(set, listed))
    return [one for one in dict.fromkeys(listed[0]) if one in everywhere and not one.startswith(UNSAID)]


def _unknown(todo: Iterable[Work], pace: Pace) -> list[str]:
    """Return why nothing tells how long some configurations take, a phrase for each reason."""
    kinds = {work.kind for work in todo if pace.seconds(work) is None}
    never = sorted(f"{data} with {model}" for data, model in kinds - pace.rest.keys())
    reused = sorted(f"{data} with {model}" for data, model in kinds & pace.rest.keys())
    found = [f"no run of {', '.join(never)} is finished here"] if never else []
    if reused:
        found.append(f"the finished runs of {', '.join(reused)} here took their models from pools and trained none")
    return found
