"""Experiments whose attacker has no data like the target's: what stays shared, what is never touched."""

from dataclasses import replace

import numpy as np
import pytest

from mia.attacks import ATTACKS
from mia.attacks.calibration import CalibrationOptions
from mia.attacks.confidence import LossOptions
from mia.attacks.gap import GapOptions
from mia.attacks.options import AttackOptions
from mia.attacks.shadow_classifier import ShadowLogisticOptions
from mia.checks import RequestError
from mia.composition import compose_config, register
from mia.config import Config, to_options
from mia.defences.options import LabelOnlyOptions
from mia.experiment import attacker, pools
from mia.experiment.attacker import make_own_records, plan_split
from mia.experiment.identity import own_pool_identity, pool_identity, run_identity
from mia.experiment.observer import ignore
from mia.experiment.options import AttackerOptions, ExperimentOptions
from mia.experiment.run import check_request, run_experiment
from mia.models.options import MlpOptions
from mia.records import Dataset, FeatureGroup
from mia.shadow_data.options import MarginalOptions, NoisyOptions, RealOptions, SynthesizedOptions
from mia.split import SplitOptions
from mia.store import PoolStore
from mia.train import many
from mia.train.options import TrainOptions
from mia.train.predict import make_predictor

SIZE, SHADOWS, COLUMNS = 40, 2, 16
SYNTHESIZED = SynthesizedOptions(k_max=8, k_min=1, conf_min=0.1, iter_max=200)
OPTIONS = ExperimentOptions(
    seed=0,
    data=None,  # the data set is handed over
    split=SplitOptions(size=SIZE, num_shadows=SHADOWS),
    model=MlpOptions(hidden=[8]),
    train=TrainOptions(epochs=3),
    attack=AttackOptions(chosen={"gap": GapOptions(), "loss": LossOptions()}),
)
KINDS = [NoisyOptions(), NoisyOptions(change="redraw"), MarginalOptions(), SYNTHESIZED]


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    centres = generator.integers(0, 2, (3, COLUMNS))
    y = generator.integers(0, 3, 200).astype(np.int32)
    x = np.where(generator.random((200, COLUMNS)) < 0.2, 1 - centres[y], centres[y]).astype(np.uint8)
    return Dataset("bits", x, y, 3, features=tuple(FeatureGroup(f"{i}", "bit", i, i + 1) for i in range(COLUMNS)))


@pytest.fixture
def pictures():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 17, (200, 4, 4, 1)).astype(np.uint8)
    return Dataset("pictures", x, (x.reshape(200, 16).mean(axis=1) > 8).astype(np.int32), 2, scale=1 / 16)


@pytest.fixture
def store(tmp_path):
    return PoolStore(tmp_path)


def with_data(kind, **parts):
    return replace(OPTIONS, shadow_data=kind, **parts)


class Guarded:
    """Records of which some must not be read: every other way to them fails."""

    def __init__(self, array, forbidden):
        self._array, self._forbidden = array, forbidden
        self.shape = array.shape

    def __len__(self):
        return len(self._array)

    def __getitem__(self, chosen):
        assert isinstance(chosen, np.ndarray), "only by index"
        assert chosen.dtype.kind == "i", "only by index"
        assert not np.isin(chosen, self._forbidden).any(), "the target's records are not the attacker's"
        return self._array[chosen]

    def __array__(self, *_, **__):
        raise AssertionError("the data set is not the attacker's")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.name} {getattr(kind, 'change', '')}")
def test_the_attacker_never_reads_a_record_of_the_targets(data, store, kind):
    options = with_data(kind)
    split = plan_split(options, data)
    target = pools.gather_target(options, data, split, store, ignore)
    forbidden = np.concatenate([split.members[0], split.nonmembers[0]])
    guarded = replace(data, x=Guarded(data.x, forbidden), y=Guarded(data.y, forbidden))
    made = make_own_records(options, guarded, split, target, ignore)
    assert made.x.shape == (split.num_records - len(data.x), COLUMNS)
    assert made.x.dtype == data.x.dtype
    assert made.y.dtype == np.int32
    other = replace(data, x=data.x.copy())
    other.x[forbidden] = 1 - other.x[forbidden]
    again = make_own_records(options, other, split, target, ignore)
    np.testing.assert_array_equal(made.x, again.x)
    np.testing.assert_array_equal(made.y, again.y)


def test_a_synthesizing_attacker_reads_no_record_at_all_of_a_table_of_bits(data, store):
    options = with_data(SYNTHESIZED)
    split = plan_split(options, data)
    target = pools.gather_target(options, data, split, store, ignore)
    made = make_own_records(options, data, split, target, ignore)
    others = np.setdiff1d(np.arange(len(data.x)), np.concatenate([split.members[0], split.nonmembers[0]]))
    changed = replace(data, x=data.x.copy(), y=np.zeros_like(data.y))
    changed.x[others] = 0
    again = make_own_records(options, changed, split, target, ignore)
    np.testing.assert_array_equal(made.x, again.x)
    np.testing.assert_array_equal(made.y, again.y)


def test_shadows_are_trained_on_nothing_but_the_attackers_records(data, store, monkeypatch):
    trainings, made = [], []
    train_many, make = many.train_many, attacker.make_own_records

    def watch(trained_on, members, *rest):
        trainings.append((trained_on, members))
        return train_many(trained_on, members, *rest)

    monkeypatch.setattr(many, "train_many", watch)
    monkeypatch.setattr(attacker, "make_own_records", lambda *given: made.append(make(*given)) or made[-1])
    run_experiment(with_data(SYNTHESIZED), data, store)
    (of_target, target_members), (of_shadows, shadow_members) = trainings
    assert of_target is data
    assert target_members.shape == (1, SIZE)
    np.testing.assert_array_equal(of_shadows.x, made[0].x)
    np.testing.assert_array_equal(of_shadows.y, made[0].y)
    assert shadow_members.shape == (SHADOWS, SIZE)
    assert 0 <= shadow_members.min() <= shadow_members.max() < len(made[0].x)


@pytest.mark.parametrize("kind", [NoisyOptions(), MarginalOptions(), SYNTHESIZED], ids=lambda kind: kind.name)
def test_the_target_is_the_same_and_what_is_trained_is_used_again(data, store, kind):
    real = run_experiment(OPTIONS, data, store)
    result = run_experiment(with_data(kind), data, store)
    assert (real.metrics["pool/models_trained"], result.metrics["pool/models_trained"]) == (SHADOWS + 1, SHADOWS)
    np.testing.assert_array_equal(real.index, result.index)
    np.testing.assert_array_equal(real.is_member, result.is_member)
    np.testing.assert_array_equal(real.confidence, result.confidence)
    assert result.metrics["shadow_data/records"] == 200 - 2 * SIZE
    more = with_data(kind, split=SplitOptions(size=SIZE, num_shadows=SHADOWS + 1))
    again = run_experiment(more, data, store)
    assert again.metrics["pool/models_trained"] == 1
    np.testing.assert_array_equal(again.shadow_accuracy[:SHADOWS], result.shadow_accuracy)


def test_no_noise_is_real_data(data, store):
    real = run_experiment(OPTIONS, data, store)
    noiseless = run_experiment(with_data(NoisyOptions(noise=0.0)), data, store)
    assert noiseless.metrics["pool/models_trained"] == SHADOWS
    np.testing.assert_array_equal(real.shadow_accuracy, noiseless.shadow_accuracy)
    for name, scores in real.scores.items():
        np.testing.assert_array_equal(scores.score, noiseless.scores[name].score)
        np.testing.assert_array_equal(scores.is_predicted, noiseless.scores[name].is_predicted)


def test_twice_gives_identical_bits(data, tmp_path):
    results = [run_experiment(with_data(SYNTHESIZED), data, PoolStore(tmp_path / name)) for name in ("one", "another")]
    np.testing.assert_array_equal(results[0].shadow_accuracy, results[1].shadow_accuracy)
    assert results[0].metrics["shadow_data/queries"] == results[1].metrics["shadow_data/queries"]
    assert results[0].metrics["shadow_data/queries_per_record"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", [NoisyOptions(), MarginalOptions(), SYNTHESIZED], ids=lambda kind: kind.name)
def test_pictures_work_as_well(pictures, store, kind):
    result = run_experiment(with_data(kind), pictures, store)
    assert result.metrics["shadow_data/records"] == 200 - 2 * SIZE
    assert np.isfinite(result.metrics["attack/loss/auc"])


def test_attacks_that_compare_with_shadows_and_ask_more_work_too(data, store):
    chosen = {
        "calibration": CalibrationOptions(),
        "label_only": ATTACKS["label_only"].options(queries=3),
        "shadow_logistic": ShadowLogisticOptions(per_class=False),
    }
    result = run_experiment(with_data(SYNTHESIZED, attack=AttackOptions(chosen=chosen)), data, store)
    for scores in result.scores.values():
        assert np.isfinite(scores.score).all()


def test_queries_go_through_the_output_defence(data, store, monkeypatch):
    answers = []

    def watch(options, known, count, target, generator, progress):
        answers.append(target(known.x))
        return make(options, known, count, target, generator, progress)

    make = attacker.make_records
    monkeypatch.setattr(attacker, "make_records", watch)
    options = with_data(MarginalOptions(), defence=LabelOnlyOptions(), attacker=AttackerOptions(adaptive=False))
    run_experiment(options, data, store)
    assert set(np.unique(answers[0])) == {0, 1}


def test_real_data_changes_no_name_and_every_other_kind_names_another_run(data):
    base = run_identity(OPTIONS, data)
    assert "shadow_data" not in base
    assert run_identity(with_data(RealOptions()), data) == base
    kinds = [*KINDS, NoisyOptions(noise=0.2), replace(SYNTHESIZED, k_max=9), MarginalOptions(records=100)]
    names = {repr(run_identity(with_data(kind), data)) for kind in kinds}
    assert len(names | {repr(base)}) == len(kinds) + 1
    assert pool_identity(with_data(KINDS[0]), data, OPTIONS.train) == pool_identity(OPTIONS, data, OPTIONS.train)
    assert own_pool_identity(OPTIONS, data, data) != pool_identity(OPTIONS, data, OPTIONS.train)


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.name)
def test_the_pool_protocol_is_refused(kind):
    with pytest.raises(RequestError, match=rf"shadow_data={kind.name} needs split\.protocol=disjoint"):
        with_data(kind, split=SplitOptions(protocol="pool", size=SIZE, num_shadows=SHADOWS))


def test_noise_needs_four_times_the_size_and_synthesis_twice(data):
    few = replace(data, x=data.x[: 4 * SIZE - 1], y=data.y[: 4 * SIZE - 1])
    with pytest.raises(RequestError, match="needs 80 records for the shadows, the attacker has 79"):
        check_request(with_data(NoisyOptions()), few)
    check_request(with_data(MarginalOptions()), few)
    check_request(with_data(SYNTHESIZED), replace(data, x=data.x[: 2 * SIZE], y=data.y[: 2 * SIZE]))
    with pytest.raises(RequestError, match="needs 80 records for the shadows, the attacker has 30"):
        check_request(with_data(replace(SYNTHESIZED, records_per_class=10)), data)


def test_marginals_of_nothing_are_refused_in_one_line(data, store):
    exact = replace(data, x=data.x[: 2 * SIZE], y=data.y[: 2 * SIZE])
    with pytest.raises(RequestError, match="it leaves none"):
        run_experiment(with_data(MarginalOptions()), exact, store)


def test_a_synthesis_that_reaches_nothing_says_what_would_help(data, store):
    impossible = replace(SYNTHESIZED, conf_min=0.999999, iter_max=3, attempts=1)
    with pytest.raises(RequestError, match=r"made \d+ of 120 records .* lower shadow_data\.conf_min"):
        run_experiment(with_data(impossible), data, store)


def test_absent_classes_are_named(data, store):
    constant = replace(data, x=np.zeros_like(data.x), class_names=("red", "green", "blue"))
    result = run_experiment(with_data(MarginalOptions()), constant, store)  # always one answer
    assert result.metrics["shadow_data/classes"] == 1
    assert any("no record of 2 of 3 classes" in line for line in result.warnings)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], RealOptions()),
        (["shadow_data=noisy", "shadow_data.noise=0.2"], NoisyOptions(noise=0.2)),
        (["shadow_data=marginal"], MarginalOptions()),
        (["shadow_data=synthesized", "shadow_data.k_min=2"], SynthesizedOptions(k_min=2)),
    ],
    ids=str,
)
def test_the_config_chooses_the_kind(overrides, expected):
    register()
    assert to_options(compose_config(overrides), Config).shadow_data == expected


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (NoisyOptions, {"noise": 1.5}, r"shadow_data\.noise=1\.5"),
        (NoisyOptions, {"change": "flop"}, "did you mean 'flip'"),
        (MarginalOptions, {"records": 0}, r"shadow_data\.records=0"),
        (SynthesizedOptions, {"k_max": 3}, r"shadow_data\.k_max=3 must be at least shadow_data\.k_min=4"),
        (SynthesizedOptions, {"conf_min": 1.0}, r"shadow_data\.conf_min=1\.0"),
        (SynthesizedOptions, {"iter_max": 0}, r"shadow_data\.iter_max=0"),
        (RealOptions, {"name": "noisy"}, "must stay 'real'"),
    ],
    ids=str,
)
def test_impossible_options_are_refused(kind, values, message):
    with pytest.raises(RequestError, match=message):
        kind(**values)


def test_an_answer_does_not_depend_on_how_many_are_asked_at_once(data, store):
    split = plan_split(OPTIONS, data)
    target = pools.gather_target(OPTIONS, data, split, store, ignore)
    ask = make_predictor(OPTIONS.model, target.rows[0].parameters(0), data.x.shape[1:], data.scale, 3)
    x = np.tile(data.x, (15, 1))
    everything = ask(x)
    np.testing.assert_array_equal(ask(x[:7]), everything[:7])
    np.testing.assert_array_equal(ask(x[:1000]), everything[:1000])
    np.testing.assert_array_equal(target.rows[0].answers(0).logits, everything[: len(data.x)])
