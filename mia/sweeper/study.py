"""A study on disk: what was tried, what came of it, and what to try next. The only importer of Optuna.

Takes a space and objectives; gives trials by number. A trial that was begun and not told (its process was killed) is
pending, and comes first when the study is opened again; so a study ends with exactly its number of trials. Choices
made before are not made again while there are others. The sampler's seed depends on the root seed and on how many
trials there are: a study that was cut short goes on as it would have.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mia.checks import RequestError
from mia.seeds import stage_seed
from mia.sweeper.objectives import Objectives
from mia.sweeper.space import Axis, Choice, Names, Ordered, Space
from mia.tracking.database import Place

if TYPE_CHECKING:
    import optuna

AGAIN = "again"  # what an attempt at a trial is marked with that chose what had been chosen
EARLIER = "earlier"  # what a trial is marked with that a run from before the study is
PATIENCE = 50
"""Attempts to choose something new."""
FEWEST_TOLD = 10
"""Trials from which on the importance of keys is told."""
POPULATION = 10
"""Of NSGA-II: a generation must be much smaller than a study that a person can afford; of TPE: before it learns."""


@dataclass(frozen=True)
class Trial:
    """One trial: its number in the study, and what it chose."""

    number: int
    choices: Mapping[str, Choice]


@dataclass(frozen=True)
class Point:
    """A trial on the front."""

    choices: Mapping[str, Choice]
    values: tuple[float, ...]


class Study:
    """A search in progress."""

    def __init__(
        self, found: "optuna.Study", storage: Any, space: Space, sampler: str, seed: int, batch: int = 1
    ) -> None:
        self._study, self._storage, self._space = found, storage, space
        self._sampler, self._seed, self._batch = sampler, seed, batch

    @classmethod
    def open(
        cls, path: Path | None, space: Space, objectives: Objectives, sampler: str, seed: int, batch: int = 1
    ) -> "Study":
        """Open a study, or make it.

        Args:
            path: The file; None: in memory.
            space: What may be tried.
            objectives: What is sought.
            sampler: One of those that options know.
            seed: The root seed.
            batch: How many trials run at once.

        Raises:
            RequestError: Optuna is not installed.
        """
        optuna = load_optuna()
        storage = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with quiet():
                storage = optuna.storages.RDBStorage(Place(path, path.parent, is_ours=True).uri)
        directions = ["maximize"] * len(objectives.maximize) + ["minimize"] * len(objectives.minimize)
        with quiet():
            found = optuna.create_study(
                storage=storage, study_name="search", directions=directions, load_if_exists=True
            )
        study = cls(found, storage, space, sampler, seed, batch)
        study._drop_half_chosen()
        return study

    def _drop_half_chosen(self) -> None:
        """Give up what a killed process had not chosen to the end: it counts as no trial, and is chosen anew."""
        made: set[str] = set()
        for one in self._all():
            is_whole = self._space.active(one.params).keys() <= one.params.keys()
            key = self._key(self._trial(one)) if is_whole else ""
            if one.state == _state("RUNNING") and AGAIN not in one.user_attrs and (not key or key in made):
                self._storage.set_trial_user_attr(one._trial_id, AGAIN, value=True)
                with quiet():
                    self._study.tell(one.number, state=_state("FAIL"))
            elif AGAIN not in one.user_attrs:
                made.add(key)

    def close(self) -> None:
        """Let go of the file."""
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()

    def pending(self) -> list[Trial]:
        """Return the trials that were begun and never told."""
        return [self._trial(one) for one in self._all("RUNNING") if AGAIN not in one.user_attrs]

    def told(self) -> list[Trial]:
        """Return the trials that ended with values, or were pruned."""
        ended = [*self._all("COMPLETE"), *self._all("PRUNED")]
        return [self._trial(one) for one in ended if EARLIER not in one.user_attrs]

    def count(self) -> int:
        """Return how many trials there are, told or not; earlier runs and vain attempts are none."""
        return sum(1 for one in self._all() if AGAIN not in one.user_attrs and EARLIER not in one.user_attrs)

    def ended(self) -> int:
        """Return how many of them have ended."""
        return self.count() - len(self.pending())

    def ask(self) -> Trial | None:
        """Begin a trial; None if there is nothing that has not been tried."""
        made = {self._key(self._trial(one)) for one in self._all() if AGAIN not in one.user_attrs}
        for attempt in range(PATIENCE):
            with quiet():
                self._study.sampler = self._make_sampler(attempt)
                begun = self._study.ask(self._distributions(self._space.axes))
                for name, axis in self._space.active(begun.params).items():
                    if name not in begun.params:  # of the variant that was chosen
                        _suggest(begun, name, axis)
                if self._key(Trial(begun.number, begun.params)) not in made:
                    return Trial(begun.number, begun.params)
                begun.set_user_attr(AGAIN, value=True)
                self._study.tell(begun, state=_state("FAIL"))
        return None

    def tell(self, trial: Trial, values: Sequence[float] | None, *, is_pruned: bool = False) -> None:
        """Store what came of a trial: its values, or that it was pruned or failed."""
        with quiet():
            if values is not None:
                self._study.tell(trial.number, list(values))
            else:
                self._study.tell(trial.number, state=_state("PRUNED" if is_pruned else "FAIL"))

    def add_earlier(self, choices: Mapping[str, Choice], values: Sequence[float]) -> bool:
        """Tell of a run from before the study, unless these choices are known; it counts as no trial of its own."""
        optuna = load_optuna()
        key = self._key(Trial(0, choices))
        if key in {self._key(self._trial(one)) for one in self._all()}:
            return False
        with quiet():
            made = optuna.trial.create_trial(
                params=dict(choices),
                distributions=self._distributions(self._space.active(choices)),
                values=list(values),
                user_attrs={EARLIER: True},
            )
            self._study.add_trial(made)
        return True

    def front(self) -> list[Point]:
        """Return the trials that none is better than in everything, earlier runs among them, by their first value."""
        with quiet():
            best = self._study.best_trials
        points = {self._key(self._trial(one)): Point(one.params, tuple(one.values)) for one in best}
        return sorted(points.values(), key=lambda point: point.values)

    def importance(self, metrics: Sequence[str]) -> list[dict[str, str | float]]:
        """Return for each key the share of each metric's variance that follows from it (fANOVA: Hutter et al. 2014).

        Keys that all trials choose share the variance of all; a key of a variant shares, with those, the variance among
        the trials of its variant alone. A row without shares says `why` there are none; no row says so of everything.
        """
        everywhere = list(self._space.axes)
        groups = [("", everywhere, everywhere)]
        for (axis, value), own in self._space.branches.items():
            names = [f"{value}: {key}" for key in own]
            groups.append((value, names, [*(one for one in everywhere if one != axis), *names]))
        rows = [row for group in groups for row in self._shares(*group, metrics)]
        if not any(name in row for row in rows for name in metrics):
            return []
        plain = () if self._space.branches else ("trials", "why")
        return [{key: value for key, value in row.items() if key not in plain} for row in rows]

    def _shares(
        self, variant: str, shown: Sequence[str], names: Sequence[str], metrics: Sequence[str]
    ) -> list[dict[str, str | float]]:
        """Return a row for each name that is shown, with its share among those named."""
        ended = [one for one in self._all("COMPLETE") if one.values and set(names) <= one.params.keys()]
        why = f"of {FEWEST_TOLD} trials that it takes" if len(ended) < FEWEST_TOLD else ""
        why = why or (f"the only key {f'of {variant}' if variant else 'of all trials'}" if len(names) < 2 else "")
        shares: dict[str, dict[str, float]] = {}
        for place, name in enumerate(metrics):
            if not why and len({one.values[place] for one in ended}) > 1:
                importance = load_optuna().importance
                with quiet():
                    shares[name] = importance.get_param_importances(
                        self._study,
                        evaluator=importance.FanovaImportanceEvaluator(seed=stage_seed(self._seed, "importance")),
                        params=list(names),
                        target=lambda trial, place=place: trial.values[place],
                    )
        return [
            {
                "key": one.lstrip("+"),
                "trials": str(len(ended)),
                **{name: share.get(one, 0.0) for name, share in shares.items()},
                "why": why,
            }
            for one in shown
        ]

    def _all(self, state: str = "") -> list[Any]:
        states = (_state(state),) if state else None
        with quiet():
            return self._study.get_trials(deepcopy=False, states=states)

    def _trial(self, found: Any) -> Trial:
        return Trial(found.number, found.params)

    def _key(self, trial: Trial) -> str:
        return json.dumps(self._space.spelt(trial.choices))

    def _distributions(self, axes: Mapping[str, Axis]) -> dict[str, Any]:
        return {key: _distribution(axis) for key, axis in axes.items()}

    def _make_sampler(self, attempt: int) -> Any:
        """Return the sampler for the next trial.

        Attempts to choose something new are made with seeds of their own, later ones at random. The tree of Parzen
        estimators begins with Sobol's sequence, which finds more of a front than points that are drawn blindly.
        """
        optuna = load_optuna()
        samplers = optuna.samplers
        seed = stage_seed(self._seed, "search", len(self._all()))
        told = len(self._all("COMPLETE")) + len(self._all("PRUNED"))
        if self._sampler == "qmc" or (self._sampler == "tpe" and told < POPULATION and attempt <= PATIENCE // 2):
            return samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=stage_seed(self._seed, "search"))
        if attempt > PATIENCE // 2:
            return samplers.RandomSampler(seed=seed)
        if self._sampler == "nsga2":
            return samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
        return samplers.TPESampler(
            multivariate=True,
            group=bool(self._space.branches),
            n_startup_trials=POPULATION,
            constant_liar=self._batch > 1,
            seed=seed,
        )


def load_optuna() -> Any:
    """Return the package.

    Raises:
        RequestError: it is not installed.
    """
    try:
        with quiet():
            import optuna
    except ImportError as error:
        raise RequestError("hydra/sweeper=optuna needs Optuna: pip install '.[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna's remarks on what is experimental, and SQLAlchemy's, not reach people."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _distribution(axis: Axis) -> Any:
    distributions = load_optuna().distributions
    if isinstance(axis, Names):
        return distributions.CategoricalDistribution(list(axis.values))
    if isinstance(axis, Ordered):
        return distributions.IntDistribution(0, len(axis.values) - 1)
    if axis.is_integer:
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.is_log)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.is_log)


def _suggest(begun: Any, name: str, axis: Axis) -> None:
    """Let the sampler choose on an axis that counts only beside what was chosen already."""
    found = _distribution(axis)
    if isinstance(axis, Names):
        begun.suggest_categorical(name, found.choices)
    elif isinstance(axis, Ordered) or axis.is_integer:
        begun.suggest_int(name, found.low, found.high, log=found.log)
    else:
        begun.suggest_float(name, found.low, found.high, log=found.log)


def _state(name: str) -> Any:
    return load_optuna().trial.TrialState[name]
