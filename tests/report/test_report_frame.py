import dataclasses
import math
from pathlib import Path

import pytest
from report_fakes import failed, fake_run, fetch_file, run_of
from scipy import stats

from mia.checks import RequestError
from mia.metrics.rates import clopper_pearson
from mia.study.frame import read_study
from mia.study.study import EITHER, KNOWS, KNOWS_NOT, NO_DEFENCE
from mia.tracking.reading import latest_attempts
from mia.tracking.where import parse_where

AUC = "attack/gap/auc"


def study_of(*runs, where=None):
    return read_study(runs, fetch_file, where)


def names(study):
    return [(row.defence, row.strength) for row in study.rows]


def test_runs_that_differ_in_their_seed_are_one_row_with_the_interval_of_the_mean() -> None:
    values = [0.7, 0.8, 0.75]
    study = study_of(*(run_of(str(k), seed=k, metrics={AUC: value}) for k, value in enumerate(values)))
    estimate = study.estimate(0, AUC)
    low, high = stats.t.interval(0.95, 2, loc=0.75, scale=stats.sem(values))
    assert (estimate.value, estimate.count) == (pytest.approx(0.75), 3)
    assert estimate.deviation == pytest.approx(0.05)
    assert (estimate.low, estimate.high) == (pytest.approx(low), pytest.approx(high))
    assert estimate.high - estimate.value > estimate.deviation  # they are told apart


def test_a_single_run_keeps_its_own_interval_as_stored() -> None:
    metrics = {AUC: 0.9, f"{AUC}_low": 0.7, f"{AUC}_high": 0.92, "target/test_accuracy": 0.5}
    study = study_of(run_of(metrics=metrics, split__size=200))
    estimate = study.estimate(0, AUC)
    assert (estimate.low, estimate.value, estimate.high) == (0.7, 0.9, 0.92)
    assert math.isnan(estimate.deviation)
    accuracy = study.estimate(0, "target/test_accuracy")
    assert (accuracy.low, accuracy.high) == tuple(clopper_pearson(100, 200)[1:])


def test_settings_of_a_package_that_is_gone_are_told_apart_by_what_is_stored() -> None:
    runs = [run_of(f"{gamma}", train__of_theirs=gamma, metrics={AUC: gamma}) for gamma in (0.5, 0.75)]
    study = study_of(*runs)
    assert [(row.place, study.estimate(k, AUC).value) for k, row in enumerate(study.rows)] == [
        ("of theirs 0.5", 0.5), ("of theirs 0.75", 0.75),
    ]  # fmt: skip
    assert study.notes == ("train.of_theirs of a stored run is not known today",)


def test_an_output_defence_of_a_package_that_is_gone_keeps_its_name() -> None:
    runs = [run_of(f"{limit}", defence__name="theirs", defence__limit=limit) for limit in (1, 2)]
    study = study_of(run_of("none"), *runs)
    assert [row.defence for row in study.rows] == [NO_DEFENCE, "theirs", "theirs"]
    assert len({row.words + row.detail for row in study.rows}) == 3


@pytest.mark.parametrize(
    ("name", "key", "weaker", "stronger"),
    [
        ("memguard", "epsilon", 0.1, 2.0),  # a budget for noise, not a guarantee
        ("top_k", "k", 5, 1),
        ("rounding", "digits", 3, 1),
        ("temperature", "temperature", 2.0, 20.0),
        ("noise", "scale", 0.01, 0.5),
    ],
)
def test_strengths_are_sorted_the_weakest_first(name, key, weaker, stronger) -> None:
    runs = [run_of(f"{v}", defence__name=name, **{f"defence__{key}": v}) for v in (stronger, weaker)]
    study = study_of(run_of("none"), *runs)
    ordered = [row.runs[0].id for row in study.rows]
    assert ordered == ["none", str(weaker), str(stronger)]


def test_a_smaller_epsilon_of_dp_sgd_is_stronger() -> None:
    runs = [run_of(f"{v}", train__dp={"epsilon": v, "clipping_norm": 1.0}) for v in (2.0, 8.0)]
    assert [row.runs[0].id for row in study_of(run_of("none"), *runs).rows] == ["none", "8.0", "2.0"]


@pytest.mark.parametrize(
    "neutral",
    [
        {"defence__name": "top_k", "defence__k": 0},
        {"defence__name": "rounding", "defence__digits": 0},
        {"defence__name": "temperature", "defence__temperature": 1.0},
        {"defence__name": "noise", "defence__scale": 0.0},
        {"defence__name": "memguard", "defence__epsilon": 0.0},
        {"train__l2": 0.0},
        {"train__early_stopping": {"holdout": 0.0, "patience": 9}},
    ],
)
def test_a_neutral_strength_is_no_defence(neutral) -> None:
    study = study_of(run_of("plain"), run_of("neutral", started=1, **neutral), run_of("l2", train__l2=1e-3))
    assert names(study) == [(NO_DEFENCE, ""), ("L2", "1e-3")]
    assert [run.id for run in study.rows[0].repeats] == ["neutral"]


def test_gaussian_and_laplace_noise_are_two_defences() -> None:
    runs = [
        run_of(kind, defence__name="noise", defence__distribution=kind, defence__scale=0.1)
        for kind in ("gaussian", "laplace")
    ]
    study = study_of(run_of("none"), *runs)
    assert len({row.defence for row in study.rows}) == 3
    assert all(row.strength in ("", "0.1") for row in study.rows)


def test_what_the_attacker_knows_matters_only_where_there_is_something_to_know() -> None:
    runs = [
        run_of(f"{l2}{adaptive}", started=k, train__l2=l2, attacker__adaptive=adaptive)
        for k, (l2, adaptive) in enumerate([(0.0, True), (0.0, False), (1e-2, True), (1e-2, False)])
    ]
    study = study_of(*runs)
    assert [row.who for row in study.rows] == [EITHER, KNOWS, KNOWS_NOT]
    assert len(study.runs) == 4
    assert [study.words(row) for row in study.rows][1:] == [f"L2 0.01, {KNOWS}", f"L2 0.01, {KNOWS_NOT}"]


def test_a_defence_that_all_share_is_the_set_up_but_there_is_something_to_know() -> None:
    runs = [
        run_of(f"{size}{adaptive}", train__l2=1e-3, split__size=size, attacker__adaptive=adaptive)
        for size in (100, 200)
        for adaptive in (True, False)
    ]
    study = study_of(*runs)
    assert not study.has_defences
    assert [study.words(row) for row in study.rows] == [
        f"n = {n}, {who}" for n in (100, 200) for who in (KNOWS, KNOWS_NOT)
    ]


def test_rows_of_the_same_name_say_what_else_differs() -> None:
    runs = [run_of(f"{p}", train__early_stopping={"holdout": 0.1, "patience": p}) for p in (3, 9)]
    study = study_of(run_of("none"), *runs)
    assert [row.strength for row in study.rows] == ["", "0.1, patience 3", "0.1, patience 9"]


def test_defences_together_are_one_setting() -> None:
    both = run_of("both", train__l2=1e-3, defence__name="top_k", defence__k=3)
    study = study_of(run_of("none"), both, run_of("l2", train__l2=1e-3))
    assert "L2 + " in " ".join(row.defence for row in study.rows)


def test_axes_that_change_together_are_named_once() -> None:
    runs = [run_of(n, data__name=n, train__epochs=e) for n, e in (("digits", 10), ("cifar10", 20))]
    study = study_of(*runs)
    assert study.axes == ("data.name",)
    assert {study.words(row) for row in study.rows} == {"data digits", "data cifar10"}


def test_a_failed_attempt_does_not_hide_the_finished_one() -> None:
    run = fake_run(None)
    again = dataclasses.replace(failed(run, "killed"), id="again", started=run.started + 1)
    later = dataclasses.replace(run, id="later", started=run.started + 2)
    assert [one.id for one in latest_attempts([run, again])] == [run.id]
    assert [one.id for one in latest_attempts([again, run, later, later])] == ["later"]
    study = read_study([failed(run, "out of memory")], fetch_file)
    assert (study.finished, [one.id for one in study.unfinished]) == ([], [run.id])


def test_a_run_whose_config_cannot_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{: not yaml")
    broken = dataclasses.replace(run_of("broken"), artifacts=str(tmp_path))
    missing = dataclasses.replace(run_of("missing"), artifacts=str(tmp_path / "nowhere"))
    study = study_of(run_of("fine"), broken, missing)
    assert ([run.id for run in study.unreadable], len(study.rows)) == (["broken", "missing"], 1)


def test_a_filter_takes_config_keys_and_metrics() -> None:
    runs = [run_of(f"{d}", train__dropout=d, metrics={AUC: 0.9 - d / 2}) for d in (0.0, 0.25, 0.5)]
    kept = study_of(*runs, where=parse_where("train.dropout < 0.5 and attack/gap/auc > 0.7"))
    assert [row.runs[0].id for row in kept.rows] == ["0.0", "0.25"]
    with pytest.raises(RequestError, match=r"no run has train\.droput, did you mean 'train\.dropout'"):
        study_of(*runs, where=parse_where("train.droput < 0.5"))


def test_attacks_of_most_rows_come_first_then_those_with_the_highest_auc() -> None:
    metrics = {"attack/a/auc": 0.6, "attack/b/auc": 0.9}
    runs = [
        run_of("1", split__size=100, metrics=metrics),
        run_of("2", split__size=200, metrics={**metrics, "attack/c/auc": 1.0}),
    ]
    assert study_of(*runs).attacks == ("b", "a", "c")


def test_several_sweeps_are_joined_and_a_shared_run_counts_once() -> None:
    shared = fake_run(None, 2500)
    study = read_study([shared, fake_run(None, 5000), shared], fetch_file)
    assert len(study.runs) == 2


def test_nothing_is_a_study_too() -> None:
    study = study_of()
    assert (study.rows, study.finished, study.attacks, study.axes) == ((), [], (), ())
