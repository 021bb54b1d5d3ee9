"""What an attack may see: the models' answers on the records in play, behind the output defences.

Takes an experiment's records and models, a split and the options; gives a task for each target: `Signals`, with the
target's true membership apart. Trains nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from mia.attacks.design import find_partners
from mia.defences import make_defence, needs_fit, setting
from mia.defences.answers import Defence
from mia.experiment.asked import AskedModels
from mia.experiment.epochs import read_trace
from mia.experiment.observer import Observe, Step, ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.pools import Ensemble, Materials
from mia.models import tells_insides
from mia.probabilities import softmax
from mia.records import IN, OUT, AttackTask, Dataset, LastLayer, Signals, Split
from mia.seeds import stage_generator, stage_seed

MOST_POPULATION = 10_000


class DefendedAnswers:
    """The models' answers on chosen records, each through the output defence that stands before it."""

    def __init__(
        self, options: ExperimentOptions, data: Dataset, split: Split, ensemble: Ensemble, num_real: int
    ) -> None:
        """Load nothing yet.

        Args:
            options: The experiment's.
            data: All records; the attacker's own ones, if there are any, are the last.
            split: Over all records.
            ensemble: The models.
            num_real: Records of the data set proper.
        """
        self.options, self.split, self.num_real = options, split, num_real
        self.data, self.models = data, AskedModels(options, data, ensemble, num_real)
        self._made: dict[int, Defence] = {}

    def answers(self, row: int, *records: Int[np.ndarray, "_"]) -> list[tuple[Float[np.ndarray, "_ C"], bool]]:
        """Return what model `row` says about each of several sets of records, and whether that is probabilities."""
        fit_on = self._fit_on(row)
        logits = self.models.logits(row, *records, *fit_on)
        defence = self._defence(row, logits[len(records) :])
        return [defence(found) for found in logits[: len(records)]]

    def ask(self, row: int, x: Shaped[np.ndarray, "B *features"]) -> tuple[Float[np.ndarray, "B C"], bool]:
        """Return what model `row` says about features that need not be in the data set."""
        return self._defence(row, self.models.logits(row, *self._fit_on(row)))(self.models.ask(row, x))

    def _options(self, row: int) -> Any:
        return self.options.defence if row == 0 else self.options.shadow_defence

    def _fit_on(self, row: int) -> list[Int[np.ndarray, "_"]]:
        """Return the records that the defence before model `row` is still to be fitted on: members and others."""
        if row in self._made or not needs_fit(self._options(row)):
            return []
        return [self.split.members_of(row), self._known_nonmembers(row)]

    def _defence(self, row: int, fit_on: Sequence[Float[np.ndarray, "_ C"]]) -> Defence:
        """Return the defence before model `row`, made once, from the logits on the records of `_fit_on`."""
        options = self._options(row)
        if setting(options) is None:
            return _unchanged
        if row not in self._made:
            known = (fit_on[0], fit_on[1]) if fit_on else None
            self._made[row] = make_defence(options, seed=stage_seed(self.options.seed, "defence", row), fit_on=known)
        return self._made[row]

    def _known_nonmembers(self, row: int) -> Int[np.ndarray, "n"]:
        """Records that model `row` never saw and is not judged on; if there are none, its own test records."""
        own = np.concatenate([self.split.members_of(row), self.split.nonmembers[row], self.split.judged(row)])
        others = np.setdiff1d(self._records_of_owner(row), own)
        generator = stage_generator(self.options.seed, "defence/nonmembers", row)
        return generator.permutation(others)[: self.options.split.size] if len(others) else self.split.nonmembers[row]

    def _records_of_owner(self, row: int) -> Int[np.ndarray, "n"]:
        """Records that the owner of model `row` may have: an attacker with own records has those alone."""
        everything = np.arange(self.split.num_records)
        if self.num_real == self.split.num_records:
            return everything
        return everything[self.num_real :] if row else everything[: self.num_real]


@dataclass(frozen=True)
class PoolOracle:
    """Further queries to the models of one task: model 0 is its target."""

    answers: DefendedAnswers
    order: Sequence[int]  # rows of the ensemble
    index: Int[np.ndarray, "N"]  # the signals' records, as positions in the data set
    candidates: Int[np.ndarray, "Q"]
    is_probability: bool  # of the task's signals

    def features(self, records: Int[np.ndarray, "B"] | None = None) -> Shaped[np.ndarray, "B *features"]:
        """Return the features of records, given as positions along the signals' record axis; of the candidates."""
        return self.answers.data.x[self.candidates if records is None else self.index[records]]

    def ask(self, model: int, x: Shaped[np.ndarray, "B *features"]) -> Float[np.ndarray, "B C"]:
        """Return a model's answers to records `x`, in the form of the task's signals."""
        return _in_form(*self.answers.ask(self.order[model], x), wanted=self.is_probability)


@dataclass(frozen=True)
class PoolFeatures:
    """The records of one task, fetched when asked for."""

    x: Shaped[np.ndarray, "D *features"]  # of the data set
    index: Int[np.ndarray, "N"]  # the signals' records, as positions in the data set
    population: Int[np.ndarray, "Z"]

    def of_records(self, records: Int[np.ndarray, "B"]) -> Shaped[np.ndarray, "B *features"]:
        """See `mia.records.Features`."""
        return self.x[self.index[records]]

    def of_population(self) -> Shaped[np.ndarray, "Z *features"]:
        """See `mia.records.Features`."""
        return self.x[self.population]


@dataclass(frozen=True)
class PoolModels:
    """The models of one task, to be looked into: model 0 is its target."""

    options: ExperimentOptions
    data: Dataset
    ensemble: Ensemble
    order: Sequence[int]  # rows of the ensemble

    def gradient_norms(
        self, model: int, x: Shaped[np.ndarray, "B *features"], labels: Int[np.ndarray, "B"]
    ) -> Float[np.ndarray, "B"]:
        """See `mia.records.Models`."""
        from mia.train.insides import gradient_norms

        data = self.data
        return gradient_norms(self.options.model, self._parameters(model), x, labels, data.scale, data.num_classes)

    def last_layer(self, model: int, x: Shaped[np.ndarray, "B *features"]) -> LastLayer:
        """See `mia.records.Models`."""
        from mia.train.insides import last_layer

        return last_layer(self.options.model, self._parameters(model), x, self.data.scale, self.data.num_classes)

    def _parameters(self, model: int) -> Mapping[str, np.ndarray]:
        row = self.order[model]
        return self.ensemble.rows[row].parameters(row)


def make_tasks(
    options: ExperimentOptions,
    materials: Materials,
    split: Split,
    *,
    can_ask: bool = True,
    observe: Observe = ignore,
) -> list[AttackTask]:
    """Return one task per target (`split.num_targets`): all other models but its complement are its shadows.

    With `can_ask`, models can be asked further questions, and be looked into.
    """
    data = materials.data
    can_look = can_ask and tells_insides(options.model)
    index = np.unique([split.judged(row) for row in range(split.num_models)])
    outside = _population(options, split, index)
    answers = DefendedAnswers(options, data, split, materials.ensemble, materials.num_real)
    asked = [index, outside] if len(outside) else [index]
    given = []
    for row in range(split.num_models):
        observe(Step(f"signals: model {row + 1} of {split.num_models}", row, split.num_models))
        given.append(answers.answers(row, *asked))
    is_probability = any(kind for of_row in given for _, kind in of_row)
    outputs, *population = (
        np.stack([_in_form(*one, wanted=is_probability) for one in of_part]) for of_part in zip(*given, strict=True)
    )
    membership = np.full((split.num_models, split.num_records), OUT, np.int8)
    own = np.zeros((split.num_models, split.num_records), bool)
    for row in range(split.num_models):
        membership[row, split.members_of(row)] = IN
        own[row, split.judged(row)] = True
    membership, own = membership[:, index], own[:, index]

    tasks = []
    tells_all = find_partners(membership)  # models whose membership gives another's away
    for target in range(options.split.num_targets):
        has_seen = (membership[:, own[target]] == IN).any(axis=1)  # one that saw no candidate tells nothing of them
        gives_away = tells_all[target] & has_seen
        shadows = [row for row in range(split.num_models) if row != target and not gives_away[row]]
        candidates, order = index[own[target]], [target, *shadows]
        signals = Signals(
            labels=data.y[index],
            is_candidate=own[target],
            target_outputs=outputs[target],
            shadow_outputs=outputs[1:] if shadows == list(range(1, split.num_models)) else outputs[shadows],
            shadow_membership=membership[shadows],
            shadow_own=own[shadows],
            is_probability=is_probability,
            population_outputs=population[0][[*shadows, target]] if population else None,
            population_labels=data.y[outside] if population else None,
            oracle=PoolOracle(answers, order, index, candidates, is_probability) if can_ask else None,
            features=PoolFeatures(data.x, index, outside),
            models=PoolModels(options, data, materials.ensemble, order) if can_look else None,
        )
        if options.train.trace and can_ask:
            trace = read_trace(materials.ensemble.rows[target], target)
            signals = replace(signals, trace=None if trace is None else trace[:, candidates])
        is_member = membership[target][own[target]] == IN
        tasks.append(AttackTask(signals, candidates, is_member, target, is_independent=split.canaries is not None))
    return tasks


def utility_of_canary_models(
    options: ExperimentOptions, materials: Materials, split: Split
) -> Float[np.ndarray, "M 2"]:
    """Return each model's accuracy on its training records that are no canaries, and on those kept for testing."""
    answers = DefendedAnswers(options, materials.data, split, materials.ensemble, materials.num_real)
    return np.array([accuracy_beside_canaries(answers, row) for row in range(split.num_models)])


def accuracy_beside_canaries(answers: DefendedAnswers, row: int) -> tuple[float, float]:
    """Return the accuracy of model `row` on its training records that are no canaries, and on those kept for testing.

    Canaries say nothing of a model's use: there are few, and their labels may be wrong. Where all are canaries, those.
    """
    split = answers.split
    members = split.members_of(row)
    ordinary = np.setdiff1d(members, split.judged(row))
    trained_on = ordinary if len(ordinary) else members
    return _accuracy(answers, row, trained_on), _accuracy(answers, row, split.nonmembers[row])


def _accuracy(answers: DefendedAnswers, row: int, records: Int[np.ndarray, "_"]) -> float:
    ((outputs, _),) = answers.answers(row, records)
    return float((outputs.argmax(axis=1) == answers.data.y[records]).mean())


def _population(options: ExperimentOptions, split: Split, index: Int[np.ndarray, "R"]) -> Int[np.ndarray, "Z"]:
    """Records that no model of a pool ever sees; under `disjoint` other models' records serve instead."""
    if split.protocol == "canary":
        return split.nonmembers[0][:MOST_POPULATION]
    if split.protocol != "pool":
        return np.array([], np.int64)
    outside = np.setdiff1d(np.arange(split.num_records), index)
    chosen = stage_generator(options.seed, "population").permutation(outside)[:MOST_POPULATION]
    return np.sort(chosen)


def _in_form(outputs: Float[np.ndarray, "R C"], is_probability: bool, *, wanted: bool) -> Float[np.ndarray, "R C"]:
    """Return answers as probabilities where these are wanted; probabilities stay what they are."""
    return softmax(outputs) if wanted and not is_probability else outputs


def _unchanged(logits: Float[np.ndarray, "R C"]) -> tuple[Float[np.ndarray, "R C"], bool]:
    return logits, False
