"""What models say of records, asked when a run needs it: the same bits as if all had been asked at once, and kept."""

from dataclasses import replace

import numpy as np
import pytest

from mia.attacks import ATTACKS
from mia.attacks.options import AttackOptions
from mia.defences.memguard import MemguardOptions
from mia.experiment import training
from mia.experiment.asked import AskedModels
from mia.experiment.options import ExperimentOptions
from mia.experiment.run import run_experiment
from mia.files import StorageError
from mia.models.options import MlpOptions
from mia.records import Dataset
from mia.shadow_data.options import MarginalOptions
from mia.split import SplitOptions
from mia.store import PoolStore, pool
from mia.train.options import EngineOptions, TrainOptions

ATTACK = AttackOptions(chosen={name: ATTACKS[name].options() for name in ("loss", "rmia_offline")})
OPTIONS = ExperimentOptions(
    seed=0,
    data=None,  # the data set is handed over
    split=SplitOptions(protocol="pool", size=20, num_shadows=3),
    model=MlpOptions(hidden=[8]),
    train=TrainOptions(epochs=3, learning_rate=1e-2, test_records=20),
    attack=ATTACK,
)
MANY = replace(OPTIONS, split=replace(OPTIONS.split, num_shadows=5))
VARIANTS = {
    "plain": OPTIONS,
    "fitted defence": replace(OPTIONS, defence=MemguardOptions()),
    "canaries": replace(OPTIONS, split=SplitOptions(protocol="canary", size=20, num_shadows=2, canaries=10)),
    "own records": replace(OPTIONS, split=SplitOptions(size=20, num_shadows=2), shadow_data=MarginalOptions()),
}


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 6)).astype(np.float32)
    return Dataset("blobs", x, generator.integers(0, 3, 300).astype(np.int32), 3)


@pytest.fixture
def store(tmp_path):
    return PoolStore(tmp_path / "pools")


@pytest.fixture
def asks_late(monkeypatch):
    """Let no data set be so small that models are asked about all of it at once."""
    monkeypatch.setattr(training, "FEW", 0)


@pytest.fixture
def asked(monkeypatch):
    """Count the records that models are asked about, by model."""
    counts = []
    answer = AskedModels._answer

    def counting(models, row, records):
        counts.append((row, len(records)))
        return answer(models, row, records)

    monkeypatch.setattr(AskedModels, "_answer", counting)
    return counts


def scores(options, data, store):
    return {name: one.score for name, one in run_experiment(options, data, store).scores.items()}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("kind", VARIANTS)
def test_answers_asked_late_are_those_of_all_records_at_once(data, tmp_path, monkeypatch, kind):
    at_once = run_experiment(VARIANTS[kind], data, PoolStore(tmp_path / "at once"))
    monkeypatch.setattr(training, "FEW", 0)
    late = run_experiment(VARIANTS[kind], data, PoolStore(tmp_path / "late"))
    assert_same(
        {name: one.score for name, one in late.scores.items()},
        {name: one.score for name, one in at_once.scores.items()},
    )
    timeless = lambda result: {k: v for k, v in result.metrics.items() if not k.startswith("time/")}  # noqa: E731
    np.testing.assert_equal(timeless(late), timeless(at_once))


@pytest.mark.usefixtures("asks_late")
def test_a_record_is_asked_about_once(data, store, asked):
    first = scores(OPTIONS, data, store)
    assert [row for row, _ in asked] == [0, 1, 2, 3]
    asked.clear()
    assert_same(scores(OPTIONS, data, store), first)
    assert not asked
    run_experiment(MANY, data, store)  # the same pool of records, two models more
    assert [row for row, _ in asked] == [4, 5]


@pytest.mark.usefixtures("asks_late")
def test_models_are_asked_about_nothing_that_no_run_needs(data, store, asked):
    disjoint = replace(OPTIONS, split=SplitOptions(size=20, num_shadows=1))
    run_experiment(disjoint, data, store)
    assert asked == [(0, 80), (1, 80)]
    asked.clear()
    run_experiment(replace(disjoint, split=replace(disjoint.split, num_shadows=2)), data, store)
    row, count = asked[0]
    assert row == 0
    assert count <= 40  # those of the new shadow's that nobody has asked about


@pytest.mark.usefixtures("asks_late")
def test_models_on_the_way_are_asked_by_the_run_that_wants_them(data, store, tmp_path, asked):
    longest = replace(OPTIONS, engine=EngineOptions(snapshots=[2]))
    run_experiment(longest, data, store)
    assert len(asked) == 4
    shorter = replace(OPTIONS, train=replace(OPTIONS.train, epochs=2))
    found = scores(shorter, data, store)
    assert len(asked) == 8
    assert_same(found, scores(shorter, data, PoolStore(tmp_path / "alone")))


@pytest.mark.usefixtures("asks_late")
def test_damaged_answers_are_asked_for_again(data, store):
    first = scores(OPTIONS, data, store)
    paths = sorted(store.folder.glob("*/answers/*.npz"))
    assert len(paths) == 4
    paths[0].write_bytes(paths[0].read_bytes()[:-3] + b"abc")
    paths[1].unlink()
    result = run_experiment(OPTIONS, data, store)
    assert result.metrics["pool/models_trained"] == 0
    assert_same({name: one.score for name, one in result.scores.items()}, first)


@pytest.mark.usefixtures("asks_late")
def test_a_pool_that_cannot_be_written_serves_as_well(data, store, tmp_path, monkeypatch):
    def full(*_):
        raise StorageError("the disk is full")

    monkeypatch.setattr(pool, "keep", full)
    found = scores(OPTIONS, data, store)
    monkeypatch.undo()
    assert_same(found, scores(OPTIONS, data, PoolStore(tmp_path / "fresh")))


def test_answers_of_a_pool_of_old_are_used(data, store, asked, monkeypatch):
    """Every earlier version asked models about all records when it saved them."""
    first = scores(OPTIONS, data, store)
    monkeypatch.setattr(training, "FEW", 0)
    assert_same(scores(OPTIONS, data, store), first)
    assert not asked
