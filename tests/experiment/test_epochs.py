"""What is kept of models while they train: losses epoch by epoch, and models of shorter trainings on the way."""

from dataclasses import replace

import numpy as np
import pytest

from mia.attacks import ATTACKS
from mia.attacks.options import AttackOptions
from mia.checks import RequestError
from mia.experiment.attacker import gather, plan_split
from mia.experiment.clock import Clock
from mia.experiment.epochs import read_leakage, read_trace
from mia.experiment.identity import pool_identity, run_identity
from mia.experiment.observer import Trained, ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.run import run_experiment
from mia.experiment.signals import make_tasks
from mia.fingerprint import fingerprint
from mia.models.options import MlpOptions
from mia.probabilities import log_softmax
from mia.records import Dataset
from mia.split import SplitOptions
from mia.store import PoolStore
from mia.train.defence_options import DistillationOptions, DpOptions, EarlyStoppingOptions
from mia.train.options import EngineOptions, TrainOptions


def options(epochs=4, num_targets=1, engine=None, **train):
    return ExperimentOptions(
        engine=engine or EngineOptions(),
        seed=0,
        data=None,  # the data set is handed over
        split=SplitOptions(protocol="pool", size=40, num_shadows=3, num_targets=num_targets),
        model=MlpOptions(hidden=[8]),
        train=TrainOptions(epochs=epochs, learning_rate=1e-2, test_records=20, **train),
        attack=AttackOptions(chosen={"loss": ATTACKS["loss"].options()}),
    )


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 6)).astype(np.float32)
    return Dataset("blobs", x, generator.integers(0, 3, 200).astype(np.int32), 3)


@pytest.fixture
def store(tmp_path):
    return PoolStore(tmp_path / "pools")


def tasks(chosen, data, store):
    split = plan_split(chosen, data)
    materials = gather(chosen, data, split, store, ignore, Clock(ignore))
    return make_tasks(chosen, materials, split), materials.ensemble


def test_the_trace_ends_with_the_losses_of_the_finished_target(data, store):
    found, _ = tasks(options(trace=True, num_targets=2), data, store)
    for task in found:
        signals = task.signals
        assert signals.trace.shape == (4, len(task.index))
        assert signals.trace.dtype == np.float32
        logits = signals.target_outputs[signals.candidates]
        losses = -log_softmax(logits)[np.arange(len(logits)), signals.labels[signals.candidates]]
        np.testing.assert_allclose(signals.trace[-1], losses, rtol=1e-5, atol=1e-6)
        assert signals.trace[-1].mean() < signals.trace[0].mean()


def test_each_epoch_of_the_trace_is_the_end_of_a_shorter_one(data, store):
    (long,), _ = tasks(options(trace=True), data, store)
    (short,), _ = tasks(options(epochs=2, trace=True), data, store)
    np.testing.assert_array_equal(long.signals.trace[:2], short.signals.trace)


def test_a_trace_that_was_not_kept_costs_the_target_alone_and_changes_no_bit(data, store):
    (before,), _ = tasks(options(), data, store)
    assert before.signals.trace is None
    (after,), ensemble = tasks(options(trace=True), data, store)
    assert ensemble.num_trained == 1
    np.testing.assert_array_equal(before.signals.target_outputs, after.signals.target_outputs)
    (again,), ensemble = tasks(options(trace=True), data, store)
    assert ensemble.num_trained == 0
    np.testing.assert_array_equal(after.signals.trace, again.signals.trace)


def test_a_damaged_trace_is_made_again(data, store):
    (before,), _ = tasks(options(trace=True), data, store)
    (path,) = store.folder.glob("*/trace/0000.npz")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (after,), ensemble = tasks(options(trace=True), data, store)
    assert ensemble.num_trained == 1
    np.testing.assert_array_equal(before.signals.trace, after.signals.trace)


def test_a_trace_names_no_other_pool(data):
    plain, traced = options(), options(trace=True)
    names = [fingerprint(pool_identity(one, data, one.train)) for one in (plain, traced)]
    assert names[0] == names[1]
    assert fingerprint(run_identity(plain, data)) != fingerprint(run_identity(traced, data))


def test_a_trace_changes_no_score(data, tmp_path):
    plain = run_experiment(options(), data, PoolStore(tmp_path / "a"))
    traced = run_experiment(options(trace=True), data, PoolStore(tmp_path / "b"))
    np.testing.assert_array_equal(plain.scores["loss"].score, traced.scores["loss"].score)


def keeping(*epochs, state=False):
    return EngineOptions(snapshots=list(epochs), keep_state=state)


def everything(store, epochs, data, **train):
    """Return all that lies in the pool of so many epochs: parameters, answers and curves of each model, by name."""
    chosen = options(epochs, **train)
    pool = store.pool(pool_identity(chosen, data, chosen.train))
    found = {}
    for row in range(4):
        logits, curves = pool.answers(row).logits, pool.curves(row)
        found |= {f"{row} {name}": array for name, array in {**pool.parameters(row), **curves, "": logits}.items()}
    return found | {"auc": read_leakage(pool, 0)}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


DEFENCES = {
    "none": {},
    "l2 and dropout": {"l2": 1e-3, "dropout": 0.3},
    "early stopping": {"early_stopping": EarlyStoppingOptions(holdout=0.2, patience=1)},
    "noise": {"dp": DpOptions(clipping_norm=1.0, noise_multiplier=1.0)},
    "relaxloss": {"relaxloss": 0.5},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEFENCES)
def test_a_model_on_the_way_is_that_of_a_training_that_ends_there(data, tmp_path, kind):
    train = DEFENCES[kind]
    alone, together = PoolStore(tmp_path / "alone"), PoolStore(tmp_path / "together")
    for epochs in (2, 3, 6):
        run_experiment(options(epochs, **train), data, alone)
    longest = run_experiment(options(6, engine=keeping(2, 3, 6), **train), data, together)
    assert longest.metrics["pool/models_trained"] == 4
    for epochs in (2, 3, 6):
        assert_same(everything(together, epochs, data, **train), everything(alone, epochs, data, **train))
        again = run_experiment(options(epochs, **train), data, together)
        fresh = run_experiment(options(epochs, **train), data, alone)
        assert again.metrics["pool/models_trained"] == 0
        np.testing.assert_array_equal(again.scores["loss"].score, fresh.scores["loss"].score)


@pytest.mark.parametrize(
    "train",
    [
        {"dp": DpOptions(clipping_norm=1.0, epsilon=8.0, delta=1e-3)},
        {"distillation": DistillationOptions(reference=0.5)},
    ],
)
def test_what_depends_on_the_number_of_epochs_is_trained_apart(data, store, train):
    run_experiment(options(3, engine=keeping(2, state=True), **train), data, store)
    assert len(store.fingerprints()) == 1
    shorter = run_experiment(options(2, engine=keeping(3), **train), data, store)
    assert shorter.metrics["pool/models_trained"] == 4


def test_defences_say_whether_they_depend_on_the_number_of_epochs():
    depends = {kind: TrainOptions(**train).depends_on_epochs() for kind, train in DEFENCES.items()}
    assert not any(depends.values())


def test_whoever_comes_first_trains_for_all(data, store):
    """Jobs that run side by side must not each train on their own: the shortest may be the first to hold the lock."""
    first = run_experiment(options(2, engine=keeping(2, 3, 5)), data, store)
    others = [run_experiment(options(epochs, engine=keeping(2, 3, 5)), data, store) for epochs in (3, 5)]
    assert [one.metrics["pool/models_trained"] for one in (first, *others)] == [4, 0, 0]


def test_nothing_longer_is_trained_than_is_missing(data, store):
    run_experiment(options(6), data, store)
    longest = []
    observe = lambda event: longest.append(event.progress.epochs) if isinstance(event, Trained) else None  # noqa: E731
    run_experiment(options(2, engine=keeping(2, 3, 6)), data, store, observe)
    assert set(longest) == {3}


def test_more_shadows_get_their_models_on_the_way_too(data, store):
    few = options(4, engine=keeping(2))
    run_experiment(few, data, store)
    more = replace(few, split=replace(few.split, num_shadows=5))
    assert run_experiment(more, data, store).metrics["pool/models_trained"] == 2
    short = replace(more, train=replace(more.train, epochs=2))
    assert run_experiment(short, data, store).metrics["pool/models_trained"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEFENCES)
def test_a_training_that_goes_on_ends_like_one_that_was_never_left(data, tmp_path, kind):
    train = {**DEFENCES[kind], "trace": True}
    alone, left = PoolStore(tmp_path / "alone"), PoolStore(tmp_path / "left")
    run_experiment(options(6, **train), data, alone)
    run_experiment(options(6, engine=keeping(5), **train), data, alone)
    run_experiment(options(3, engine=keeping(state=True), **train), data, left)
    started = []
    observe = lambda event: started.append(event.progress.epoch) if isinstance(event, Trained) else None  # noqa: E731
    run_experiment(options(6, engine=keeping(5), **train), data, left, observe)
    assert min(started) > 3
    run_experiment(options(5, **train), data, alone)
    for epochs in (5, 6):
        assert_same(everything(left, epochs, data, **train), everything(alone, epochs, data, **train))
    pools = [store.pool(pool_identity(options(6, **train), data, options(6, **train).train)) for store in (left, alone)]
    np.testing.assert_array_equal(read_trace(pools[0], 0), read_trace(pools[1], 0))


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_training_that_goes_on_after_it_was_over_repeats_its_last_values(data, store):
    train = {"early_stopping": EarlyStoppingOptions(holdout=0.2, patience=1), "batch_size": 8}
    run_experiment(options(40, engine=keeping(state=True), **train), data, store)
    run_experiment(options(44, engine=keeping(state=True), **train), data, store)
    short, long = (everything(store, epochs, data, **train) for epochs in (40, 44))
    for name, curve in short.items():
        if curve.ndim == 1 and curve.shape == (40,):
            np.testing.assert_array_equal(long[name], [*curve, *[curve[-1]] * 4], err_msg=name)


def test_a_damaged_state_costs_the_training_and_nothing_else(data, store, tmp_path):
    run_experiment(options(2, engine=keeping(state=True)), data, store)
    for path in store.folder.glob("*/state/*.npz"):
        path.write_bytes(path.read_bytes()[:50])
    run_experiment(options(4), data, store)
    fresh = PoolStore(tmp_path / "fresh")
    run_experiment(options(4), data, fresh)
    assert_same(everything(store, 4, data), everything(fresh, 4, data))


def test_the_last_auc_of_the_losses_is_that_of_the_attack(data, store):
    chosen = options(3, engine=keeping())
    result = run_experiment(replace(chosen, train=replace(chosen.train, test_records=1000)), data, store)
    assert result.curves.loss_auc.shape == (3,)
    assert result.curves.loss_auc[-1] == pytest.approx(result.metrics["attack/loss/auc"], abs=1e-6)


def test_without_test_records_there_is_no_auc_by_epoch(data, store):
    chosen = options()
    result = run_experiment(replace(chosen, train=replace(chosen.train, test_records=0)), data, store)
    assert result.curves.loss_auc is None


def test_snapshots_name_no_other_run(data):
    assert fingerprint(run_identity(options(), data)) == fingerprint(run_identity(options(engine=keeping(2)), data))


def test_an_impossible_snapshot_is_refused():
    with pytest.raises(RequestError, match=r"engine\.snapshots=0"):
        EngineOptions(snapshots=[0])
