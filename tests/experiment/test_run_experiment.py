"""Experiments from options to result: what is trained again, what is shared, what a result means."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mia.attacks import ATTACKS
from mia.attacks.calibration import CalibrationOptions
from mia.attacks.confidence import LossOptions
from mia.attacks.gap import GapOptions
from mia.attacks.options import AttackOptions
from mia.attacks.run import run_attack
from mia.attacks.shadow_classifier import ShadowLogisticOptions
from mia.checks import RequestError
from mia.defences.options import MemguardOptions, NoneOptions, TopKOptions
from mia.experiment.attacker import gather, plan_split
from mia.experiment.clock import Clock
from mia.experiment.observer import Scored, StageBegan, Step, ignore
from mia.experiment.options import AttackerOptions, ExperimentOptions
from mia.experiment.run import run_experiment
from mia.experiment.signals import make_tasks
from mia.models.options import MlpOptions
from mia.records import Dataset
from mia.shadow_data.options import MarginalOptions
from mia.split import SplitOptions
from mia.store import Pool, PoolStore
from mia.train.options import TrainOptions

OPTIONS = ExperimentOptions(
    seed=0,
    data=None,  # the data set is handed over
    split=SplitOptions(size=40, num_shadows=3),
    model=MlpOptions(hidden=[8]),
    train=TrainOptions(epochs=3),
    attack=AttackOptions(chosen={"gap": GapOptions(), "loss": LossOptions()}),
)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(400, 6)).astype(np.float32)
    return Dataset("blobs", x, generator.integers(0, 3, 400).astype(np.int32), 3)


@pytest.fixture
def store(tmp_path):
    return PoolStore(tmp_path)


def trained(options, data, store):
    result = run_experiment(options, data, store)
    return result, result.metrics["pool/models_trained"]


def change(options, **parts):
    return replace(options, **{name: replace(getattr(options, name), **values) for name, values in parts.items()})


def test_twice_trains_once_and_gives_identical_bits(data, store, tmp_path):
    first, once = trained(OPTIONS, data, store)
    again, twice = trained(OPTIONS, data, store)
    afresh, elsewhere = trained(OPTIONS, data, PoolStore(tmp_path / "elsewhere"))
    assert (once, twice, elsewhere) == (4, 0, 4)
    for other in (again, afresh):
        np.testing.assert_array_equal(first.index, other.index)
        for name, scores in first.scores.items():
            np.testing.assert_array_equal(scores.score, other.scores[name].score)


def test_what_another_process_trained_while_this_one_waited_is_not_trained_again(data, store, monkeypatch):
    first, _ = trained(OPTIONS, data, store)
    answers = iter([[0]])  # on the first question a model is missing: until the other process has saved it
    whole = Pool.missing
    monkeypatch.setattr(Pool, "missing", lambda pool, models: next(answers, None) or whole(pool, models))
    again, count = trained(OPTIONS, data, store)
    assert count == 0
    np.testing.assert_array_equal(first.scores["gap"].score, again.scores["gap"].score)


def test_adding_shadows_trains_only_the_missing_ones(data, store):
    few, _ = trained(OPTIONS, data, store)
    many, added = trained(change(OPTIONS, split={"num_shadows": 5}), data, store)
    assert added == 2
    np.testing.assert_array_equal(few.confidence, many.confidence)


def test_both_attackers_share_what_they_can(data, store):
    defended = change(OPTIONS, train={"l2": 1e-2})
    ignorant = replace(defended, attacker=AttackerOptions(adaptive=False))
    assert trained(OPTIONS, data, store)[1] == 4
    knowing, adaptive = trained(defended, data, store)
    unknowing, shared = trained(ignorant, data, store)
    assert (adaptive, shared) == (4, 0)
    np.testing.assert_array_equal(knowing.confidence, unknowing.confidence)


def test_a_damaged_model_is_trained_again_with_a_warning_and_the_same_result(data, store):
    before, _ = trained(OPTIONS, data, store)
    damaged = next(store.folder.glob("*/0002.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    after, again = trained(OPTIONS, data, store)
    assert again == 1
    assert any("model 2" in line and "damaged" in line for line in after.warnings)
    np.testing.assert_array_equal(before.scores["loss"].score, after.scores["loss"].score)


def test_every_other_model_as_target_gives_means_and_deviations(data, store):
    several = change(OPTIONS, split={"protocol": "pool", "num_targets": 3})
    result, _ = trained(several, data, store)
    one, _ = trained(change(several, split={"num_targets": 1}), data, store)
    assert "target/test_accuracy_sd" in result.metrics
    np.testing.assert_array_equal(result.scores["gap"].score, one.scores["gap"].score)


def test_no_model_is_attacked_with_its_complement_among_its_shadows(data, store):
    """Behind target 0 are five shadows, of which a record is OUT of 2.5; behind each of four others are four."""
    several = change(OPTIONS, split={"protocol": "pool", "num_shadows": 5, "num_targets": 5})
    chosen = AttackOptions(chosen={"calibration": CalibrationOptions()})
    result, _ = trained(replace(several, attack=chosen), data, store)
    assert result.metrics["attack/calibration/num_out"] == pytest.approx((2.5 + 4 * 2) / 5, abs=0.05)


@pytest.mark.parametrize("shadows", [1, 2])
def test_one_or_two_disjoint_shadows_are_no_complements(data, store, shadows):
    """Of two disjoint models, each record that any was trained on is in exactly one."""
    chosen = AttackOptions(chosen={"shadow_logistic": ShadowLogisticOptions()})
    result, _ = trained(replace(change(OPTIONS, split={"num_shadows": shadows}), attack=chosen), data, store)
    assert len(result.shadow_accuracy) == shadows
    assert math.isfinite(result.metrics["attack/shadow_logistic/auc"])


@pytest.mark.slow
@pytest.mark.parametrize("shadows", [4, 8])
def test_models_that_learnt_nothing_tell_nothing_whichever_is_the_target(data, store, shadows):
    names = ("calibration", "lira_online", "lira_offline", "rmia_online", "rmia_offline")
    options = replace(
        change(
            OPTIONS,
            train={"learning_rate": 1e-12, "epochs": 1},
            split={"protocol": "pool", "size": 180, "num_shadows": shadows, "num_targets": shadows},
        ),
        attack=AttackOptions(chosen={name: ATTACKS[name].options() for name in names}),
    )
    result, _ = trained(options, data, store)
    for name in names:
        for metric in ("auc", "balanced_accuracy"):
            assert result.metrics[f"attack/{name}/{metric}"] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("overlap", [False, True])
def test_a_target_that_learnt_nothing_tells_nothing(data, store, overlap):
    """With a vanishing learning rate the target is as it was drawn: every attack stays at chance."""
    untrained = change(OPTIONS, train={"learning_rate": 1e-12, "epochs": 1}, split={"size": 100, "overlap": overlap})
    result, _ = trained(untrained, data, store)
    for name in ("gap", "loss"):
        assert result.metrics[f"attack/{name}/auc_low"] < 0.5 < result.metrics[f"attack/{name}/auc_high"]


def test_too_large_a_split_is_refused_before_anything_is_written(data, store):
    with pytest.raises(RequestError, match=r"at most split\.size=100"):
        run_experiment(change(OPTIONS, split={"size": 101}), data, store)
    assert not list(store.folder.iterdir())


def test_a_relaxed_rule_makes_room_and_is_told_with_the_result(data, store):
    result, _ = trained(change(OPTIONS, split={"size": 190, "overlap": True}), data, store)
    (line,) = (line for line in result.warnings if line.startswith("split.overlap=true relaxes"))
    assert "of each shadow's 380 records 9" in line
    strict, _ = trained(change(OPTIONS, split={"size": 100}), data, store)
    assert not any("overlap" in line for line in strict.warnings)


def test_an_attacker_with_own_records_has_no_rule_to_relax():
    with pytest.raises(RequestError, match=r"shadow_data=marginal needs split\.overlap=false"):
        replace(OPTIONS, split=replace(OPTIONS.split, overlap=True), shadow_data=MarginalOptions())


def test_gap_stands_beside_every_attack():
    alone = replace(OPTIONS, attack=AttackOptions(chosen={"loss": LossOptions()}))
    assert list(alone.attack.chosen) == ["gap", "loss"]


def test_who_watches_hears_of_each_stage_and_of_what_is_slow(data, store):
    events = []
    chosen = {"shadow_logistic": ShadowLogisticOptions()}
    growing = replace(OPTIONS, attack=AttackOptions(growth=True, chosen=chosen))
    result = run_experiment(growing, data, store, events.append)
    stages = [event.name for event in events if isinstance(event, StageBegan)]
    assert stages == ["train", "signals", "attack", "growth", "metrics"]
    assert {f"time/{stage}_seconds" for stage in stages} <= set(result.metrics)
    assert [event.attack for event in events if isinstance(event, Scored)] == ["gap", "shadow_logistic"]
    steps = [event for event in events if isinstance(event, Step)]
    assert {"attack: shadow_logistic", "growth: shadow_logistic with fewer shadows"} <= {step.what for step in steps}
    assert all(0 <= step.done <= step.total for step in steps)


def test_growth_ends_in_what_the_attack_found_and_fits_it_no_second_time(data, store, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "mia.attacks.growth.run_attack",
        lambda name, signals, *rest, **more: (
            asked.append(signals.num_shadows) or run_attack(name, signals, *rest, **more)
        ),
    )
    growing = replace(
        OPTIONS,
        attack=AttackOptions(growth=True, chosen={"calibration": CalibrationOptions()}),
        split=SplitOptions("pool", 40, 5),
    )
    result = run_experiment(growing, data, store)
    assert asked == [4, 2, 1]
    rows = [row for row in result.growth if row["attack"] == "calibration"]
    assert [row["shadows"] for row in rows] == [1, 2, 4, 5]
    assert rows[-1]["auc"] == result.metrics["attack/calibration/auc"]


def test_signals_read_each_models_file_once(data, store, monkeypatch):
    """Also where a defence is fitted on the model's own records, and where there is a population."""
    several = change(OPTIONS, split={"protocol": "pool"})
    run_experiment(several, data, store)
    read = []
    whole = Pool.answers
    monkeypatch.setattr(Pool, "answers", lambda pool, model: read.append(model) or whole(pool, model))
    for defence in (NoneOptions(), MemguardOptions()):
        read.clear()
        run_experiment(replace(several, defence=defence), data, store)
        assert sorted(read) == [0, 1, 2, 3]


def test_attacks_that_ask_more_get_answers_in_the_form_of_the_signals(data, store):
    """The target answers with probabilities behind its defence, undefended shadows with logits."""
    options = replace(OPTIONS, defence=TopKOptions(k=2), attacker=AttackerOptions(adaptive=False))
    split = plan_split(options, data)
    clock = Clock(ignore)
    defended = make_tasks(options, gather(options, data, split, store, ignore, clock), split)[0].signals
    plain = make_tasks(OPTIONS, gather(OPTIONS, data, split, store, ignore, clock), split)[0].signals
    for signals, is_probability in ((defended, True), (plain, False), (defended, True)):
        assert signals.is_probability == is_probability
        for model, outputs in ((0, signals.target_outputs), (1, signals.shadow_outputs[0])):
            asked = signals.oracle.ask(model, signals.oracle.features())
            np.testing.assert_allclose(asked, outputs[signals.candidates], atol=1e-6)
