"""What an attack may see: the models' answers on the records in play, behind the output defences.

Takes an ensemble, a split and the options; gives `Signals` for each target, with the target's true membership apart.
Trains nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from mia.defences.filters import Defence
from mia.defences.registry import make_defence
from mia.experiment.options import ExperimentOptions
from mia.experiment.pools import Ensemble
from mia.probabilities import softmax
from mia.records import IN, OUT, Dataset, Signals, Split
from mia.seeds import stage_generator, stage_seed

if TYPE_CHECKING:
    from mia.train.predict import Predictor

MOST_POPULATION = 10_000


@dataclass(frozen=True)
class Question:
    """One target to attack: what the attacker sees, and the truth to judge by."""

    target: int  # row of the ensemble
    signals: Signals
    index: Int[np.ndarray, "Q"]  # candidate records, as positions in the data set
    is_member: Bool[np.ndarray, "Q"]


class DefendedAnswers:
    """The models' answers on chosen records, each through the output defence that stands before it."""

    def __init__(self, options: ExperimentOptions, data: Dataset, split: Split, ensemble: Ensemble) -> None:
        self.options, self.data, self.split, self.ensemble = options, data, split, ensemble
        self.is_probability = False
        self._made: dict[int, Defence] = {}
        self._last: tuple[int, Predictor] | None = None

    def answers(self, row: int, records: Int[np.ndarray, "R"]) -> tuple[Float[np.ndarray, "R C"], bool]:
        """Return what model `row` says about the records, and whether that is probabilities."""
        return self._defence(row)(self._logits(row)[records])

    def ask(self, row: int, x: Shaped[np.ndarray, "B *features"]) -> tuple[Float[np.ndarray, "B C"], bool]:
        """Return what model `row` says about features that need not be in the data set."""
        return self._defence(row)(self._predictor(row)(x))

    def _predictor(self, row: int) -> "Predictor":
        """Return model `row` ready to be asked; the last one stays so."""
        from mia.train.predict import make_predictor

        if self._last is None or self._last[0] != row:
            parameters = self.ensemble.rows[row].parameters(row)
            shape, scale, num_classes = self.data.x.shape[1:], self.data.scale, self.data.num_classes
            self._last = row, make_predictor(self.options.model, parameters, shape, scale, num_classes)
        return self._last[1]

    def _logits(self, row: int) -> Float[np.ndarray, "N C"]:
        """Return the stored logits; the target, whose pool knows no records of the attacker's, is asked about those."""
        stored = self.ensemble.rows[row].signals(row)[0]
        if len(stored) == len(self.data.x):
            return stored
        return np.concatenate([stored, self._predictor(row)(self.data.x[len(stored) :])])

    def _defence(self, row: int) -> Defence:
        """Return the defence before model `row`, made once: some are fitted on the model's own records."""
        if row not in self._made:
            options = self.options.defence if row == 0 else self.options.shadow_defence
            logits = self._logits(row)
            known = (logits[self.split.members[row]], logits[self._known_nonmembers(row)])
            self._made[row] = make_defence(options, seed=stage_seed(self.options.seed, "defence", row), fit_on=known)
        return self._made[row]

    def _known_nonmembers(self, row: int) -> Int[np.ndarray, "n"]:
        """Records that model `row` never saw and is not judged on; if there are none, its own test records."""
        own = np.concatenate([self.split.members[row], self.split.nonmembers[row]])
        others = np.setdiff1d(self._records_of_owner(row), own)
        generator = stage_generator(self.options.seed, "defence/nonmembers", row)
        return generator.permutation(others)[: self.options.split.size] if len(others) else self.split.nonmembers[row]

    def _records_of_owner(self, row: int) -> Int[np.ndarray, "n"]:
        """Records that the owner of model `row` may have: an attacker with own records has those alone."""
        num_real, everything = len(self.ensemble.rows[0].signals(0)[0]), np.arange(self.split.num_records)
        if num_real == self.split.num_records:
            return everything
        return everything[num_real:] if row else everything[:num_real]


class PoolOracle:
    """Further queries to the models of one question: model 0 is its target."""

    def __init__(
        self,
        answers: DefendedAnswers,
        order: Sequence[int],
        index: Int[np.ndarray, "N"],
        candidates: Int[np.ndarray, "Q"],
    ) -> None:
        self._answers, self._order, self._index, self._candidates = answers, order, index, candidates

    def features(self, records: Int[np.ndarray, "B"] | None = None) -> Shaped[np.ndarray, "B *features"]:
        """Return the features of records, given as positions along the signals' record axis; of the candidates."""
        return self._answers.data.x[self._candidates if records is None else self._index[records]]

    def ask(self, model: int, x: Shaped[np.ndarray, "B *features"]) -> Float[np.ndarray, "B C"]:
        """Return a model's answers to records `x`, in the form of the question's signals."""
        outputs, is_probability = self._answers.ask(self._order[model], x)
        return _as(outputs, is_probability, self._answers.is_probability)


def make_questions(options: ExperimentOptions, data: Dataset, split: Split, ensemble: Ensemble) -> list[Question]:
    """Return one question per target (`split.num_targets`)."""
    index = np.union1d(split.members, split.nonmembers)
    answers = DefendedAnswers(options, data, split, ensemble)
    outputs, is_probability = _stack(answers, index)
    outside = _population(options, split, index)
    population = _stack(answers, outside, is_probability)[0] if len(outside) else None
    membership = np.full((split.num_models, split.num_records), OUT, np.int8)
    own = np.zeros((split.num_models, split.num_records), bool)
    for row in range(split.num_models):
        membership[row, split.members[row]] = IN
        own[row, split.members[row]] = own[row, split.nonmembers[row]] = True
    membership, own = membership[:, index], own[:, index]

    questions = []
    for target in range(options.split.num_targets):
        shadows = [row for row in range(split.num_models) if row != target]
        candidates = index[own[target]]
        signals = Signals(
            labels=data.y[index],
            is_candidate=own[target],
            target_outputs=outputs[target],
            shadow_outputs=outputs[shadows] if target else outputs[1:],
            shadow_membership=membership[shadows],
            shadow_own=own[shadows],
            is_probability=is_probability,
            population_outputs=None if population is None else population[[*shadows, target]],
            population_labels=None if population is None else data.y[outside],
            oracle=PoolOracle(answers, [target, *shadows], index, candidates),
        )
        questions.append(Question(target, signals, candidates, membership[target][own[target]] == IN))
    return questions


def _population(options: ExperimentOptions, split: Split, index: Int[np.ndarray, "R"]) -> Int[np.ndarray, "Z"]:
    """Records that no model of a pool ever sees; under `disjoint` other models' records serve instead."""
    if split.protocol != "pool":
        return np.array([], np.int64)
    outside = np.setdiff1d(np.arange(split.num_records), index)
    chosen = stage_generator(options.seed, "population").permutation(outside)[:MOST_POPULATION]
    return np.sort(chosen)


def _stack(
    answers: DefendedAnswers, records: Int[np.ndarray, "R"], as_probability: bool = False
) -> tuple[Float[np.ndarray, "M R C"], bool]:
    given = [answers.answers(row, records) for row in range(answers.split.num_models)]
    answers.is_probability = as_probability or any(is_probability for _, is_probability in given)
    stacked = np.stack([_as(outputs, kind, answers.is_probability) for outputs, kind in given])
    return stacked, answers.is_probability


def _as(outputs: Float[np.ndarray, "R C"], is_probability: bool, wanted: bool) -> Float[np.ndarray, "R C"]:
    if is_probability or not wanted:
        return outputs
    return softmax(outputs)


def as_probabilities(outputs: Float[np.ndarray, "R C"], is_probability: bool) -> Float[np.ndarray, "R C"]:
    """Return answers as probabilities, whatever form they come in."""
    return outputs if is_probability else softmax(outputs)


def true_class_confidence(signals: Signals) -> Float[np.ndarray, "Q"]:
    """Return the target's probability of the true class of every candidate."""
    outputs = signals.target_outputs[signals.candidates].astype(np.float64)
    probabilities = outputs if signals.is_probability else softmax(outputs)
    return probabilities[np.arange(len(outputs)), signals.labels[signals.candidates]]
