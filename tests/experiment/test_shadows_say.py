"""Thresholds learnt on stand-ins are an attacker's, and the placebo finds members in nothing but a broken design."""

from dataclasses import replace

import numpy as np
import pytest
from designs import membership

from mia.attacks import ATTACKS, run_attack
from mia.attacks.design import find_partners
from mia.attacks.options import AttackOptions
from mia.attacks.shadow_classifier import ShadowForestOptions
from mia.checks import RequestError
from mia.data import load
from mia.data.digits import DigitsOptions
from mia.experiment.attacking import attack_target
from mia.experiment.judge import Terms, judge_attacks
from mia.experiment.observer import ignore
from mia.experiment.options import ExperimentOptions
from mia.experiment.result import Judged, build_result
from mia.experiment.run import run_experiment
from mia.experiment.shadows_say import (
    NO_PLACEBO,
    NO_SHADOW,
    NONE_UNRELATED,
    at_learnt_thresholds,
    placebo,
    unrelated_records,
)
from mia.metrics.auc import auc
from mia.model_card import verdict
from mia.models.mlp import MlpOptions
from mia.records import AttackTask, Scores, Signals
from mia.split import SplitOptions
from mia.store import PoolStore
from mia.train.options import TrainOptions

QUICK = ("gap", "loss", "entropy", "calibration", "lira_online", "lira_offline", "rmia_online", "rmia_offline")
CLASSES = 3


def task_of(member, generator, leak=3.0, target=0, keep_complement=False) -> AttackTask:
    """Return the task of models that leak, the target's complement among its shadows only where it is asked for."""
    models, records = member.shape
    labels = generator.integers(0, CLASSES, records).astype(np.int32)
    logits = generator.normal(size=(models, records, CLASSES))
    logits[:, np.arange(records), labels] += 1 + leak * member + generator.normal(0, 1, records)
    tells = find_partners(member.astype(np.int8))[target] & (not keep_complement)
    shadows = [row for row in range(models) if row != target and not tells[row]]
    signals = Signals(
        labels=labels,
        is_candidate=np.ones(records, bool),
        target_outputs=logits[target].astype(np.float32),
        shadow_outputs=logits[shadows].astype(np.float32),
        shadow_membership=member[shadows].astype(np.int8),
        shadow_own=np.ones((len(shadows), records), bool),
    )
    return AttackTask(signals, np.arange(records), member[target], target)


def scores_of(name, task, seed=0) -> Scores:
    return run_attack(name, task.signals, ATTACKS[name].options(), seed)


@pytest.mark.parametrize(("design", "models"), [("pairs", 9), ("balanced", 8), ("coins", 7)])
def test_the_placebo_finds_nothing_however_much_the_models_leak(design, models):
    found = {name: [] for name in QUICK}
    alarms = 0
    for seed in range(12):
        generator = np.random.default_rng((seed, models))
        task = task_of(membership(design, models, 400, generator), generator)
        for name in QUICK:
            scores = scores_of(name, task, seed)
            metrics, lines = placebo(scores, task, num_attacks=1, seed=seed)
            found[name].append(metrics["placebo_auc"])
            alarms += len(lines)
            if name == "loss":
                assert auc(scores.score, task.is_member).value > 0.85
    deviation = 1 / np.sqrt(3 * 400)  # of one area, without a leak
    for name, values in found.items():
        assert abs(np.mean(values) - 0.5) < 4 * deviation / np.sqrt(len(values)), name
    assert alarms <= 6  # of 96 at 99%, attacks of one draw together


def test_a_complement_among_the_shadows_is_caught_by_the_placebo_and_not_by_the_null_control():
    generator = np.random.default_rng(0)
    member = membership("pairs", 7, 4000, generator)
    options = ATTACKS["lira_online"].options()
    for keep, expected in ((True, True), (False, False)):
        task = task_of(member, generator, leak=0, target=1, keep_complement=keep)
        scores = {"lira_online": run_attack("lira_online", task.signals, options, 0)}
        metrics, lines = judge_attacks(task, scores, Terms(), 0)
        name = "attack/lira_online/"
        assert metrics[f"{name}null_auc_low"] <= 0.5 <= metrics[f"{name}null_auc_high"]
        is_off = not metrics[f"{name}placebo_auc_low"] <= 0.5 <= metrics[f"{name}placebo_auc_high"]
        assert is_off == expected
        assert any("CONTROL FAILED: on answers" in line for line in lines) == expected
        assert any("CONTROL FAILED: the share of its shadows" in line for line in lines) == expected


def test_controls_that_fail_for_more_targets_than_chance_allows_are_told_though_not_the_first():
    generator = np.random.default_rng(0)
    task = task_of(membership("coins", 4, 50, generator), generator)
    scores = {"loss": scores_of("loss", task)}
    area = {"attack/loss/auc": 0.6, "attack/loss/auc_low": 0.5, "attack/loss/auc_high": 0.7}
    quiet, loud = Judged(area, ["fine"]), Judged(area, ["loss: CONTROL FAILED: on answers"])
    for judged, told in (
        ([quiet] * 9, 0),
        ([quiet] * 9 + [loud], 0),
        ([quiet] * 8 + [loud] * 2, 1),
        ([loud] + [quiet] * 9, 1),
    ):
        result = build_result(task, scores, judged, warnings=["first"])
        assert sum("CONTROL FAILED" in line for line in result.warnings) == told
        assert ("CONTROL FAILED" in result.warnings[0]) == bool(told)
        assert ("BUT 1 of its controls failed" in verdict(result)) == bool(told)


def test_attacks_without_a_placebo_say_why():
    generator = np.random.default_rng(0)
    task = task_of(membership("coins", 4, 50, generator), generator)
    scores = replace(scores_of("loss", task), placebo=None)
    assert placebo(scores, task, num_attacks=1, seed=0) == ({}, [NO_PLACEBO])
    nobody = {name: getattr(task.signals, f"shadow_{name}")[:0] for name in ("outputs", "membership", "own")}
    alone = replace(task.signals, **{f"shadow_{name}": array for name, array in nobody.items()})
    assert placebo(scores, replace(task, signals=alone), num_attacks=1, seed=0) == ({}, [NO_SHADOW])


def test_the_owners_attack_has_a_placebo_that_finds_nothing():
    found = []
    for seed in range(6):
        generator = np.random.default_rng(seed)
        task = task_of(membership("pairs", 5, 400, generator), generator, target=1)
        scores = run_attack("supervised", task.signals, ATTACKS["supervised"].options(), seed, is_member=task.is_member)
        assert auc(scores.score, task.is_member).value > 0.8
        found.append(placebo(scores, task, num_attacks=1, seed=seed)[0]["placebo_auc"])
    assert abs(np.mean(found) - 0.5) < 4 / np.sqrt(3 * 400 * len(found))


def test_records_are_chosen_so_that_another_models_members_say_nothing():
    generator = np.random.default_rng(0)
    member, other = membership("balanced", 4, 3000, generator)[:2]
    assert np.corrcoef(member, other)[0, 1] < -0.2
    kept = unrelated_records(member, other.astype(np.int8), generator)
    assert abs(np.corrcoef(member[kept], other[kept])[0, 1]) < 0.01
    assert kept.mean() > 0.5
    assert unrelated_records(member, np.zeros(3000, np.int8), generator).all()
    assert not unrelated_records(member, (~member).astype(np.int8), generator).any()


@pytest.mark.parametrize("name", [name for name in QUICK if name != "gap"])
def test_the_false_positive_rate_had_is_the_one_learnt_for(name):
    rates, true_positive = [], []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        task = task_of(membership("coins", 16, 1500, generator), generator)
        metrics, _ = at_learnt_thresholds(scores_of(name, task, seed), task)
        rates.append(metrics["fpr_at_learnt_1pct_fpr"])
        true_positive.append(metrics["tpr_at_learnt_1pct_fpr"])
        precision = metrics.get("precision_at_learnt_1pct_fpr_prior_0.1")
        if precision is not None and rates[-1]:
            assert precision == pytest.approx(
                0.1 * true_positive[-1] / (0.1 * true_positive[-1] + 0.9 * rates[-1]), rel=1e-9
            )
    assert 0.002 < np.mean(rates) < 0.025
    assert np.mean(true_positive) > np.mean(rates)


@pytest.mark.parametrize("leak", [0.0, 3.0])
def test_classifiers_score_stand_ins_by_fits_that_did_not_see_them(leak):
    generator = np.random.default_rng(1)
    task = task_of(membership("coins", 7, 500, generator), generator, leak)
    deep = ShadowForestOptions(trees=30, min_leaf=1)  # knows by heart what it is fitted on
    scores = run_attack("shadow_forest", task.signals, deep, 0)
    known = scores.stand_in
    assert known is not None
    assert len(known.score) == 6 * 500
    held_out, of_target = auc(known.score, known.is_member), auc(scores.score, task.is_member)
    assert held_out.value == pytest.approx(of_target.value, abs=0.06)
    assert known.is_predicted is not None
    metrics, _ = placebo(scores, task, num_attacks=1, seed=0)
    assert metrics["placebo_auc_low"] <= 0.5 <= metrics["placebo_auc_high"]


def test_the_share_of_the_data_that_was_used_is_found():
    generator = np.random.default_rng(0)
    member = membership("coins", 9, 3000, generator)
    member[0] = generator.random(3000) < 0.2
    task = task_of(member, generator)
    metrics, _ = at_learnt_thresholds(scores_of("loss", task), task)
    assert metrics["share_used_low"] <= member[0].mean() <= metrics["share_used_high"]
    assert metrics["share_used_high"] - metrics["share_used_low"] < 0.1


def test_attacks_of_somebody_elses_have_a_placebo_and_survive_its_failure():
    generator = np.random.default_rng(0)
    task = task_of(membership("pairs", 9, 300, generator), generator)

    def mean_distance(signals, seed):
        del seed
        records = np.arange(len(signals.labels))
        behind = signals.shadow_outputs.mean(0)
        return (signals.target_outputs - behind)[records, signals.labels]

    def picky(signals, seed):
        assert signals.num_shadows == 8, "it counts its shadows"
        return mean_distance(signals, seed)

    scores = attack_target({"mean_distance": mean_distance, "picky": picky}, task, 0, ignore)
    metrics, lines = judge_attacks(task, scores, Terms(), 0)
    assert metrics["attack/mean_distance/placebo_auc_low"] <= 0.5 <= metrics["attack/mean_distance/placebo_auc_high"]
    assert "attack/picky/placebo_auc" not in metrics
    assert any("its placebo failed: AssertionError" in line for line in lines)
    assert not np.isnan(scores["picky"].score).any()


@pytest.mark.parametrize("protocol", ["disjoint", "pool"])
def test_runs_have_learnt_rates_and_a_placebo(protocol, tmp_path):
    chosen = {name: ATTACKS[name].options() for name in ("loss", "calibration", "shadow_logistic")}
    options = ExperimentOptions(
        0,
        DigitsOptions(),
        SplitOptions(protocol, 120, 4),
        MlpOptions(hidden=[8]),
        TrainOptions(epochs=2, test_records=0),
        AttackOptions(chosen=chosen),
    )
    metrics = run_experiment(options, load(DigitsOptions()), PoolStore(tmp_path)).metrics
    for name in (*chosen, "gap"):
        for metric in ("tpr_at_learnt_1pct_fpr", "fpr_at_learnt_1pct_fpr", "placebo_auc"):
            ends = [metrics[f"attack/{name}/{metric}{end}"] for end in ("_low", "", "_high")]
            assert ends == sorted(ends)


def test_a_shadow_whose_members_are_the_targets_is_no_control_but_a_failure():
    generator = np.random.default_rng(0)
    half = membership("coins", 1, 200, generator)
    task = task_of(np.vstack([half, ~half]), generator, keep_complement=True)
    metrics, lines = placebo(scores_of("loss", task), task, num_attacks=1, seed=0)
    assert not metrics
    assert "who was in a shadow tells who was in the target" in lines[0]


@pytest.mark.parametrize(("models", "inside"), [(6, 3), (5, 2)])
def test_in_designs_of_few_models_the_placebo_asks_only_of_records_that_say_nothing_of_the_target(models, inside):
    """Whether such a record can be scored depends on both memberships, so that these relate."""
    for seed in range(3):
        generator = np.random.default_rng(seed)
        member = np.array([generator.permutation(models) < inside for _ in range(900)]).T
        task = task_of(member, generator, leak=2.0)
        for name in ("pmia", "base_online", "rmia_online", "lira_offline", "calibration"):
            metrics, lines = placebo(scores_of(name, task), task, num_attacks=5, seed=seed)
            assert lines in ([], [NONE_UNRELATED])
            assert metrics or lines


def test_bounds_on_epsilon_need_coins_that_were_fair_and_one_s_own():
    generator = np.random.default_rng(0)
    task = task_of(generator.integers(0, 2, (3, 300)).astype(bool), generator, leak=0)
    scores = {"loss": scores_of("loss", task)}
    claimed, many = np.ones(300, bool), np.arange(300) < 180

    def bounds(**changed):
        metrics, lines = judge_attacks(replace(task, **changed), scores, Terms(), 0)
        return "attack/loss/epsilon_one_run" in metrics, " ".join(lines)

    assert bounds(is_independent=claimed)[0]
    assert bounds(is_independent=True, is_member=many)[0], "coins of ours are fair, however they fell"
    has_bound, said = bounds(is_independent=claimed, is_member=many)
    assert not has_bound
    assert "180 of 300 records are members, which fair coins do not give" in said
    groups = np.arange(300) // 10
    has_bound, said = bounds(
        is_independent=claimed, is_member=generator.permutation(30)[groups] % 2 == 0, groups=groups
    )
    assert not has_bound
    assert "in or out together" in said


def test_precision_is_stated_for_a_share_of_members_that_can_be():
    with pytest.raises(RequestError, match=r"prior=1\.5 must lie between 0 and 1"):
        Terms(prior=1.5)
