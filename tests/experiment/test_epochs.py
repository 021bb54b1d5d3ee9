"""What is kept of models while they train: losses epoch by epoch, and models of shorter trainings on the way."""

import numpy as np
import pytest

from mia.attacks import ATTACKS
from mia.attacks.options import AttackOptions
from mia.experiment.attacker import gather, plan_split
from mia.experiment.clock import Clock
from mia.experiment.identity import pool_identity, run_identity
from mia.experiment.observer import ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.run import run_experiment
from mia.experiment.signals import make_tasks
from mia.fingerprint import fingerprint
from mia.models.options import MlpOptions
from mia.probabilities import log_softmax
from mia.records import Dataset
from mia.split import SplitOptions
from mia.store import PoolStore
from mia.train.options import TrainOptions


def options(epochs=4, num_targets=1, **train):
    return ExperimentOptions(
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
